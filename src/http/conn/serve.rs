//! From the bytes of a request to its answer in the turn's output: framing, 100-continue, the call of
//! the service, refusals.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::Ordering::Relaxed,
};

use super::{
    Conn,
    socket::Socket,
    stage::{Awaited, End, Input, PartialBody, Step, Stop, Then},
};
use crate::{
    http::{
        Fault, Framing, Handled, Head, Method, Mode, Reply, Request, Service, Status, TEXT,
        body::Chunked,
        parse::{self, Parsed},
        worker::Scratch,
    },
    metrics::{self, Counter},
};

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

impl<S: Service, K: Socket> Conn<S, K> {
    /// Answers the request at the front of `bytes`, if it is complete.
    #[inline(always)] // the result stays in registers
    pub(super) fn step(&mut self, bytes: &[u8], scratch: &mut Scratch<S>) -> Step {
        let mut head = Head::default();
        match parse::head_into(
            &mut head,
            bytes,
            &self.hosted.server.limits,
            &mut scratch.memo,
        ) {
            Ok(true) => {}
            Ok(false) => return Step::Stop(0, Stop::Head),
            Err(fault) => return self.refuse(fault, parse::is_head(bytes), scratch),
        }
        match head.framing {
            Framing::Length(0) => self.respond(&head, &[], head.bytes, scratch),
            // CONNECT: the bytes after its head belong to a tunnel, which this server does not open (RFC 9110 §9.3.6).
            _ if head.path.is_empty() => self.respond_to(&head, &[], head.bytes, scratch),
            Framing::Length(length) => self.with_length(&head, length, bytes, scratch),
            Framing::Chunked => {
                let partial = PartialBody {
                    head: Vec::new(),
                    decoder: Chunked::default(),
                    body: std::mem::take(&mut scratch.body),
                };
                self.start_chunked(&head, partial, bytes, scratch)
            }
        }
    }

    fn with_length(
        &mut self,
        head: &Head<'_>,
        length: u64,
        bytes: &[u8],
        scratch: &mut Scratch<S>,
    ) -> Step {
        let Some(length) = usize::try_from(length)
            .ok()
            .filter(|n| *n <= self.hosted.server.limits.body_bytes_max)
        else {
            return self.refuse(Fault::BodyTooLarge, head.method == Method::Head, scratch);
        };
        let end = head.bytes + length;
        match bytes.get(head.bytes..end) {
            Some(body) => self.respond_to(head, body, end, scratch),
            None if self.invites(head, bytes.len() > head.bytes, scratch) => {
                Step::Stop(0, Stop::Body(end))
            }
            None => self.refuse_unread(head, scratch),
        }
    }

    /// Sends `100 Continue` if the client waits for it and has not begun the body (RFC 9110 §10.1.1). Once per request:
    /// the head is not parsed again before the body is complete. Returns false if the body is not wanted because the
    /// head alone decides the answer.
    fn invites(&self, head: &Head<'_>, begun: bool, scratch: &mut Scratch<S>) -> bool {
        if !head.expects_continue || begun {
            return true;
        }
        let is_wanted = head.method != Method::Unknown && self.hosted.service.takes(head);
        if is_wanted {
            scratch.output.extend_from_slice(CONTINUE);
        }
        is_wanted
    }

    /// Refuses a request by its head. Its client may send the body nevertheless, so the connection ends.
    #[cold]
    fn refuse_unread(&mut self, head: &Head<'_>, scratch: &mut Scratch<S>) -> Step {
        let head = Head {
            keep_alive: false,
            ..*head
        };
        match self.respond_to(&head, &[], head.bytes, scratch) {
            Step::Stop(bytes, Stop::End(_)) => Step::Stop(bytes, Stop::End(End::Linger)),
            Step::Stop(bytes, Stop::Deferred(awaited)) => {
                let then = Then::End(End::Linger);
                Step::Stop(bytes, Stop::Deferred(Awaited { then, ..awaited }))
            }
            step => step,
        }
    }

    fn start_chunked(
        &mut self,
        head: &Head<'_>,
        mut partial: PartialBody,
        bytes: &[u8],
        scratch: &mut Scratch<S>,
    ) -> Step {
        partial.body.clear();
        let coded = &bytes[head.bytes..];
        match partial
            .decoder
            .feed(coded, &mut partial.body, &self.hosted.server.limits)
        {
            Err(fault) => self.refuse(fault, head.method == Method::Head, scratch),
            Ok((n, true)) => {
                let step = self.respond_to(head, &partial.body, head.bytes + n, scratch);
                scratch.body = partial.body;
                step
            }
            Ok((_, false)) => {
                if !self.invites(head, !coded.is_empty(), scratch) {
                    scratch.body = partial.body;
                    return self.refuse_unread(head, scratch);
                }
                partial.head = bytes[..head.bytes].to_vec();
                // The worker's buffer may be much larger than the part of the body that has arrived.
                let begun = partial.body.to_vec();
                scratch.body = std::mem::replace(&mut partial.body, begun);
                Step::Stop(bytes.len(), Stop::Chunks(Box::new(partial)))
            }
        }
    }

    /// Answers the request whose body continues in `bytes`, if it is complete.
    pub(super) fn continue_chunked(
        &mut self,
        mut partial: Box<PartialBody>,
        bytes: &[u8],
        scratch: &mut Scratch<S>,
    ) -> Step {
        match partial
            .decoder
            .feed(bytes, &mut partial.body, &self.hosted.server.limits)
        {
            Err(fault) => self.refuse(fault, parse::is_head(&partial.head), scratch),
            Ok((_, false)) => Step::Stop(bytes.len(), Stop::Chunks(partial)),
            Ok((n, true)) => match parse::head(&partial.head, &self.hosted.server.limits) {
                Ok(Parsed::Complete(head)) => self.respond_to(&head, &partial.body, n, scratch),
                // The head was complete when it was stored.
                Ok(Parsed::Partial) | Err(_) => self.refuse(Fault::HandlerFault, false, scratch),
            },
        }
    }

    /// [`respond`](Self::respond) as a call, for rare paths.
    #[inline(never)]
    fn respond_to(
        &mut self,
        head: &Head<'_>,
        body: &[u8],
        bytes: usize,
        scratch: &mut Scratch<S>,
    ) -> Step {
        self.respond(head, body, bytes, scratch)
    }

    /// Lets the service answer a complete request of `bytes` bytes.
    #[inline(always)]
    fn respond(
        &mut self,
        head: &Head<'_>,
        body: &[u8],
        bytes: usize,
        scratch: &mut Scratch<S>,
    ) -> Step {
        self.watch.received();
        self.requests_left -= 1;
        let kept = self.requests_left > 0 && !self.hosted.server.closing.load(Relaxed);
        let mode = Mode::of(head, kept && head.keep_alive);
        let request = Request { head, body };
        let start = scratch.output.len();
        let handled = match head.method {
            Method::Unknown => {
                metrics::add(Fault::UnknownMethod.counter(), 1);
                Reply::new(&mut scratch.output, &mut scratch.heads, mode)
                    .fault(Fault::UnknownMethod);
                return answered(head, mode, bytes);
            }
            Method::Put | Method::Delete | Method::Other if !head.path.starts_with(b"/") => {
                return Self::refuse_target(head, mode, bytes, scratch);
            }
            _ => self.call(&request, mode, scratch),
        };
        match handled.later {
            Some(answer) => {
                let then = if mode.keep_alive {
                    Then::Open(Input::Empty)
                } else {
                    Then::End(End::of(head.keep_alive))
                };
                let awaited = Awaited {
                    answer,
                    head_only: mode.head_only,
                    minor: mode.minor,
                    then,
                };
                Step::Stop(bytes, Stop::Deferred(awaited))
            }
            // The handler sent nothing or panicked: answered and counted as a fault.
            None if scratch.output.len() == start => {
                self.refuse(Fault::HandlerFault, mode.head_only, scratch)
            }
            None => {
                metrics::answered(handled.counter);
                answered(head, mode, bytes)
            }
        }
    }

    /// Lets the handler finish its deferred answer; if the handler sends nothing, sends an answer itself. Returns what
    /// follows.
    pub(super) fn finish_deferred(
        &mut self,
        mut awaited: Awaited,
        scratch: &mut Scratch<S>,
    ) -> Then {
        if self.hosted.server.closing.load(Relaxed) && matches!(awaited.then, Then::Open(_)) {
            awaited.then = Then::End(End::Linger); // announced while the answer was pending
        }
        let mode = awaited.mode();
        let reply = Reply::new(&mut scratch.output, &mut scratch.heads, mode);
        match catch_unwind(AssertUnwindSafe(|| awaited.answer.finish(reply))) {
            Ok((counter, since)) if !scratch.output.is_empty() => {
                metrics::answered_since(counter, since);
                return awaited.then;
            }
            Ok(_) => {}
            Err(_) => {
                metrics::add(Counter::HandlerPanics, 1);
                scratch.output.clear();
            }
        }
        self.refuse(Fault::HandlerFault, mode.head_only, scratch);
        Then::End(End::Linger)
    }

    /// Calls the service; a panic becomes an answer of 500 and new scratch.
    #[inline(always)] // into `respond`, its only caller
    fn call(&mut self, request: &Request<'_>, mode: Mode, scratch: &mut Scratch<S>) -> Handled {
        let start = scratch.output.len();
        let service = &*self.hosted.service;
        let call = || {
            let reply = Reply::new(&mut scratch.output, &mut scratch.heads, mode);
            service.call(&mut scratch.service, request, reply)
        };
        match catch_unwind(AssertUnwindSafe(call)) {
            Ok(handled) => handled,
            Err(_) => {
                metrics::add(Counter::HandlerPanics, 1);
                scratch.output.truncate(start);
                scratch.service = self.hosted.service.worker();
                Counter::OtherFailed.into() // nothing was sent
            }
        }
    }

    /// Refuses the targets `*` and the authority of a CONNECT, which no service handles. After a CONNECT the client may
    /// have begun to use the tunnel that it did not get, so the connection ends.
    #[cold]
    fn refuse_target(head: &Head<'_>, mode: Mode, bytes: usize, scratch: &mut Scratch<S>) -> Step {
        let is_connect = head.path.is_empty();
        let mode = Mode {
            keep_alive: mode.keep_alive && !is_connect,
            ..mode
        };
        let reply = Reply::new(&mut scratch.output, &mut scratch.heads, mode);
        let fields = [("Allow", "GET, HEAD, POST")];
        reply.send(Status::MethodNotAllowed, TEXT, &fields, |out| {
            out.extend_from_slice(b"method not allowed\n");
        });
        metrics::answered(Counter::OtherRefused);
        if is_connect {
            return Step::Stop(bytes, Stop::End(End::Linger));
        }
        answered(head, mode, bytes)
    }

    /// Answers a fault; the connection ends after that.
    #[cold]
    pub(super) fn refuse(
        &mut self,
        fault: Fault,
        head_only: bool,
        scratch: &mut Scratch<S>,
    ) -> Step {
        metrics::add(fault.counter(), 1);
        let mode = Mode {
            head_only,
            keep_alive: false,
            minor: 1,
        };
        Reply::new(&mut scratch.output, &mut scratch.heads, mode).fault(fault);
        Step::Stop(0, Stop::End(End::Linger))
    }
}

/// Books an answered request of `bytes` bytes.
#[inline]
fn answered(head: &Head<'_>, mode: Mode, bytes: usize) -> Step {
    if mode.keep_alive {
        Step::Answered(bytes)
    } else {
        Step::Stop(bytes, Stop::End(End::of(head.keep_alive)))
    }
}
