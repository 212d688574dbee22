//! Certificates of the test's own.

use crate::temp_dir::TempDir;
use std::process::Command;

/// An authority and a server's certificate for 127.0.0.1, one for a client, and an authority that nobody knows.
pub struct Certificates(TempDir);

impl Certificates {
    /// Made by `openssl`.
    pub fn new() -> Self {
        let directory = TempDir::new();
        let script = "
            for name in ca other; do
                openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout $name.key -out $name.pem -subj /CN=$name
            done
            for name in server client; do
                openssl req -newkey rsa:2048 -nodes -keyout $name.key -out $name.csr -subj /CN=$name
                printf 'subjectAltName=IP:127.0.0.1\\nbasicConstraints=CA:FALSE\\n' >extensions
                openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
                    -extfile extensions -out $name.pem
            done";
        let made = Command::new("sh")
            .args(["-ec", script])
            .current_dir(&*directory)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "{told}");
        Self(directory)
    }

    /// The path of one of the files.
    pub fn file(&self, name: &str) -> String {
        self.0.path(name)
    }

    /// Options of a server that has the certificate.
    pub fn options(&self) -> [String; 3] {
        [
            ("ca", "ca.pem"),
            ("cert", "server.pem"),
            ("key", "server.key"),
        ]
        .map(|(option, name)| format!("--ssl-{option}={}", self.file(name)))
    }
}
