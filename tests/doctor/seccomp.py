"""Runs a program under a filter of system calls that refuses one of them, as container runtimes do.

    seccomp.py NUMBER ERRNO PROGRAM ARGUMENTS...
"""

import ctypes
import os
import struct
import sys

PR_SET_NO_NEW_PRIVS = 38
PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
SECCOMP_RET_ALLOW = 0x7FFF0000
SECCOMP_RET_ERRNO = 0x00050000


def instruction(code, true, false, k):
    return struct.pack("HBBI", code, true, false, k)


def main():
    number, errno = int(sys.argv[1]), int(sys.argv[2])
    filters = b"".join(
        [
            instruction(0x20, 0, 0, 0),  # load the number of the call
            instruction(0x15, 0, 1, number),  # is it this one?
            instruction(0x06, 0, 0, SECCOMP_RET_ERRNO | errno),
            instruction(0x06, 0, 0, SECCOMP_RET_ALLOW),
        ]
    )
    code = ctypes.create_string_buffer(filters)
    program = struct.pack("HxxxxxxP", len(filters) // 8, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in [
        (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.create_string_buffer(program), 0, 0),
    ]:
        if libc.prctl(*arguments) != 0:
            sys.exit(f"prctl{arguments[:2]}: {os.strerror(ctypes.get_errno())}")
    os.execv(sys.argv[3], sys.argv[3:])


main()
