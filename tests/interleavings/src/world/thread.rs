//! `std::thread`, with thread-locals that are dropped as those of `std` are: the last one made first, while those without
//! a destructor can still be reached.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    collections::HashMap,
    mem,
    rc::Rc,
};

pub use loom::thread::{JoinHandle, yield_now};
pub use std::thread::Result;

use loom::thread::{self, ThreadId};

/// Starts a thread.
pub fn spawn<T: 'static>(run: impl FnOnce() -> T + 'static) -> JoinHandle<T> {
    thread::spawn(|| body(run))
}

/// What a thread does from its start to its end.
pub(crate) fn body<T>(run: impl FnOnce() -> T) -> T {
    let result = run();
    let id = thread::current().id();
    while let Some(last) =
        LOCALS.with_borrow_mut(|locals| locals.get_mut(&id)?.dropped_last_first.pop())
    {
        let value = LOCALS.with_borrow_mut(|locals| locals.get_mut(&id)?.values.insert(last, None));
        drop(value);
    }
    let rest = LOCALS.with_borrow_mut(|locals| locals.remove(&id));
    drop(rest);
    result
}

#[derive(Default)]
struct Locals {
    /// By the address of the key; `None` once dropped.
    values: HashMap<usize, Option<Rc<dyn Any>>>,
    dropped_last_first: Vec<usize>,
}

thread_local! {
    /// All threads of a model run on one thread of the system.
    static LOCALS: RefCell<HashMap<ThreadId, Locals>> = RefCell::default();
}

/// A thread-local was used after its end.
#[derive(Debug)]
pub struct AccessError;

pub struct LocalKey<T: 'static> {
    init: fn() -> T,
}

impl<T> LocalKey<T> {
    pub const fn new(init: fn() -> T) -> Self {
        Self { init }
    }

    pub fn with<R>(&'static self, read: impl FnOnce(&T) -> R) -> R {
        self.try_with(read).expect("a thread-local after its end")
    }

    pub fn try_with<R>(
        &'static self,
        read: impl FnOnce(&T) -> R,
    ) -> std::result::Result<R, AccessError> {
        let (id, key) = (thread::current().id(), std::ptr::from_ref(self) as usize);
        let found = LOCALS.with_borrow(|locals| locals.get(&id)?.values.get(&key).cloned());
        let value = match found {
            Some(value) => value.ok_or(AccessError)?,
            None => {
                let value: Rc<dyn Any> = Rc::new((self.init)());
                LOCALS.with_borrow_mut(|locals| {
                    let locals = locals.entry(id).or_default();
                    locals.values.insert(key, Some(Rc::clone(&value)));
                    if mem::needs_drop::<T>() {
                        locals.dropped_last_first.push(key);
                    }
                });
                value
            }
        };
        Ok(read(value.downcast_ref().expect("a key has one type")))
    }
}

impl<T> LocalKey<Cell<T>> {
    pub fn get(&'static self) -> T
    where
        T: Copy,
    {
        self.with(Cell::get)
    }

    pub fn set(&'static self, value: T) {
        self.with(|cell| cell.set(value));
    }

    pub fn take(&'static self) -> T
    where
        T: Default,
    {
        self.with(Cell::take)
    }
}

/// `std::thread_local!`.
#[macro_export]
macro_rules! thread_local {
    ($(static $name:ident: $type:ty = const { $init:expr };)*) => {
        $(static $name: $crate::thread::LocalKey<$type> = $crate::thread::LocalKey::new(|| $init);)*
    };
}
