//! The elastic image cache: every role a process, all on free ports of loopback.

mod api;
mod automatic;
mod aws;
mod elastic;
mod manager;
mod mariadb;
mod pure;

use crate::{
    example,
    harness::{Client, Response, eventually},
    temp_dir::TempDir,
};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

/// The token of calls between the roles.
const TOKEN: &str = "a-token-for-tests";

/// `memcache all`; killed when dropped, and its processes end with it.
struct Memcache {
    directory: TempDir,
    child: Child,
    front: SocketAddr,
    manager: SocketAddr,
    autoscaler: SocketAddr,
}

impl Memcache {
    /// With a minute that no test waits for, and with frequent samples.
    fn start(more: &[&str]) -> Self {
        Self::start_in(TempDir::new(), more)
    }

    fn start_in(directory: TempDir, more: &[&str]) -> Self {
        Self::start_with(Command::new(example("memcache")), directory, more)
    }

    /// With the variables of `command`.
    fn start_with(mut command: Command, directory: TempDir, more: &[&str]) -> Self {
        command.env("MEMCACHE_TOKEN", TOKEN).arg("all");
        for role in ["front", "manager", "autoscaler"] {
            command.args([&format!("--{role}-listen"), "127.0.0.1:0"]);
        }
        command.arg("--store").arg(directory.join("store"));
        if !more.contains(&"--sample-ms") {
            command.args(["--sample-ms", "50"]);
        }
        command.args(more);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut address = |role: &str| {
            let line = lines.next().expect("it prints its addresses").unwrap();
            let address = line.strip_prefix(&format!("{role} http://"));
            address.expect(&line).parse().unwrap()
        };
        Self {
            front: address("front"),
            manager: address("manager"),
            autoscaler: address("autoscaler"),
            directory,
            child,
        }
    }

    fn front(&self) -> Front {
        Front(Client::connect(self.front))
    }

    /// Status and body of a call of the manager.
    fn order(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let mut client = Client::connect(self.manager);
        let answer = ask(&mut client, method, path, JSON, body.to_string().as_bytes());
        (answer.status, json_of(&answer))
    }

    fn does(&self, method: &str, path: &str, body: &Value) {
        let (status, answer) = self.order(method, path, body);
        assert_eq!(status, 200, "{method} {path} {body}: {answer}");
    }

    fn grow(&self) {
        self.does("POST", "/api/grow", &json!({}));
    }

    fn shrink(&self) {
        self.does("POST", "/api/shrink", &json!({}));
    }

    fn state(&self) -> Value {
        let (status, state) = self.order("GET", "/api/state", &json!(null));
        assert_eq!(status, 200, "{state}");
        state
    }

    fn node_count(&self) -> u64 {
        self.state()["nodes"].as_u64().unwrap()
    }

    /// The addresses of the nodes, in the order of their partitions.
    fn nodes(&self) -> Vec<SocketAddr> {
        let state = self.state();
        let url = |node: &Value| node["url"].as_str().unwrap().replace("http://", "");
        let nodes = state["pool"].as_array().unwrap().iter();
        nodes.map(|node| url(node).parse().unwrap()).collect()
    }

    /// The answer of a node to a call of another role.
    fn node(node: SocketAddr, path: &str) -> Value {
        let authorization = format!("Authorization: Bearer {TOKEN}\r\n");
        let mut client = Client::connect(node);
        json_of(&ask(&mut client, "GET", path, &authorization, b""))
    }

    /// What the nodes have counted together.
    fn counted(&self, member: &str) -> u64 {
        let of = |node| Self::node(node, "/statistics")[member].as_u64().unwrap();
        self.nodes().into_iter().map(of).sum()
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Memcache {
    fn drop(&mut self) {
        self.kill();
        // The processes below hold files in the directory; they end by themselves.
        let is_there = |address| std::net::TcpStream::connect(address).is_ok();
        assert!(eventually(|| !is_there(self.front)));
    }
}

/// A connection to the front.
struct Front(Client);

impl Front {
    fn upload(&mut self, key: &str, file: &[u8]) -> (u16, Value) {
        let body = form(&[("key", key.as_bytes()), ("file", file)]);
        self.call("/api/upload", FORM, &body)
    }

    fn call(&mut self, path: &str, fields: &str, body: &[u8]) -> (u16, Value) {
        let answer = ask(&mut self.0, "POST", path, fields, body);
        (answer.status, json_of(&answer))
    }

    /// The file of a key; `None` if there is none.
    fn read(&mut self, key: &str) -> Option<Vec<u8>> {
        let (status, answer) = self.call(&format!("/api/key/{}", in_path(key)), "", b"");
        if status == 404 {
            return None;
        }
        assert_eq!((status, &answer["success"]), (200, &json!("true")));
        let content = answer["content"].as_str().unwrap();
        Some(base64_simd::STANDARD.decode_to_vec(content).unwrap())
    }

    fn keys(&mut self) -> Value {
        let (status, answer) = self.call("/api/list_keys", "", b"");
        assert_eq!((status, &answer["success"]), (200, &json!("true")));
        answer["keys"].clone()
    }
}

const JSON: &str = "Content-Type: application/json\r\n";

const FORM: &str = "Content-Type: multipart/form-data; boundary=limit\r\n";

/// A body of `FORM` with these parts.
fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, content) in parts {
        let head = format!(
            "--limit\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"f\"\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--limit--\r\n");
    body
}

/// A key as a segment of a path.
fn in_path(key: &str) -> String {
    key.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn ask(client: &mut Client, method: &str, path: &str, fields: &str, body: &[u8]) -> Response {
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: t\r\n{fields}Content-Length: {length}\r\n\r\n");
    client.ask(&[head.as_bytes(), body].concat())
}

fn json_of(answer: &Response) -> Value {
    let kind = answer.field("content-type");
    assert_eq!(kind, Some("application/json"), "{answer:?}");
    serde_json::from_slice(&answer.body).unwrap()
}
