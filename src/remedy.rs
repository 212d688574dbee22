//! What to do when the operating system refuses something: the end of every message that begins with "cannot".
//!
//! The system says what went wrong ("Permission denied"); the reader of the message wants the next step.

use std::io::{Error, ErrorKind};

/// What was tried: the same refusal needs different steps for reading a file and for creating one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trying {
    /// Reading a file or directory.
    Read,
    /// Creating, writing or renaming one.
    Write,
    /// Listening on an address.
    Listen,
    /// Starting a thread, catching a signal, asking for a descriptor.
    Start,
}

impl Trying {
    /// By the verb of a message: `read`, `list`, `create` …
    pub fn to(action: &str) -> Self {
        match action {
            "read" | "list" | "open" | "open store" | "seek" => Self::Read,
            _ => Self::Write,
        }
    }

    /// The next step after `error`, as it follows a semicolon.
    pub fn remedy(self, error: &Error) -> &'static str {
        match (error.kind(), self) {
            (ErrorKind::NotFound, Self::Write) => "make its directory first",
            (ErrorKind::NotFound, _) => {
                "check the path (a relative one begins at the working directory)"
            }
            (ErrorKind::PermissionDenied, Self::Listen) => {
                "choose a port from 1024 on, or give the process CAP_NET_BIND_SERVICE"
            }
            (ErrorKind::PermissionDenied, _) => {
                "change its permissions (`namei -l PATH` shows them), or run as a user that may"
            }
            (ErrorKind::AddrInUse, _) => {
                "stop the other server there (`ss -ltnp` names it), or choose another port"
            }
            (ErrorKind::AddrNotAvailable, _) => {
                "choose an address of this machine (`ip address` lists them), or 0.0.0.0 for all"
            }
            (ErrorKind::AlreadyExists, _) => "choose another name, or remove what has this one",
            (ErrorKind::IsADirectory, _) => "name a file",
            (ErrorKind::NotADirectory, _) => {
                "check the path: a part of it before the last is no directory"
            }
            (ErrorKind::DirectoryNotEmpty, _) => "choose another name, or empty the directory",
            (ErrorKind::ReadOnlyFilesystem, _) => {
                "choose a path on a file system that can be written"
            }
            (ErrorKind::StorageFull | ErrorKind::QuotaExceeded, _) => "free some space",
            (ErrorKind::FileTooLarge, _) => "raise the limit of file sizes (`ulimit -f`)",
            (ErrorKind::InvalidData | ErrorKind::UnexpectedEof, _) => "check what it holds",
            _ if error.raw_os_error() == Some(libc::ELOOP) => {
                "mend or remove the symbolic link, which leads to itself"
            }
            (ErrorKind::OutOfMemory, _) => "free some memory, or raise the limit of this process",
            (ErrorKind::WouldBlock, Self::Start) => {
                "raise the limit of threads (`ulimit -u`, TasksMax in systemd)"
            }
            _ if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => {
                "raise the limit of open files (`ulimit -n`, LimitNOFILE in systemd)"
            }
            _ => "if it stays, see the kernel's log (`dmesg`)",
        }
    }

    /// `error` with the next step in its text, for chains of causes.
    pub fn explained(self) -> impl Fn(Error) -> Error {
        move |error| Error::new(error.kind(), format!("{error}; {}", self.remedy(&error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_step_depends_on_what_was_tried() {
        let missing = Error::from(ErrorKind::NotFound);
        assert!(
            Trying::to("read")
                .remedy(&missing)
                .starts_with("check the path")
        );
        assert_eq!(
            Trying::to("create").remedy(&missing),
            "make its directory first"
        );
        let denied = Error::from(ErrorKind::PermissionDenied);
        assert!(Trying::Listen.remedy(&denied).contains("1024"));
        assert!(Trying::Read.remedy(&denied).contains("permissions"));
        let files = Error::from_raw_os_error(libc::EMFILE);
        assert!(Trying::Read.remedy(&files).contains("ulimit -n"));
        let told = Trying::Write.explained()(Error::from(ErrorKind::StorageFull));
        assert_eq!(told.to_string(), "no storage space; free some space");
        assert_eq!(told.kind(), ErrorKind::StorageFull);
    }
}
