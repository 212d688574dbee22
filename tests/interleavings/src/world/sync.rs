//! `std::sync`. `Arc` is the real one: when something is freed is not what the models ask.

pub use std::sync::*;

pub use loom::sync::{Condvar, Mutex, MutexGuard};

pub mod atomic {
    //! `std::sync::atomic`.

    pub use loom::sync::atomic::*;

    /// A flag, whose stores are swaps. `loom` 0.7 lets a store come before a swap that it executed earlier, so that the
    /// store is lost: the swap has not read it, so no machine may do that. It lets no swap do so.
    #[derive(Debug, Default)]
    pub struct AtomicBool(loom::sync::atomic::AtomicBool);

    impl AtomicBool {
        pub fn new(value: bool) -> Self {
            Self(loom::sync::atomic::AtomicBool::new(value))
        }

        pub fn load(&self, order: Ordering) -> bool {
            self.0.load(order)
        }

        pub fn store(&self, value: bool, order: Ordering) {
            self.0.swap(value, order);
        }

        pub fn swap(&self, value: bool, order: Ordering) -> bool {
            self.0.swap(value, order)
        }
    }
}

/// A static that is created again for each interleaving.
pub struct LazyLock<T: 'static>(loom::lazy_static::Lazy<T>);

impl<T> LazyLock<T> {
    pub const fn new(init: fn() -> T) -> Self {
        Self(loom::lazy_static::Lazy {
            init,
            _p: std::marker::PhantomData,
        })
    }
}

impl<T> std::ops::Deref for LazyLock<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the models have these as statics only.
        let this: &'static Self = unsafe { &*std::ptr::from_ref(self) };
        this.0.get()
    }
}
