//! TLS to a database: `?ssl=` and the options that belong to it.
//!
//! | `ssl` | TLS | certificate |
//! | --- | --- | --- |
//! | `off` | never | |
//! | `prefer` (default) | if the server offers it | not checked |
//! | `require` | always | not checked: keeps readers out, not impostors |
//! | `verify-ca` | always | from an authority in `ssl-ca`, or of the system |
//! | `verify-identity` | always | the same, and for the host's name |
//!
//! The names are those of MySQL's `--ssl-mode`. A server that offers TLS and fails to make it is an error in every
//! mode but `off`: nothing falls back to plain text.

use super::{
    DatabaseFault,
    address::{Mode, TlsOptions},
};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};
use std::{
    fmt::Display,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// The options with their files read.
pub(super) struct Tls {
    pub(super) mode: Mode,
    connector: TlsConnector,
    server_key: Option<Vec<u8>>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`DatabaseFault::Tls`]: a file cannot be read or is not a PEM file of its kind.
    pub(super) fn load(options: &TlsOptions) -> Result<Self, DatabaseFault> {
        let provider = Arc::new(ring::default_provider());
        let webpki = if options.mode.verifies() {
            let roots = Arc::new(authorities(options.ca.as_deref())?);
            let builder = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider));
            Some(builder.build().map_err(wrong)?)
        } else {
            None
        };
        let verifier = Arc::new(Verifier {
            webpki,
            checks_name: options.mode == Mode::VerifyIdentity,
            algorithms: provider.signature_verification_algorithms,
        });
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(wrong)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let config = match &options.identity {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificates(certificate)?;
                let key = PrivateKeyDer::from_pem_file(key).map_err(|error| in_file(key, error))?;
                config.with_client_auth_cert(chain, key).map_err(wrong)?
            }
        };
        Ok(Self {
            mode: options.mode,
            connector: TlsConnector::from(Arc::new(config)),
            server_key: options.server_key.as_deref().map(public_key).transpose()?,
        })
    }

    /// Makes TLS on an open connection to the host that the address calls `name`.
    pub(super) async fn connect(
        &self,
        name: &str,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, DatabaseFault> {
        let name = ServerName::try_from(name.to_owned()).map_err(wrong)?;
        self.connector.connect(name, stream).await.map_err(|error| {
            match error.get_ref().and_then(|inner| inner.downcast_ref()) {
                Some(error @ Error::InvalidCertificate(_)) => DatabaseFault::Tls(format!(
                    "{error}; give the authority's certificate with ssl-ca=FILE, or the name that the certificate is for"
                )),
                Some(error) => wrong(error),
                None => DatabaseFault::Unreachable(error.to_string()),
            }
        })
    }

    pub(super) fn has_server_key(&self) -> bool {
        self.server_key.is_some()
    }

    /// Encrypts a password, which ends with a zero byte, for the server's key (RSA-OAEP over the password XOR the
    /// nonce, as `caching_sha2_password` has it).
    pub(super) fn encrypt(&self, password: &[u8], nonce: &[u8]) -> Result<Vec<u8>, DatabaseFault> {
        let key = self.server_key.as_deref().unwrap_or_default();
        if nonce.is_empty() {
            return Err(DatabaseFault::Garbled("a login without a challenge".into()));
        }
        let mixed: Vec<u8> = password
            .iter()
            .zip(nonce.iter().cycle())
            .map(|(a, b)| a ^ b)
            .collect();
        encrypt(&mixed, key).ok_or_else(|| wrong("the password is too long for the server's key"))
    }
}

fn wrong(error: impl Display) -> DatabaseFault {
    DatabaseFault::Tls(error.to_string())
}

fn in_file(path: &Path, error: impl Display) -> DatabaseFault {
    DatabaseFault::Tls(format!("{}: {error}", path.display()))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, DatabaseFault> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(certificates) if certificates.is_empty() => Err(in_file(path, "holds no certificate")),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(in_file(path, error)),
    }
}

fn authorities(file: Option<&Path>) -> Result<RootCertStore, DatabaseFault> {
    let mut roots = RootCertStore::empty();
    let Some(file) = file else {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            return Err(wrong(
                "the system has no authorities (package ca-certificates); say ssl-ca=FILE",
            ));
        }
        return Ok(roots);
    };
    for certificate in certificates(file)? {
        roots
            .add(certificate)
            .map_err(|error| in_file(file, error))?;
    }
    Ok(roots)
}

fn public_key(path: &Path) -> Result<Vec<u8>, DatabaseFault> {
    let key = fs::read(path).map_err(|error| in_file(path, error))?;
    match encrypt(&[0], &key) {
        Some(_) => Ok(key),
        None => Err(in_file(path, "is no RSA public key in PEM")),
    }
}

/// The driver's own function panics on an invalid key.
fn encrypt(block: &[u8], key: &[u8]) -> Option<Vec<u8>> {
    let has_key = key.windows(10).any(|part| part == b"PUBLIC KEY");
    if !has_key {
        return None;
    }
    let encrypted = || mysql_common::crypto::encrypt(block, key);
    catch_unwind(AssertUnwindSafe(encrypted)).ok()
}

/// Checks the certificate as the mode requires. Every mode checks that the server has the certificate's key.
#[derive(Debug)]
struct Verifier {
    /// Checks certificate and name; `None` = any certificate will do.
    webpki: Option<Arc<WebPkiServerVerifier>>,
    checks_name: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(webpki) = &self.webpki else {
            return Ok(ServerCertVerified::assertion());
        };
        match webpki.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            // The name is checked last, so everything else is right.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.checks_name => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
