//! The receiving half of a worker: bytes become responses, responses become outcomes, and each outcome
//! frees a slot for the next request.

use super::{InFlight, PAUSE_AFTER_FAILURE, Worker};
use crate::load::{
    judge::check::BodyCheck,
    plan::stage::Load,
    tally::counts::{Failure, Outcome, Tally},
    wire::{
        connection::{ConnectionState, Received},
        response::{self, Response},
    },
};
use rustix::event::epoll::EventFlags;
use std::{
    cmp::Reverse,
    mem,
    time::{Duration, Instant},
};

impl Worker<'_> {
    /// Handles an event of the connection at `index`.
    pub(super) fn on_event(&mut self, index: usize, flags: EventFlags, buffer: &mut [u8]) {
        let now = Instant::now();
        let connection = &mut self.connections[index];
        if connection.state == ConnectionState::Connecting
            && !connection.finish_connecting(flags.contains(EventFlags::OUT))
        {
            return self.fail_connection(index, Failure::Connect, now);
        }
        if flags.contains(EventFlags::OUT) && !self.connections[index].flush() {
            return self.fail_connection(index, Failure::Reset, now);
        }
        let ending = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        if !flags.intersects(EventFlags::IN | ending) {
            return;
        }
        loop {
            match self.connections[index].read(buffer) {
                Received::Nothing => return,
                Received::Broken => return self.fail_connection(index, Failure::Reset, now),
                Received::End => return self.on_end_of_stream(index, now),
                Received::Bytes(bytes) => {
                    if !self.on_bytes(index, &buffer[..bytes], now) {
                        return;
                    }
                    // A short read has emptied the socket; later bytes raise another event.
                    if bytes > 0 && bytes < buffer.len() && !flags.intersects(ending) {
                        return;
                    }
                }
            }
        }
    }

    /// Handles bytes that the connection at `index` received; false if they closed it.
    fn on_bytes(&mut self, index: usize, bytes: &[u8], now: Instant) -> bool {
        let mut before = mem::take(&mut self.connections[index].received);
        let whole = if before.is_empty() {
            bytes
        } else {
            before.extend_from_slice(bytes);
            &before
        };
        let Some(taken) = self.take_responses(index, whole, false, now) else {
            return false;
        };
        let rest = &mut self.connections[index].received;
        if taken < whole.len() {
            rest.extend_from_slice(&whole[taken..]);
        }
        self.flush_if_any(index, now);
        true
    }

    pub(super) fn flush_if_any(&mut self, index: usize, now: Instant) {
        if !self.connections[index].output().is_empty() {
            self.flush_or_connect(index, now);
        }
    }

    /// Handles all whole responses in `bytes` and returns their length; `None` if one closed the connection.
    fn take_responses(
        &mut self,
        index: usize,
        bytes: &[u8],
        ended: bool,
        now: Instant,
    ) -> Option<usize> {
        let mut at = 0;
        // Requests sent in reply to these responses must not be judged by them.
        let mut waiting = self.connections[index].in_flight.len();
        while waiting > 0 {
            let answer = match response::parse(&bytes[at..], ended) {
                Ok(Some(answer)) => answer,
                Ok(None) => return Some(at),
                Err(_) => {
                    self.fail_connection(index, Failure::Malformed, now);
                    return None;
                }
            };
            at += answer.bytes;
            waiting -= 1;
            if waiting == 0 && at < bytes.len() {
                // More responses than requests: the framing of this answer was wrong.
                self.fail_connection(index, Failure::Malformed, now);
                return None;
            }
            let closes = answer.closes;
            self.judge(index, &answer, now);
            if closes {
                self.reconnect(index, now);
                return None;
            }
        }
        if at < bytes.len() {
            self.fail_connection(index, Failure::Malformed, now);
            return None;
        }
        Some(at)
    }

    /// After an announced close, sends the requests still in flight over a new connection.
    fn reconnect(&mut self, index: usize, now: Instant) {
        self.connections[index].close();
        let pending = mem::take(&mut self.connections[index].in_flight);
        for pending in pending {
            self.enqueue(index, pending);
        }
        self.flush_if_any(index, now);
    }

    /// Judges the answer to the oldest request of the connection at `index`.
    fn judge(&mut self, index: usize, answer: &Response<'_>, now: Instant) {
        let Some(pending) = self.connections[index].in_flight.pop_front() else {
            return;
        };
        let target = self.connections[index].target;
        let entry = &self.shared.corpus.entries[pending.entry];
        let mut latency = now.saturating_duration_since(pending.due);
        let mut follow_up = None;
        let verdict = if !entry.status.accepts(answer.status) {
            Err(Outcome::Failed(Failure::Status))
        } else if !self.shared.check {
            Ok(BodyCheck::Correct)
        } else if let Some((asked, latency_then)) = pending.follow_up {
            latency = latency_then;
            let verdict = self
                .checker
                .check_follow_up(pending.entry, &asked, &answer.body);
            follow_up = Some(asked);
            Ok(verdict)
        } else {
            Ok(self
                .checker
                .check(pending.entry, &entry.expect, &answer.body))
        };
        let outcome = match verdict {
            Ok(BodyCheck::Correct) => Outcome::Correct,
            Ok(BodyCheck::Wrong(reason)) => Outcome::Wrong(reason),
            Ok(BodyCheck::FollowUp(follow_up)) => {
                let follow_up = Some((follow_up, latency));
                let (entry, due) = (pending.entry, pending.due);
                return self.enqueue(
                    index,
                    InFlight {
                        entry,
                        due,
                        sent: now,
                        follow_up,
                    },
                );
            }
            Err(outcome) => outcome,
        };
        if let (true, Some(recorder)) = (outcome != Outcome::Correct, self.shared.recorder) {
            let url = &self.shared.targets[target].url;
            recorder.answer(
                self.shared.corpus,
                pending.entry,
                follow_up.as_deref(),
                url,
                outcome,
                answer,
            );
        }
        let tally = self.count(target, pending.entry, outcome, latency);
        tally.bytes += answer.bytes as u64;
        self.release(index, now);
    }

    /// Counts the outcome of one request.
    pub(super) fn count(
        &mut self,
        target: usize,
        entry: usize,
        outcome: Outcome,
        latency: Duration,
    ) -> &mut Tally {
        let endpoint = self.shared.corpus.entries[entry].endpoint;
        let cell = endpoint * self.shared.targets.len() + target;
        let tally = self.cells[cell].get_or_insert_default();
        tally.record(outcome, latency);
        tally
    }

    /// Returns a slot after its answer, and the slots that waited for it.
    pub(super) fn release(&mut self, index: usize, now: Instant) {
        if self.finished {
            return;
        }
        self.release_one(index, now);
        let connection = &mut self.connections[index];
        if connection.held > 0 && !connection.is_over(self.shared.lifetime, now) {
            for _ in 0..mem::take(&mut connection.held) {
                self.release_one(index, now);
            }
        }
    }

    fn release_one(&mut self, index: usize, now: Instant) {
        if index >= self.active {
            self.connections[index].slots -= 1;
            return;
        }
        match self.shared.stages[self.stage].load {
            Load::Rate(_) | Load::Replay { .. } => self.idle.push_back(index),
            Load::Users { .. } => {
                let think = self.think();
                if think.is_zero() {
                    self.enqueue_next(index, now);
                } else {
                    self.thinking.push(Reverse((now + think, index)));
                }
            }
        }
    }

    /// Writes the next request of a closed loop without think time; the next flush sends it.
    fn enqueue_next(&mut self, index: usize, now: Instant) {
        if self.left == 0 {
            return self.idle.push_back(index);
        }
        if !self.renew(index, now) {
            return;
        }
        self.left -= 1;
        let pending = InFlight {
            entry: self.picker.pick(),
            due: now,
            sent: now,
            follow_up: None,
        };
        self.enqueue(index, pending);
    }

    /// The server ended its stream.
    fn on_end_of_stream(&mut self, index: usize, now: Instant) {
        let received = mem::take(&mut self.connections[index].received);
        if self.take_responses(index, &received, true, now).is_some() {
            self.fail_connection(index, Failure::Closed, now);
        }
    }

    /// Closes the connection at `index` and fails its requests.
    pub(super) fn fail_connection(&mut self, index: usize, failure: Failure, now: Instant) {
        let connection = &mut self.connections[index];
        connection.close();
        let target = connection.target;
        for _ in 0..mem::take(&mut connection.held) {
            self.thinking
                .push(Reverse((now + PAUSE_AFTER_FAILURE, index)));
        }
        let connection = &mut self.connections[index];
        for pending in mem::take(&mut connection.in_flight) {
            let latency = now.saturating_duration_since(pending.due);
            if let Some(recorder) = self.shared.recorder {
                let url = &self.shared.targets[target].url;
                recorder.failure(self.shared.corpus, pending.entry, url, failure);
            }
            self.count(target, pending.entry, Outcome::Failed(failure), latency);
            self.thinking
                .push(Reverse((now + PAUSE_AFTER_FAILURE, index)));
        }
    }
}
