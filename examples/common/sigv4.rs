//! Signature version 4 of Amazon's services: `Authorization` of a POST to `/`
//! (docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html). S3's URLs are signed by
//! `rusty-s3`.

use std::fmt::Write;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// Who signs, where, for which service.
pub struct Signer<'a> {
    /// The access key's id.
    pub key: &'a str,
    /// The secret access key.
    pub secret: &'a str,
    /// Such as `us-east-1`.
    pub region: &'a str,
    /// Such as `monitoring`.
    pub service: &'a str,
}

impl Signer<'_> {
    /// The value of `Authorization`. The fields are sorted by their names, which are in lower case; `x-amz-date` is one
    /// of them.
    pub fn authorization(&self, fields: &[(&str, &str)], body: &[u8]) -> String {
        let Self {
            key,
            secret,
            region,
            service,
        } = self;
        let time = fields.iter().find(|(name, _)| *name == "x-amz-date");
        let time = time.map_or("", |(_, value)| value);
        let day = time.split('T').next().unwrap_or_default();
        let names: Vec<_> = fields.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let line = |(name, value): &(&str, &str)| format!("{name}:{value}\n");
        let lines: String = fields.iter().map(line).collect();
        let request = format!(
            "POST\n/\n\n{lines}\n{names}\n{}",
            hex(&Sha256::digest(body))
        );
        let scope = format!("{day}/{region}/{service}/aws4_request");
        let text = format!(
            "AWS4-HMAC-SHA256\n{time}\n{scope}\n{}",
            hex(&Sha256::digest(request))
        );
        let secret = format!("AWS4{secret}").into_bytes();
        let steps = [day, region, service, "aws4_request", &text];
        let signature = hex(&steps.into_iter().fold(secret, |key, step| mac(&key, step)));
        let signed = format!("SignedHeaders={names}, Signature={signature}");
        format!("AWS4-HMAC-SHA256 Credential={key}/{scope}, {signed}")
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(key).map(|mac| mac.chain_update(text).finalize());
    mac.map_or(Vec::new(), |mac| mac.into_bytes().to_vec()) // a key of any length will do
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}"); // a string takes everything
        out
    })
}
