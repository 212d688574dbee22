//! The same over TLS: a server that promises it and breaks it, and MySQL 8's login inside.

use super::*;
use crate::twitter::mysql::certificates::Certificates;
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

const CLIENT_SSL: u32 = 1 << 11;

/// The prefix of a login that asks for TLS: without user and password.
const SSL_REQUEST_BYTES: usize = 32;

/// Nothing but the wish for TLS is sent to a server that offers it and then fails, however often it is tried.
#[test]
fn tls_that_breaks_is_no_reason_to_go_without() {
    let alert: &[u8] = &[21, 3, 3, 0, 2, 2, 40]; // handshake_failure
    for (parameters, answer) in [
        ("", alert),
        ("ssl=require", alert),
        ("", b"no TLS at all"),
        ("", b""),
        ("ssl=require", b""),
    ] {
        let (send, sent) = mpsc::channel();
        let (address, _) = server(move |mut session| {
            let request = session.greet_with("mysql_native_password", CLIENT_SSL);
            let _ = session.stream.write_all(answer);
            let _ = send.send(request);
        });
        let url = url(address, parameters);
        let requests: Vec<_> = if answer.is_empty() {
            // As an outage: it is tried again.
            let _server = serve_from(&url, &[]);
            sent.iter().take(4).collect()
        } else {
            let (code, err) = told(serving(&url, &[]));
            assert!(code == 69 && err.contains("TLS"), "{code} {err}");
            sent.try_iter().collect()
        };
        assert!(!requests.is_empty());
        for request in requests.into_iter().flatten() {
            assert_eq!(
                request.len(),
                SSL_REQUEST_BYTES,
                "{parameters}: {request:?}"
            );
        }
    }
}

/// The rest of the connection over TLS, with the certificate that is for 127.0.0.1.
fn over_tls(stream: TcpStream, certificates: &Certificates) -> Session {
    let chain = CertificateDer::pem_file_iter(certificates.file("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(certificates.file("server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.map(Result::unwrap).collect(), key)
        .unwrap();
    let connection = ServerConnection::new(Arc::new(config)).unwrap();
    Session {
        stream: Box::new(StreamOwned::new(connection, stream)),
        number: 0,
    }
}

/// `caching_sha2_password` that does not remember the account wants the password itself: it gets it inside TLS, and only
/// if the certificate was checked.
#[test]
fn a_verified_server_gets_the_password_and_no_other() {
    if !crate::harness::required("mariadb", &["openssl"]) {
        return;
    }
    let certificates = Arc::new(Certificates::new());
    let ca = certificates.file("ca.pem");
    for (parameters, is_verified) in [
        (format!("ssl=verify-identity&ssl-ca={ca}"), true),
        (format!("ssl=verify-ca&ssl-ca={ca}"), true),
        ("ssl=require".into(), false),
        ("ssl=prefer".into(), false),
    ] {
        let (send, sent) = mpsc::channel();
        let (meta, own) = (meta(), Arc::clone(&certificates));
        let (address, _) = accepting(move |stream| {
            let mut session = Session {
                stream: Box::new(stream.try_clone().unwrap()),
                number: 0,
            };
            if session
                .greet_with("caching_sha2_password", CLIENT_SSL)
                .is_none()
            {
                return;
            }
            let mut session = over_tls(stream, &own);
            if session.receive().is_some() {
                session.take_password(&send, &meta);
            }
        });
        let url = url(address, &parameters);
        if is_verified {
            let server = serve_from(&url, &[]);
            let is_ready = || server.ask(crate::harness::READY).status == 200;
            assert!(eventually(is_ready), "{parameters}: {}", server.log());
            let password = [database::PASSWORD[1].as_bytes(), b"\0"].concat();
            assert_eq!(sent.recv().unwrap(), password);
        } else {
            let (code, err) = told(serving(&url, &[]));
            assert!(
                code == 69 && err.contains("ssl=verify-identity"),
                "{code} {err}"
            );
            assert!(sent.try_recv().is_err(), "{parameters}");
        }
    }
}
