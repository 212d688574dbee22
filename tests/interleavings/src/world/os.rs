//! `std::os`: descriptors that are gone once closed, and a socket pair.

pub mod fd {
    //! Descriptors.

    use std::{io, marker::PhantomData};

    use loom::cell::UnsafeCell;

    /// An open descriptor. `loom` reports a use while another thread closes it.
    #[derive(Debug)]
    pub struct OwnedFd {
        is_open: UnsafeCell<bool>,
    }

    impl OwnedFd {
        pub(crate) fn poll(&self) {
            // SAFETY: a `bool` is copied out.
            let is_open = self.is_open.with(|is_open| unsafe { *is_open });
            assert!(is_open, "a descriptor is used after its end");
        }
    }

    impl Drop for OwnedFd {
        fn drop(&mut self) {
            // SAFETY: a `bool` is set; `loom` reports a concurrent reader.
            self.is_open.with_mut(|is_open| unsafe { *is_open = false });
        }
    }

    /// The descriptor of a connection.
    #[derive(Clone, Copy, Default)]
    pub struct BorrowedFd<'a>(PhantomData<&'a ()>);

    impl BorrowedFd<'_> {
        pub fn try_clone_to_owned(&self) -> io::Result<OwnedFd> {
            Ok(OwnedFd {
                is_open: UnsafeCell::new(true),
            })
        }
    }
}

pub mod unix {
    //! Unix.

    pub mod net {
        //! Sockets.

        use std::{
            io::{self, Write},
            sync::Arc,
        };

        use loom::sync::{Condvar, Mutex};

        /// An end of a socket pair: what is written at one end wakes the other.
        #[derive(Clone, Default)]
        pub struct UnixStream(Arc<Pipe>);

        #[derive(Default)]
        struct Pipe {
            state: Mutex<State>,
            changed: Condvar,
        }

        #[derive(Default)]
        struct State {
            bytes: usize,
            has_ended: bool,
        }

        impl UnixStream {
            /// Waits until there is something to read; false at the end of the stream.
            pub fn wait(&self) -> bool {
                let mut state = self.0.state.lock().unwrap();
                while state.bytes == 0 && !state.has_ended {
                    state = self.0.changed.wait(state).unwrap();
                }
                state.bytes > 0
            }

            /// Reads all that is there.
            pub fn drain(&self) {
                self.0.state.lock().unwrap().bytes = 0;
            }

            /// Ends the stream.
            pub fn end(&self) {
                self.0.state.lock().unwrap().has_ended = true;
                self.0.changed.notify_one();
            }
        }

        impl Write for UnixStream {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.state.lock().unwrap().bytes += bytes.len();
                self.0.changed.notify_one();
                Ok(bytes.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
    }
}
