//! A MariaDB of the test's own: temporary directory, free port, stopped when dropped.

use crate::harness::{PATIENCE, eventually, required};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// User and password in an address; the password needs encoding.
pub const USER: &str = "trident:p%40ss%2Fword";

/// The password as it must never be seen, decoded or not.
pub const PASSWORD: [&str; 2] = ["p%40ss%2Fword", "p@ss/word"];

/// A running server with an empty database `trident`.
pub struct Database {
    directory: PathBuf,
    port: u16,
    options: Vec<String>,
    child: Child,
}

impl Database {
    /// Starts a database with further options; `None` if these tests are skipped.
    pub fn start(options: &[&str]) -> Option<Self> {
        let programs = ["mariadbd", "mariadb", "mariadb-install-db"];
        if !required("mariadb", &programs) {
            return None;
        }
        let version = Command::new("mariadbd").arg("--version").output().unwrap();
        let version = String::from_utf8_lossy(&version.stdout).into_owned();
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Relaxed);
        // The path of a socket must be short, so not below the project.
        let name = format!("trident-db-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        let copied = Command::new("cp")
            .arg("-r")
            .args([&template(&version), &directory])
            .status();
        assert!(copied.is_ok_and(|status| status.success()));
        let port = free_port();
        let options: Vec<String> = options.iter().map(|option| (*option).into()).collect();
        let child = spawn(&directory, port, &options);
        let mut database = Self {
            directory,
            port,
            options,
            child,
        };
        database.wait();
        database.root(
            "CREATE DATABASE trident; CREATE USER trident IDENTIFIED BY 'p@ss/word'; \
             GRANT ALL ON trident.* TO trident",
        );
        Some(database)
    }

    /// Its address with user and password.
    pub fn url(&self) -> String {
        self.url_as(USER, "trident")
    }

    /// The same through a proxy.
    pub fn url_through(&self, proxy: SocketAddr) -> String {
        format!("mysql://{USER}@{proxy}/trident")
    }

    /// Host and port.
    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// The address with another user and database.
    pub fn url_as(&self, user: &str, database: &str) -> String {
        format!("mysql://{user}@127.0.0.1:{}/{database}", self.port)
    }

    /// What a statement by the root user answers: columns by tabs, rows by lines.
    pub fn root(&self, statement: &str) -> String {
        let output = Command::new("mariadb")
            .args(["--no-defaults", "-uroot", "-N", "-B", "--raw"])
            .arg(format!("--socket={}", socket(&self.directory).display()))
            .args(["-e", statement])
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{statement}: {stderr}");
        String::from_utf8(output.stdout).unwrap().trim_end().into()
    }

    /// A transaction that has run a statement and stays open until it is dropped.
    pub fn holding(&self, statement: &str) -> Holding {
        let mut child = Command::new("mariadb")
            .args(["--no-defaults", "-uroot", "-N", "-B", "--unbuffered"])
            .arg(format!("--socket={}", socket(&self.directory).display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        writeln!(stdin, "START TRANSACTION; {statement}; SELECT 'held';").unwrap();
        let mut lines = BufReader::new(stdout).lines();
        assert!(lines.any(|line| line.unwrap() == "held"));
        Holding {
            child,
            _stdin: stdin,
        }
    }

    /// A number that a statement answers.
    pub fn number(&self, statement: &str) -> u64 {
        let text = self.root(statement);
        let number = text.split_whitespace().last().and_then(|n| n.parse().ok());
        number.unwrap_or_else(|| panic!("{statement}: {text}"))
    }

    /// How many prepared statements it was asked to run.
    pub fn executed(&self) -> u64 {
        self.number("SHOW GLOBAL STATUS LIKE 'Com_stmt_execute'")
    }

    /// Ends it as a crash would.
    pub fn crash(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again after a crash.
    pub fn restart(&mut self) {
        self.child = spawn(&self.directory, self.port, &self.options);
        self.wait();
    }

    /// Sends it a signal by name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status();
        assert!(sent.is_ok_and(|status| status.success()));
    }

    fn wait(&mut self) {
        let address = ([127, 0, 0, 1], self.port).into();
        let (directory, child) = (&self.directory, &mut self.child);
        let mut has_ended = || child.try_wait().unwrap().is_some();
        let is_settled = || {
            let connected = TcpStream::connect_timeout(&address, Duration::from_secs(1));
            has_ended() || connected.is_ok() && socket(directory).exists()
        };
        let is_up = eventually(is_settled) && !has_ended();
        let log = fs::read_to_string(directory.join("log.err")).unwrap_or_default();
        assert!(is_up, "MariaDB does not start:\n{log}");
    }
}

/// See [`Database::holding`].
pub struct Holding {
    child: Child,
    /// Its end would end the client.
    _stdin: ChildStdin,
}

impl Drop for Holding {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn socket(directory: &Path) -> PathBuf {
    directory.join("s")
}

fn as_this_user(command: &mut Command) {
    let user = Command::new("id").arg("-un").output().unwrap().stdout;
    let user = String::from_utf8(user).unwrap();
    command.arg(format!("--user={}", user.trim()));
}

fn spawn(directory: &Path, port: u16, options: &[String]) -> Child {
    let mut command = Command::new("mariadbd");
    command.arg("--no-defaults");
    as_this_user(&mut command);
    command
        .arg(format!("--datadir={}", directory.display()))
        .arg(format!("--socket={}", socket(directory).display()))
        .arg(format!("--pid-file={}", directory.join("pid").display()))
        .arg(format!(
            "--log-error={}",
            directory.join("log.err").display()
        ))
        .arg(format!("--port={port}"))
        .args([
            "--skip-networking=0",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--innodb-buffer-pool-size=32M",
            "--innodb-log-file-size=8M",
            "--innodb-flush-log-at-trx-commit=2",
            "--performance-schema=0",
        ])
        .args(options)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The files of a fresh installation, made once and kept for later runs.
fn template(version: &str) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(|poison| poison.into_inner());
    let name: String = version
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let template = place.join(format!("mariadb-{name}"));
    if template.exists() {
        return template;
    }
    let fresh = place.join(format!("mariadb-fresh-{}", std::process::id()));
    let _ = fs::remove_dir_all(&fresh);
    let mut command = Command::new("mariadb-install-db");
    command.arg("--no-defaults");
    as_this_user(&mut command);
    let start = Instant::now();
    let output = command
        .arg(format!("--datadir={}", fresh.display()))
        .args([
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--innodb-log-file-size=8M",
        ])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && start.elapsed() < PATIENCE,
        "{text}"
    );
    // Another process may have been first.
    if fs::rename(&fresh, &template).is_err() {
        let _ = fs::remove_dir_all(&fresh);
    }
    template
}
