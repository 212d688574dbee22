//! Log output: `tracing` events to standard error, as text or as JSON.
//!
//! `main` sets it up once the configuration is known. Events are state changes and carry their facts as
//! `key=value` fields. Nothing is logged per request: a warning that a request causes passes a
//! [`Throttle`].
//!
//! ```text
//! 2026-02-01T10:00:00.000000Z  INFO trident: configured file="/etc/trident/trident.toml" changed=3
//! {"timestamp":"2026-02-01T10:00:00.000000Z","level":"INFO","fields":{"message":"configured",…
//! ```

use std::{
    io::{self, IsTerminal},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tracing_subscriber::{
    EnvFilter, Layer, Registry, filter::LevelFilter, fmt, layer::SubscriberExt,
};

/// Settings of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// A level, or levels by module: `info,trident::http=debug`. See [`is_filter`].
    pub level: String,
    /// How an event is written.
    pub format: Format,
}

/// How an event is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Time, level, module, message and `key=value` fields on one line.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            level: "info".into(),
            format: Format::Text,
        }
    }
}

/// Whether `text` is one or more directives `level` or `module=level`, separated by commas.
///
/// Narrower than what the filter accepts: it would take the misspelt level `inof` for a module and
/// silence everything else.
pub fn is_filter(text: &str) -> bool {
    text.split(',').all(|directive| {
        let (module, level) = directive.split_once('=').unwrap_or(("trident", directive));
        let module_characters = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        !module.is_empty()
            && module.chars().all(module_characters)
            && !level.is_empty()
            && level.bytes().all(|b| b.is_ascii_alphabetic())
            && level.parse::<LevelFilter>().is_ok()
    })
}

/// Installs the log for the whole process.
///
/// Colour is used on a terminal, unless `NO_COLOR` is set to anything (<https://no-color.org>).
///
/// # Errors
/// The level is not a filter, or a log is installed already.
pub fn init(options: &Options) -> anyhow::Result<()> {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let ansi = io::stderr().is_terminal() && !no_color;
    tracing::subscriber::set_global_default(subscriber(options, ansi, io::stderr)?)?;
    Ok(())
}

fn subscriber<W>(
    options: &Options,
    ansi: bool,
    writer: W,
) -> anyhow::Result<impl tracing::Subscriber + Send + Sync>
where
    W: for<'w> fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::builder()
        .with_regex(false)
        .parse(&options.level)?;
    let lines = fmt::layer().with_writer(writer).with_ansi(ansi);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match options.format {
        Format::Text => lines.boxed(),
        Format::Json => lines.json().boxed(),
    };
    Ok(Registry::default().with(lines).with(filter))
}

/// Lets one line through per interval: a fault that comes with every request must not fill the log.
///
/// A `static` beside the line it guards. The line carries a total, so nothing goes unnoticed.
pub struct Throttle {
    interval_ms: u64,
    /// When the next line may pass, in milliseconds since [`START`].
    next_ms: AtomicU64,
}

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Throttle {
    /// Admits the first line, then one every `interval` at most.
    pub const fn every(interval: Duration) -> Self {
        Self {
            interval_ms: interval.as_millis() as u64,
            next_ms: AtomicU64::new(0),
        }
    }

    /// Whether the caller may write its line now.
    pub fn admits(&self) -> bool {
        self.admits_at(START.elapsed().as_millis() as u64)
    }

    fn admits_at(&self, now_ms: u64) -> bool {
        let next_ms = self.next_ms.load(Relaxed);
        now_ms >= next_ms
            && self
                .next_ms
                .compare_exchange(next_ms, now_ms + self.interval_ms, Relaxed, Relaxed)
                .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// How two events look under `level` and `format`.
    fn logged(level: &str, format: Format) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let options = Options {
            level: level.into(),
            format,
        };
        let subscriber = subscriber(&options, false, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::debug!(descriptor = 7, "inherited");
            tracing::info!(workers = 2, "listening");
        });
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn text_is_one_line_of_fields() {
        let text = logged("info", Format::Text);
        assert!(text.ends_with(" listening workers=2\n"), "{text:?}");
        assert_eq!(text.lines().count(), 1);
        assert!(!text.contains('\x1b'));
    }

    #[test]
    fn json_is_one_object_per_line() {
        let text = logged("trident=debug", Format::Json);
        let events: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(events.len(), 2);
        assert_eq!(events[0]["level"], "DEBUG");
        assert_eq!(events[1]["fields"]["message"], "listening");
        assert_eq!(events[1]["fields"]["workers"], 2);
    }

    #[test]
    fn a_throttle_admits_one_line_per_interval() {
        let throttle = Throttle::every(Duration::from_secs(10));
        let admitted = [3, 4, 10_002, 10_003, 10_004, 99_000, 99_001];
        let admitted = admitted.map(|now_ms| throttle.admits_at(now_ms));
        assert_eq!(admitted, [true, false, false, true, false, true, false]);
    }

    #[test]
    fn threads_that_race_get_one_line() {
        let throttle = Throttle::every(Duration::from_secs(3600));
        let lines = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| lines.fetch_add(usize::from(throttle.admits()), Relaxed));
            }
        });
        assert_eq!(lines.into_inner(), 1);
    }

    #[test]
    fn off_is_silent() {
        assert_eq!(logged("off", Format::Text), "");
    }

    #[test]
    fn levels_and_directives_are_told_from_misspellings() {
        for good in [
            "error",
            "WARN",
            "info",
            "trace",
            "off",
            "info,trident::http=debug",
        ] {
            assert!(is_filter(good), "{good}");
        }
        for bad in [
            "",
            "inof",
            "info,",
            "debug trident",
            "trident=",
            "=info",
            "a=b",
            "3",
            "x[y]=info",
        ] {
            assert!(!is_filter(bad), "{bad}");
        }
    }
}
