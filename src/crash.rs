//! The last line of a process that dies of a fault in a mapped file: a disk that gives EIO, a file that was cut, a page
//! that points outside of it. `main` and `serve` install it.
//!
//! LMDB reads files as memory, so such a fault is SIGBUS or SIGSEGV instead of an error. The handler of the coroutines'
//! crate prints a backtrace within the signal and waits for one of its own locks: the process hung, and every request
//! with it. This handler uses only system calls. A fault in a guard page means that a stack has ended; it is
//! left to the crate's handler.

#![allow(unsafe_code)] // signal handlers are outside Rust's guarantees; see the SAFETY notes

use std::{
    mem, ptr,
    sync::{
        OnceLock,
        atomic::{AtomicI32, Ordering::Relaxed},
    },
};

const SIGNALS: [libc::c_int; 2] = [libc::SIGBUS, libc::SIGSEGV];

/// Bytes of `/proc/self/maps` at a time: signal stacks are small.
const READ_BYTES: usize = 1024;

/// Longest line that is kept; the rest of a longer one is left out.
const LINE_BYTES: usize = 512;

/// How the process ends: with this exit code, or by the signal if the code is 0.
static EXIT_CODE: AtomicI32 = AtomicI32::new(0);

/// The previous handler of SIGSEGV.
static PREVIOUS: OnceLock<libc::sigaction> = OnceLock::new();

/// From now on a fault writes its line. Then the process ends by the signal, as its supervisor expects, or with
/// `exit_code`, as a command does.
pub fn install(exit_code: Option<i32>) {
    EXIT_CODE.store(exit_code.unwrap_or(0), Relaxed);
    for signal in SIGNALS {
        // SAFETY: all zeros is a valid `sigaction`, and both are of this frame. The handler keeps to
        // async-signal-safe calls (signal-safety(7)).
        unsafe {
            let mut action: libc::sigaction = mem::zeroed();
            let mut before: libc::sigaction = mem::zeroed();
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            action.sa_sigaction = on_fault as *const () as libc::sighandler_t;
            if libc::sigaction(signal, &action, &mut before) == 0 && signal == libc::SIGSEGV {
                let _ = PREVIOUS.set(before);
            }
        }
    }
}

type Handler = unsafe extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);

unsafe extern "C" fn on_fault(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    // SAFETY: the kernel passes a valid `siginfo_t` (SA_SIGINFO), which has an address for these signals.
    let address = unsafe { (*info).si_addr() } as usize;
    let mut line = [0; LINE_BYTES];
    let mapping = mapping_of(address, &mut line);
    if signal == libc::SIGSEGV
        && mapping.is_some_and(|mapping| mapping.is_guard)
        && let Some(previous) = PREVIOUS.get()
        && previous.sa_sigaction > 1
    {
        // SAFETY: neither SIG_DFL (0) nor SIG_IGN (1), so it is the function that was installed, with SA_SIGINFO as
        // both the standard library and the coroutines' crate do.
        let previous: Handler = unsafe { mem::transmute(previous.sa_sigaction) };
        // SAFETY: as the kernel would call it.
        return unsafe { previous(signal, info, context) };
    }
    write([
        b"trident: a fault while reading ",
        match mapping {
            Some(Mapping { path, .. }) if !path.is_empty() => path,
            _ => b"memory that is no file's",
        },
        b": the disk fails, or the file was cut or changed while it was in use; check it with `trident store verify`, \
          then put a good copy in its place (`trident store restore`)\n",
    ]);
    match EXIT_CODE.load(Relaxed) {
        // SAFETY: async-signal-safe. The signal is blocked until this function returns and then ends the process, also
        // if somebody sent it and the fault does not come again.
        0 => unsafe {
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        },
        // SAFETY: async-signal-safe.
        code => unsafe { libc::_exit(code) },
    }
}

/// Writes a line in one call: lines of the log, which other threads write, do not get into the middle of it.
fn write(parts: [&[u8]; 3]) {
    let parts = parts.map(|part| libc::iovec {
        iov_base: part.as_ptr().cast_mut().cast(),
        iov_len: part.len(),
    });
    // SAFETY: the bytes are borrowed for the call, which only reads them. Nothing can be done about a closed standard
    // error.
    let _ = unsafe {
        libc::writev(
            libc::STDERR_FILENO,
            parts.as_ptr(),
            parts.len() as libc::c_int,
        )
    };
}

/// A line of `/proc/self/maps`.
#[derive(Clone, Copy)]
struct Mapping<'l> {
    /// Inaccessible: the end of a stack.
    is_guard: bool,
    path: &'l [u8],
}

/// The mapping with `address`, read without allocating.
fn mapping_of(address: usize, line: &mut [u8; LINE_BYTES]) -> Option<Mapping<'_>> {
    // SAFETY: the name ends in NUL.
    let file = unsafe {
        libc::open(
            c"/proc/self/maps".as_ptr(),
            libc::O_RDONLY | libc::O_CLOEXEC,
        )
    };
    let (mut buffer, mut length, mut found) = ([0u8; READ_BYTES], 0, None);
    'file: while file >= 0 && found.is_none() {
        // SAFETY: the buffer has as many bytes as are asked for.
        let read = unsafe { libc::read(file, ptr::from_mut(&mut buffer).cast(), READ_BYTES) };
        let read = usize::try_from(read).unwrap_or(0);
        if read == 0 {
            break;
        }
        for &byte in buffer.get(..read).unwrap_or_default() {
            if byte != b'\n' {
                if let Some(place) = line.get_mut(length) {
                    *place = byte;
                    length += 1;
                }
                continue;
            }
            if holds(line.get(..length).unwrap_or_default(), address) {
                found = Some(length);
                continue 'file;
            }
            length = 0;
        }
    }
    // SAFETY: it was opened above, or is -1, which is refused.
    unsafe { libc::close(file) };
    parse(line.get(..found?)?)
}

/// Whether a line `start-end perms …` is about `address`.
fn holds(line: &[u8], address: usize) -> bool {
    let number = |text: &[u8]| {
        text.iter().try_fold(0usize, |sum, &byte| {
            let digit = (byte as char).to_digit(16)?;
            sum.checked_mul(16)?.checked_add(digit as usize)
        })
    };
    let Some(range) = line.split(|&byte| byte == b' ').next() else {
        return false;
    };
    let mut ends = range.split(|&byte| byte == b'-').map(number);
    matches!((ends.next(), ends.next()), (Some(Some(start)), Some(Some(end))) if (start..end).contains(&address))
}

/// `7f00-7f01 r--s 00000000 08:01 123    /path`
fn parse(line: &[u8]) -> Option<Mapping<'_>> {
    let mut words = line.splitn(6, |&byte| byte == b' ');
    let is_guard = words.nth(1)?.starts_with(b"---");
    let path = words.nth(3).unwrap_or_default().trim_ascii();
    Some(Mapping { is_guard, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_table_of_mappings_is_read() {
        let line = b"7f10a000-7f10b000 r--s 00000000 08:01 1234    /srv/my store/data.mdb";
        assert!(holds(line, 0x7f10_a000) && holds(line, 0x7f10_afff));
        assert!(!holds(line, 0x7f10_b000) && !holds(b"", 1) && !holds(b"x-y r", 1));
        let mapping = parse(line).unwrap();
        assert_eq!(
            (mapping.path, mapping.is_guard),
            (&b"/srv/my store/data.mdb"[..], false)
        );
        let guard = parse(b"7f10a000-7f10b000 ---p 00000000 00:00 0 ").unwrap();
        assert!(guard.is_guard && guard.path.is_empty());
    }

    #[test]
    fn what_is_mapped_is_found() {
        let mut line = [0; LINE_BYTES];
        let here = what_is_mapped_is_found as *const () as usize;
        let mapping = mapping_of(here, &mut line).unwrap();
        assert!(!mapping.is_guard && mapping.path.starts_with(b"/"));
        assert!(mapping_of(1, &mut [0; LINE_BYTES]).is_none());
    }
}
