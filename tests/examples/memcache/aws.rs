//! Files in S3, the map in MariaDB, statistics in CloudWatch: a local AWS (moto) of the test's own.

use super::*;
use crate::{
    database::Database,
    harness::{required, unless_skipped},
};
use std::{net::TcpListener, net::TcpStream, path::Path};

/// Who asks. moto takes anybody.
const VARIABLES: [(&str, &str); 3] = [
    ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "secret"),
    ("AWS_REGION", "us-east-1"),
];

/// moto on a free port; ended when dropped.
struct Moto {
    child: Child,
    address: SocketAddr,
}

impl Moto {
    fn start() -> Option<Self> {
        // Where scripts/test-ops installs it if the machine has none.
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/ops-venv/bin/moto_server");
        let (program, is_wanted) = if own.is_file() {
            (own, unless_skipped("moto", None))
        } else {
            ("moto_server".into(), required("moto", &["moto_server"]))
        };
        if !is_wanted {
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let child = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut moto = Self { child, address };
        let is_up =
            || moto.child.try_wait().unwrap().is_some() || TcpStream::connect(address).is_ok();
        assert!(eventually(is_up));
        assert_eq!(moto.child.try_wait().unwrap(), None, "moto has ended");
        Some(moto)
    }

    /// The body of its answer to a call of a service.
    fn call(&self, service: &str, method: &str, path: &str, body: &str) -> String {
        let scope = format!("AKIDEXAMPLE/20261130/us-east-1/{service}/aws4_request");
        let authorization = format!(
            "Authorization: AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0\r\n"
        );
        let kind = match service {
            "monitoring" => "Content-Type: application/x-www-form-urlencoded\r\n",
            _ => "",
        };
        let fields = format!("{authorization}{kind}Connection: close\r\n");
        let answer = ask(
            &mut Client::connect(self.address),
            method,
            path,
            &fields,
            body.as_bytes(),
        );
        assert!(answer.status < 300, "{path} {body}: {}", answer.text());
        answer.text()
    }

    fn memcache(&self, directory: TempDir, more: &[&str]) -> Memcache {
        let mut command = Command::new(example("memcache"));
        let endpoint = format!("http://{}", self.address);
        command.envs(VARIABLES).env("AWS_ENDPOINT_URL", endpoint);
        Memcache::start_with(command, directory, more)
    }

    /// How many files there are.
    fn files(&self) -> usize {
        let listed = self.call("s3", "GET", "/cache?list-type=2&prefix=some/files/", "");
        listed.matches("<Key>some/files/").count()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn files_in_s3_and_their_map_in_mariadb() {
    let Some(moto) = Moto::start() else { return };
    let Some(database) = Database::start(&["--innodb-flush-log-at-trx-commit=1"]) else {
        return;
    };
    moto.call("s3", "PUT", "/cache", "");
    let url = database.url();
    let flags = [
        "--map",
        &url,
        "--files",
        "s3://cache/some/files",
        "--nodes",
        "2",
    ];
    let mut memcache = moto.memcache(TempDir::new(), &flags);
    let mut front = memcache.front();
    let all_bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    for key in ["k1", "a/b?c#d e%2F+", "\"☃\"", "gone"] {
        assert_eq!(front.upload(key, b"first").0, 200);
        assert_eq!(front.read(key).unwrap(), b"first");
        assert_eq!(front.upload(key, &all_bytes).0, 200);
        for _ in 0..2 {
            assert_eq!(front.read(key).unwrap(), all_bytes, "{key}");
        }
    }
    // One says whose they are.
    assert_eq!(moto.files(), 1 + 4, "an old version is removed");
    assert_eq!(
        database.number("SELECT COUNT(*) FROM trident.memcache_versions"),
        4
    );
    assert!(
        !memcache.directory.join("store").exists(),
        "nothing is on the disk"
    );

    // Everything is killed; a file that no key names is left behind, as by an interrupted upload.
    memcache.kill();
    let left = "/cache/some/files/6ba7b810-9dad-41d1-80b4-00c04fd430c8";
    moto.call("s3", "PUT", left, "behind");
    assert_eq!(moto.files(), 1 + 5);
    let directory = std::mem::replace(&mut memcache.directory, TempDir::new());
    let restarted = moto.memcache(directory, &flags);
    assert_eq!(moto.files(), 1 + 4);
    let mut front = restarted.front();
    assert_eq!(
        front.keys(),
        json!(["\"☃\"", "a/b?c#d e%2F+", "gone", "k1"])
    );
    assert_eq!(front.read("k1").unwrap(), all_bytes);
    restarted.does("POST", "/api/delete_all", &json!({}));
    assert_eq!((front.read("k1"), moto.files()), (None, 1));
}

#[test]
fn the_pool_is_in_cloudwatch() {
    let Some(moto) = Moto::start() else { return };
    let flags = [
        "--cloudwatch",
        "image cache",
        "--cloudwatch-ms",
        "100",
        "--nodes",
        "3",
    ];
    let _memcache = moto.memcache(TempDir::new(), &flags);
    let body = "Action=ListMetrics&Version=2010-08-01&Namespace=image%20cache";
    let wanted = [
        "memcache_pool_nodes",
        "memcache_pool_last_minute_items",
        "memcache_requests_total",
    ];
    let has_all = || {
        let told = moto.call("monitoring", "POST", "/", body);
        wanted
            .iter()
            .all(|name| told.contains(&format!("<MetricName>{name}</MetricName>")))
    };
    assert!(eventually(has_all));
    let times = "StartTime=2000-01-01T00:00:00Z&EndTime=2100-01-01T00:00:00Z&Period=86400";
    let body = format!(
        "Action=GetMetricStatistics&Version=2010-08-01&Namespace=image%20cache&\
         MetricName=memcache_pool_nodes&{times}&Statistics.member.1=Maximum"
    );
    let told = moto.call("monitoring", "POST", "/", &body);
    assert!(told.contains("<Maximum>3.0</Maximum>"), "{told}");
}

#[test]
fn what_is_missing_for_aws_is_named() {
    let directory = TempDir::new();
    let front = |variables: &[(&str, &str)], files: &str| {
        let mut command = Command::new(example("memcache"));
        let store = directory.path("store");
        command.env_clear().envs(variables.iter().copied());
        command.args([
            "front",
            "--front-listen",
            "127.0.0.1:0",
            "--store",
            &store,
            "--files",
            files,
        ]);
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    for missing in 0..VARIABLES.len() {
        let mut variables = VARIABLES.to_vec();
        let (name, _) = variables.remove(missing);
        let told = front(&variables, "s3://cache");
        let name = name.replace("AWS_REGION", "AWS_DEFAULT_REGION");
        assert!(told.contains(&name), "{told}");
    }
    // A port that nobody listens on; the message has no signature.
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let url = format!("http://{nobody}");
    let told = front(
        &[&VARIABLES[..], &[("AWS_ENDPOINT_URL", &url)]].concat(),
        "s3://cache",
    );
    assert!(
        told.contains("no answer") && !told.contains("X-Amz"),
        "{told}"
    );
}
