//! The system calls that no library makes for us, each behind a safe function.

use std::convert::Infallible;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// A descriptor of one's own for what whoever started the process has left open under that number: closed at an `exec`, as all
/// others are. The number itself stays open.
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: takes numbers and returns a descriptor or an error; the one that is copied is neither closed nor changed.
    let fd = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor has just been made and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Receives what is there, without waiting; 0 is the end of the stream.
pub fn recv(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the pointer and the length are those of a buffer borrowed for the call, of which the
    // kernel writes at most that length; the descriptor is open as long as it is borrowed.
    let received = unsafe {
        libc::recv(
            socket.as_raw_fd(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            libc::MSG_DONTWAIT,
        )
    };
    usize::try_from(received).map_err(|_| io::Error::last_os_error())
}

/// A new eventfd that is never waited on in a call.
pub fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: takes two numbers and returns a descriptor or an error.
    let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor has just been made and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Adds one to an eventfd. An error means that it stands at its maximum: it is readable anyway.
pub fn eventfd_add(fd: BorrowedFd<'_>) {
    let one = 1u64;
    // SAFETY: eight bytes are read from a local variable.
    unsafe { libc::write(fd.as_raw_fd(), (&raw const one).cast(), 8) };
}

/// Sets an eventfd back to zero. An error means that it is zero already.
pub fn eventfd_clear(fd: BorrowedFd<'_>) {
    let mut count = 0u64;
    // SAFETY: at most eight bytes are written to a local variable.
    unsafe { libc::read(fd.as_raw_fd(), (&raw mut count).cast(), 8) };
}

/// The cores that the process may run on, in rising order.
pub fn affinity() -> io::Result<Vec<usize>> {
    // SAFETY: a cpu_set_t is an array of integers, for which zero is a value.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is borrowed for the call and its size is given.
    let result = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((0..libc::CPU_SETSIZE as usize)
        // SAFETY: the index is below CPU_SETSIZE.
        .filter(|&core| unsafe { libc::CPU_ISSET(core, &set) })
        .collect())
}

/// Keeps the calling thread on one core.
pub fn pin_to(core: usize) -> io::Result<()> {
    if core >= libc::CPU_SETSIZE as usize {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: a cpu_set_t is an array of integers, for which zero is a value.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the index is below CPU_SETSIZE.
    unsafe { libc::CPU_SET(core, &mut set) };
    // SAFETY: the set is borrowed for the call and its size is given; 0 is the calling thread.
    let result = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Keeps the kernel from backing the process's memory with pages of 2 MiB.
///
/// The allocator asks for them where it can. A server of very many small entries then occupies
/// two to three times the memory it uses, and gains nothing measurable: its time goes into the
/// kernel's sockets.
pub fn keep_pages_small() -> io::Result<()> {
    // SAFETY: takes numbers only.
    let result = unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// The soft and the hard limit of a resource (`libc::RLIMIT_…`).
pub fn limit(resource: libc::__rlimit_resource_t) -> io::Result<(u64, u64)> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the structure is borrowed for the call.
    if unsafe { libc::getrlimit(resource, &raw mut limit) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((limit.rlim_cur, limit.rlim_max))
}

/// Raises the soft limit of open files to the hard limit and returns it.
pub fn raise_file_limit() -> io::Result<u64> {
    let (soft, hard) = limit(libc::RLIMIT_NOFILE)?;
    if soft < hard {
        let raised = libc::rlimit {
            rlim_cur: hard,
            rlim_max: hard,
        };
        // SAFETY: the structure is borrowed for the call.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(hard)
}

/// The kernel's monotonic clock, in ns since some moment before the machine's last start.
pub fn monotonic_ns() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the structure is borrowed for the call. The clock exists on every Linux, so there is no error.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// A file that has no name and lies in memory, closed at `execve`.
pub fn memory_file(name: &CStr) -> io::Result<File> {
    // SAFETY: the name is a C string borrowed for the call.
    let fd = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor has just been made and nobody else knows it.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// Says whether a descriptor outlives `execve`.
pub fn set_inherited(fd: RawFd, inherited: bool) -> io::Result<()> {
    let flags = if inherited { 0 } else { libc::FD_CLOEXEC };
    // SAFETY: takes numbers only; of a descriptor that is not open the kernel says so.
    if unsafe { libc::fcntl(fd, libc::F_SETFD, flags) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Takes over a descriptor that the program before this one has left open in this process, and has it closed at the next
/// `execve`. Each number is to be taken over once.
pub fn take_over(fd: RawFd) -> io::Result<OwnedFd> {
    set_inherited(fd, false)?;
    // SAFETY: the descriptor is open, as the call before has shown, and named by the state of the program before this one,
    // whose owners are gone with it; nobody else in this process knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Makes the calling process another program: returns only if it cannot.
///
/// All other threads end. The environment is the one given and nothing else.
pub fn execute(
    program: &CStr,
    args: &[CString],
    environment: &[CString],
) -> io::Result<Infallible> {
    let pointers = |all: &[CString]| -> Vec<*const libc::c_char> {
        let all = all.iter().map(|one| one.as_ptr());
        all.chain([std::ptr::null()]).collect()
    };
    let (args, environment) = (pointers(args), pointers(environment));
    // SAFETY: both lists end with a null pointer, and all strings outlive the call, which returns only when it has failed.
    unsafe { libc::execve(program.as_ptr(), args.as_ptr(), environment.as_ptr()) };
    Err(io::Error::last_os_error())
}

/// Has signals wait, or not, that are sent to the calling thread, or to the process and no other thread takes.
pub fn hold_signals(signals: &[libc::c_int], hold: bool) -> io::Result<()> {
    let how = if hold {
        libc::SIG_BLOCK
    } else {
        libc::SIG_UNBLOCK
    };
    // SAFETY: a sigset_t is an array of integers, for which zero is a value; it is emptied before it is used.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is borrowed for the calls; numbers that are no signals are refused.
    let result = unsafe {
        libc::sigemptyset(&raw mut set);
        for &signal in signals {
            libc::sigaddset(&raw mut set, signal);
        }
        libc::pthread_sigmask(how, &raw const set, std::ptr::null_mut())
    };
    match result {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Waits until a child of this process has ended, whom nobody else waits for.
pub fn wait_for_child(pid: u32) -> io::Result<()> {
    let pid = libc::pid_t::try_from(pid).map_err(io::Error::other)?;
    loop {
        // SAFETY: takes numbers, and a null pointer where it is not to say how the child ended.
        if unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) } >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
