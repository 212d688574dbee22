//! Do the serving threads make progress? A probe from outside.
//!
//! A live process may serve nobody: an endless handler blocks all connections of its worker, and no error
//! shows. So each thread is asked to do what it does for a connection: a worker runs a coroutine, the
//! accept thread returns from `poll`. [`serve::notify`](crate::serve::notify) asks, waits, and sees which
//! threads are silent. Without a question no thread is woken.

use std::{
    io::Write,
    os::unix::net::UnixStream,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::*},
    },
};

/// What the accept thread and the asking thread share.
#[derive(Debug, Default)]
pub(super) struct AcceptBeat {
    asked: AtomicU64,
    answered: AtomicU64,
    /// The thread ended because it was told to.
    stopped: AtomicBool,
}

impl AcceptBeat {
    /// Called by the thread when awake. Runs `take_wakes`, which takes the bytes that woke it, then answers every
    /// question so far: a byte taken afterwards could be that of a question which is not answered yet.
    pub(super) fn answer<T>(&self, take_wakes: impl FnOnce() -> T) -> T {
        let taken = take_wakes();
        self.answered.store(self.asked.load(Acquire), Release);
        taken
    }

    /// Called when the thread ends: no answer is expected from now on.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Release);
    }

    fn is_silent(&self) -> bool {
        !self.stopped.load(Acquire) && self.answered.load(Acquire) < self.asked.load(Acquire)
    }
}

/// Questions to the workers of this process and to one accept loop.
pub struct Pulse {
    /// Per worker: whether it has run since it was asked.
    workers: Box<[Arc<AtomicBool>]>,
    /// Per worker: whether it could not be asked because no coroutine could be made.
    unasked: Box<[bool]>,
    accept: Arc<AcceptBeat>,
    /// A byte here wakes the accept thread.
    wake: UnixStream,
}

impl Pulse {
    pub(super) fn new(accept: Arc<AcceptBeat>, wake: UnixStream) -> Self {
        let workers: Box<[_]> = (0..may::config().get_workers())
            .map(|_| Arc::new(AtomicBool::new(true)))
            .collect();
        Self {
            unasked: vec![false; workers.len()].into(),
            workers,
            accept,
            wake,
        }
    }

    /// Asks every thread that answered the last question. A silent thread keeps its open question.
    pub fn ask(&mut self) {
        for (index, (ran, unasked)) in self.workers.iter().zip(&mut self.unasked).enumerate() {
            if ran.swap(false, AcqRel) || *unasked {
                *unasked = !ask_worker(index, Arc::clone(ran));
            }
        }
        if !self.accept.is_silent() {
            self.accept.asked.fetch_add(1, AcqRel);
            let _ = self.wake.write(&[0]); // a thread that has ended stays silent
        }
    }

    /// The threads that have not answered yet; `None` when all have.
    pub fn silent(&self) -> Option<String> {
        let worker = self.workers.iter().position(|ran| !ran.load(Acquire));
        match worker {
            Some(index) => Some(format!("worker {index}")),
            None => self
                .accept
                .is_silent()
                .then(|| "the accept thread".to_owned()),
        }
    }
}

/// Makes worker `index` set `ran`. False if no coroutine can be made: then no connection could be served
/// either.
#[allow(unsafe_code)] // `spawn` is unsafe for the sake of thread-locals and stack depth
fn ask_worker(index: usize, ran: Arc<AtomicBool>) -> bool {
    let builder = may::coroutine::Builder::new().id(index);
    // `spawn` panics if no stack can be mapped.
    let asked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        // SAFETY: the coroutine touches no thread-local, never waits and needs no stack to speak of.
        unsafe { builder.spawn(move || ran.store(true, Release)) }
    }));
    matches!(asked, Ok(Ok(_detached)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::Read,
        sync::mpsc,
        time::{Duration, Instant},
    };

    /// Far beyond what a loaded machine needs.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn silent_until(pulse: &Pulse, done: impl Fn(&Option<String>) -> bool) -> Option<String> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let silent = pulse.silent();
            if done(&silent) || Instant::now() > give_up {
                return silent;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    #[allow(unsafe_code)] // spawning a coroutine that blocks is what the test is about
    fn a_blocked_worker_is_silent_until_it_goes_on() {
        let (wake, _woken) = UnixStream::pair().unwrap();
        let accept = Arc::new(AcceptBeat::default());
        accept.stop();
        let mut pulse = Pulse::new(accept, wake);
        pulse.ask();
        assert_eq!(silent_until(&pulse, Option::is_none), None);

        let (release, held) = mpsc::channel::<()>();
        let (entered, inside) = mpsc::channel();
        let block = move || {
            entered.send(()).unwrap();
            let _ = held.recv();
        };
        // SAFETY: no thread-local, shallow.
        let _blocking = unsafe { may::coroutine::Builder::new().id(0).spawn(block) };
        inside.recv_timeout(PATIENCE).unwrap();
        pulse.ask();
        assert_eq!(
            silent_until(&pulse, |silent| silent.as_deref() == Some("worker 0")).as_deref(),
            Some("worker 0")
        );
        pulse.ask();
        assert_eq!(pulse.silent().as_deref(), Some("worker 0"));
        drop(release);
        assert_eq!(silent_until(&pulse, Option::is_none), None);
    }

    #[test]
    fn an_accept_thread_answers_or_is_told_to_stop() {
        let (wake, _woken) = UnixStream::pair().unwrap();
        let accept = Arc::new(AcceptBeat::default());
        let mut pulse = Pulse::new(Arc::clone(&accept), wake);
        pulse.workers = Box::default();
        assert_eq!(pulse.silent(), None, "nobody asked");
        pulse.ask();
        assert_eq!(pulse.silent().as_deref(), Some("the accept thread"));
        accept.answer(|| ());
        assert_eq!(pulse.silent(), None);
        pulse.ask();
        accept.stop();
        assert_eq!(pulse.silent(), None);
    }

    #[test]
    fn a_question_whose_wake_is_taken_with_an_earlier_one_is_answered() {
        let (wake, mut woken) = UnixStream::pair().unwrap();
        let accept = Arc::new(AcceptBeat::default());
        let mut pulse = Pulse::new(Arc::clone(&accept), wake);
        pulse.workers = Box::default();
        accept.answer(|| {
            pulse.ask();
            woken.read(&mut [0; 64]).unwrap()
        });
        assert_eq!(pulse.silent(), None, "no other byte will wake the thread");
    }
}
