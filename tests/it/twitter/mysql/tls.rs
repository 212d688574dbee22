//! TLS to the database: each mode against servers that require it, offer it, have the wrong name, or none.

use super::{certificates::Certificates, *};

/// Serves from `url` and checks the answer to a query about user 3.
fn serves(url: &str) {
    let server = serve_from(url, &[]);
    let text = ask(&mut server.connect(), &about(3)).text();
    assert_eq!(text, answer(3, "first"), "{url}");
}

fn refuses(url: &str, why: &[&str]) {
    let (code, err) = told(serving(url, &[]));
    assert_eq!(code, 69, "{url}: {err}");
    for why in why {
        assert!(err.contains(why), "{url}: {err}");
    }
}

#[test]
fn a_server_that_requires_tls() {
    if !crate::harness::required("mariadb", &["openssl"]) {
        return;
    }
    let certificates = Certificates::new();
    let options = certificates.options();
    let mut options: Vec<&str> = options.iter().map(String::as_str).collect();
    options.push("--require-secure-transport=ON");
    // The load that fills the database uses TLS too.
    let Some((_place, database)) = filled(5, &options) else {
        return;
    };
    let url = |parameters: &str| format!("{}?{parameters}", database.url());
    let ca = format!("ssl-ca={}", certificates.file("ca.pem"));
    let other = format!("ssl-ca={}", certificates.file("other.pem"));
    serves(&database.url());
    serves(&url("ssl=require"));
    serves(&url(&format!("ssl=verify-ca&{ca}")));
    serves(&url(&format!("ssl=verify-identity&{ca}")));
    refuses(&url("ssl=off"), &["TLS", "ssl=require"]);
    refuses(
        &url(&format!("ssl=verify-ca&{other}")),
        &["TLS", "ssl-ca=FILE"],
    );
    refuses(&url("ssl=verify-ca"), &["TLS", "ssl-ca=FILE"]);
    // The certificate is for 127.0.0.1 and for no name.
    let by_name = |parameters: &str| url(parameters).replace("127.0.0.1", "localhost");
    serves(&by_name(&format!("ssl=verify-ca&{ca}")));
    refuses(
        &by_name(&format!("ssl=verify-identity&{ca}")),
        &["TLS", "localhost"],
    );
    refuses(
        &url("ssl=verify-ca&ssl-ca=/no/such.pem"),
        &["TLS", "/no/such.pem"],
    );

    database.root("ALTER USER trident REQUIRE X509");
    refuses(&url("ssl=require"), &["refuses us", "client certificate"]);
    let identity = format!(
        "ssl-cert={}&ssl-key={}",
        certificates.file("client.pem"),
        certificates.file("client.key")
    );
    serves(&url(&format!("ssl=verify-identity&{ca}&{identity}")));
}

/// An account that is for TLS only, on a server that does without; and the authorities of the system.
#[test]
fn an_account_that_requires_tls() {
    if !crate::harness::required("mariadb", &["openssl"]) {
        return;
    }
    let certificates = Certificates::new();
    let options = certificates.options();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let Some((_place, database)) = filled(5, &options) else {
        return;
    };
    let url = |parameters: &str| format!("{}?{parameters}", database.url());
    serves(&url("ssl=off"));
    database.root("ALTER USER trident REQUIRE SSL");
    serves(&database.url());
    serves(&url("ssl=require"));
    refuses(&url("ssl=off"), &["TLS", "ssl=require"]);
    // Where the system keeps its authorities says OpenSSL's variable.
    for mode in ["verify-ca", "verify-identity"] {
        let url = url(&format!("ssl={mode}"));
        refuses(&url, &["TLS", "ssl-ca=FILE"]);
        let mut command = serving(&url, &[]);
        command.env("SSL_CERT_FILE", certificates.file("ca.pem"));
        let server = Server::spawn(command);
        let text = ask(&mut server.connect(), &about(3)).text();
        assert_eq!(text, answer(3, "first"), "{mode}");
    }
}

#[test]
fn a_server_without_tls() {
    let Some((_place, database)) = filled(5, &["--skip-ssl"]) else {
        return;
    };
    let url = |parameters: &str| format!("{}?{parameters}", database.url());
    serves(&url("ssl=prefer"));
    serves(&url("ssl=off"));
    for mode in ["require", "verify-ca", "verify-identity"] {
        let refused = ["TLS", "the server offers none"];
        refuses(&url(&format!("ssl={mode}")), &refused);
    }
}

#[test]
fn mistyped_parameters_are_no_address() {
    for parameters in [
        "ssl=on",
        "ssl=require&ssl-ca=/a",
        "ssl-ca=/a",
        "ssl=verify-ca&ssl-cert=/a",
        "ssl_mode=require",
        "require_ssl=true",
        "policy=random",
    ] {
        let (code, err) = told(serving(&format!("mysql://u:secret@h/d?{parameters}"), &[]));
        assert_eq!(code, 64, "{parameters}: {err}");
        assert!(!err.contains("secret"), "{err}");
    }
}
