//! The thread that reads the figures of the history once a second; workers do not know it.

use std::{
    io,
    sync::{Arc, Weak},
    thread,
    time::Instant,
};

use super::{
    history::{Reading, STEP},
    service::AdminService,
};
use crate::metrics::Totals;

impl AdminService {
    /// Starts the thread that samples; it ends with the service.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn observe(self: &Arc<Self>) -> io::Result<()> {
        let admin = Arc::downgrade(self);
        thread::Builder::new()
            .name("sampler".into())
            .spawn(move || sample(&admin))
            .map(drop)
    }

    fn reading(&self) -> Reading {
        Reading {
            at: Instant::now(),
            totals: Totals::read(),
            process: self.refresh_process(),
            cache: self.app.cache().stats(),
            connections_open: self.server.connections_open(),
            connections_idle: self.server.connections_idle(),
        }
    }
}

fn sample(admin: &Weak<AdminService>) {
    let mut due = Instant::now();
    while let Some(admin) = admin.upgrade() {
        let reading = admin.reading();
        admin.history.lock().add(reading);
        drop(admin);
        due += STEP;
        let now = Instant::now();
        due = due.max(now); // steps lost in a pause of the machine are skipped
        thread::sleep(due - now);
    }
}
