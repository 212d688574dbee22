//! Amazon's services: who asks, and CloudWatch. Account, region and, for other implementations, the address come from
//! the usual variables of the environment.

use std::{
    env,
    fmt::Write,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context, ensure};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use prometheus::proto::{MetricFamily, MetricType};
use rusty_s3::Credentials;
use ureq::{
    Agent,
    http::Method,
    tls::{Certificate, RootCerts, TlsConfig},
};

use super::{client::Client, sigv4::Signer};

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Who asks, and where.
pub struct Account {
    /// Who asks.
    pub credentials: Credentials,
    /// Where.
    pub region: String,
    /// Instead of Amazon's own addresses.
    endpoint: Option<String>,
    /// Speaks TLS.
    pub client: Client,
}

impl Account {
    /// The account that the environment's variables name.
    pub fn of_environment() -> anyhow::Result<Self> {
        let set = |name| env::var(name).with_context(|| format!("set {name} for AWS"));
        let key = set("AWS_ACCESS_KEY_ID")?;
        let secret = set("AWS_SECRET_ACCESS_KEY")?;
        let region = env::var("AWS_REGION").or_else(|_| set("AWS_DEFAULT_REGION"))?;
        let credentials = match env::var("AWS_SESSION_TOKEN") {
            Ok(token) => Credentials::new_with_token(key, secret, token),
            Err(_) => Credentials::new(key, secret),
        };
        let trusted = rustls_native_certs::load_native_certs().certs;
        let trusted: Vec<_> = trusted
            .iter()
            .map(|cert| Certificate::from_der(cert).to_owned())
            .collect();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::from(trusted))
            .unversioned_rustls_crypto_provider(provider);
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(TIMEOUT))
            .tls_config(tls.build());
        Ok(Self {
            credentials,
            region,
            endpoint: env::var("AWS_ENDPOINT_URL").ok(),
            client: Client {
                agent: config.build().into(),
                ..Client::new("", TIMEOUT, None) // addresses are those of services
            },
        })
    }

    /// The address of a service, without a slash at its end.
    pub fn address(&self, service: &str) -> String {
        let amazon = || format!("https://{service}.{}.amazonaws.com", self.region);
        let address = self.endpoint.clone().unwrap_or_else(amazon);
        address.trim_end_matches('/').into()
    }
}

/// CloudWatch's custom metrics.
pub struct CloudWatch {
    account: Account,
    namespace: String,
}

impl CloudWatch {
    /// The metrics of this namespace.
    pub fn new(namespace: String) -> anyhow::Result<Self> {
        let account = Account::of_environment()?;
        Ok(Self { account, namespace })
    }

    /// Sends the present values of counters and gauges, with their labels as dimensions (PutMetricData).
    pub fn send(&self, families: &[MetricFamily]) -> anyhow::Result<()> {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let mut form = String::from("Action=PutMetricData&Version=2010-08-01");
        write!(form, "&Namespace={}", encoded(&self.namespace))?;
        let is_sent = |family: &&MetricFamily| family.get_field_type() != MetricType::HISTOGRAM;
        let all = families.iter().filter(is_sent).flat_map(|family| {
            let metrics = family.get_metric().iter();
            metrics.map(move |metric| (family.name(), metric))
        });
        for ((name, metric), n) in all.zip(1..) {
            let member = format!("&MetricData.member.{n}");
            // One of the two is zero.
            let value = metric.get_counter().get_value() + metric.get_gauge().get_value();
            write!(form, "{member}.MetricName={name}{member}.Value={value}")?;
            for (label, n) in metric.get_label().iter().zip(1..) {
                let dimension = format!("{member}.Dimensions.member.{n}");
                let (name, value) = (label.name(), encoded(label.value()));
                write!(form, "{dimension}.Name={name}{dimension}.Value={value}")?;
            }
        }
        self.post(form.as_bytes())
    }

    fn post(&self, form: &[u8]) -> anyhow::Result<()> {
        let Account {
            credentials,
            region,
            client,
            ..
        } = &self.account;
        let url = format!("{}/", self.account.address("monitoring"));
        let time = humantime::format_rfc3339_seconds(SystemTime::now());
        let time = time.to_string().replace(['-', ':'], "");
        let mut fields = vec![
            ("content-type", "application/x-www-form-urlencoded"),
            ("host", url.split('/').nth(2).unwrap_or_default()),
            ("x-amz-date", &time),
        ];
        let token = credentials.token();
        fields.extend(token.map(|token| ("x-amz-security-token", token)));
        let signer = Signer {
            key: credentials.key(),
            secret: credentials.secret(),
            region,
            service: "monitoring",
        };
        let authorization = signer.authorization(&fields, form);
        fields.push(("authorization", &authorization));
        let (status, answer) = client.ask(Method::POST, &url, &fields, form)?;
        let told = || String::from_utf8_lossy(&answer).into_owned();
        ensure!(status.is_success(), "it answers {status}: {}", told());
        Ok(())
    }
}
