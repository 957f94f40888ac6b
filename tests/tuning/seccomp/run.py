"""Runs a program under a seccomp profile in the form of the OCI, as a container engine would:

run.py PROFILE [--without SYSCALL]... -- PROGRAM ARGUMENTS...
"""

import json
import os
import sys

import seccomp

COMPARISONS = {"SCMP_CMP_EQ": seccomp.EQ, "SCMP_CMP_MASKED_EQ": seccomp.MASKED_EQ}


def main():
    profile_name, *rest = sys.argv[1:]
    split = rest.index("--")
    without = set(rest[1:split:2])
    with open(profile_name, encoding="utf-8") as file:
        profile = json.load(file)
    unknown = profile.keys() - {"defaultAction", "defaultErrnoRet", "architectures", "syscalls"}
    assert not unknown, f"an engine would refuse {unknown}"
    rules = seccomp.SyscallFilter(action(profile["defaultAction"], profile["defaultErrnoRet"]))
    for entry in profile["syscalls"]:
        unknown = entry.keys() - {"comment", "names", "action", "errnoRet", "args"}
        assert not unknown, f"an engine would refuse {unknown}"
        arguments = [argument(one) for one in entry.get("args", [])]
        for name in entry["names"]:
            # Fails for a name that there is on no architecture.
            if name not in without:
                rules.add_rule(action(entry["action"], entry.get("errnoRet")), name, *arguments)
    rules.load()
    program = rest[split + 1 :]
    os.execv(program[0], program)


def action(name, errno):
    return seccomp.ALLOW if name == "SCMP_ACT_ALLOW" else {"SCMP_ACT_ERRNO": seccomp.ERRNO}[name](errno)


def argument(one):
    comparison = COMPARISONS[one["op"]]
    if comparison == seccomp.MASKED_EQ:
        return seccomp.Arg(one["index"], comparison, one["value"], one["valueTwo"])
    return seccomp.Arg(one["index"], comparison, one["value"])


main()
