//! Files with names that are used once, in a directory or in S3.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, ensure};
use rusty_s3::{Credentials, S3Action, UrlStyle, actions::ListObjectsV2};
use ureq::http::{Method, StatusCode};
use uuid::Uuid;

use super::aws::Account;

/// How long the signature of a request to S3 is valid.
const SIGNED_FOR: Duration = Duration::from_secs(300);

/// Files by name. A file never changes.
pub trait Files: Send + Sync {
    /// All of them.
    fn list(&self) -> anyhow::Result<Vec<Uuid>>;

    /// Stores a new file durably.
    fn put(&self, name: Uuid, content: &[u8]) -> anyhow::Result<()>;

    /// Its bytes; `None` if it is not there.
    fn read(&self, name: Uuid) -> anyhow::Result<Option<Vec<u8>>>;

    /// Removes it.
    fn remove(&self, name: Uuid) -> anyhow::Result<()>;
}

/// The files in a directory, which is made if it is not there, or in `s3://BUCKET/PREFIX`.
pub fn open(place: &str) -> anyhow::Result<Box<dyn Files>> {
    Ok(match place.strip_prefix("s3://") {
        Some(place) => Box::new(Bucket::open(place)?),
        None => Box::new(Disk::open(place.into())?),
    })
}

/// Files in a directory.
struct Disk(PathBuf);

impl Disk {
    fn open(directory: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        Ok(Self(directory))
    }

    fn path(&self, name: Uuid) -> PathBuf {
        self.0.join(name.to_string())
    }
}

impl Files for Disk {
    fn list(&self) -> anyhow::Result<Vec<Uuid>> {
        let mut found = Vec::new();
        for file in fs::read_dir(&self.0)? {
            // Only what has such a name is ours.
            found.extend(Uuid::try_parse(&file?.file_name().to_string_lossy()).ok());
        }
        Ok(found)
    }

    fn put(&self, name: Uuid, content: &[u8]) -> anyhow::Result<()> {
        let mut file = File::create_new(self.path(name))?;
        file.write_all(content)?;
        file.sync_all()?;
        Ok(File::open(&self.0)?.sync_all()?)
    }

    fn read(&self, name: Uuid) -> anyhow::Result<Option<Vec<u8>>> {
        match fs::read(self.path(name)) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn remove(&self, name: Uuid) -> anyhow::Result<()> {
        Ok(fs::remove_file(self.path(name))?)
    }
}

/// Files in S3.
struct Bucket {
    account: Account,
    bucket: rusty_s3::Bucket,
    prefix: String,
}

impl Bucket {
    fn open(place: &str) -> anyhow::Result<Self> {
        let account = Account::of_environment()?;
        let (name, prefix) = place.split_once('/').unwrap_or((place, ""));
        let endpoint = account.address("s3").parse().context("AWS_ENDPOINT_URL")?;
        // Names with dots have no certificate of their own, and other implementations no names for buckets.
        let (name, region) = (name.to_owned(), account.region.clone());
        let bucket = rusty_s3::Bucket::new(endpoint, UrlStyle::Path, name, region)
            .context("cannot use this bucket")?;
        let prefix = match prefix.trim_end_matches('/') {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        };
        Ok(Self {
            account,
            bucket,
            prefix,
        })
    }

    fn object(&self, name: Uuid) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The body of an answer of 2xx; `None` for 404.
    fn ask<'a>(
        &'a self,
        method: Method,
        action: &impl S3Action<'a>,
        body: &[u8],
    ) -> anyhow::Result<Option<Vec<u8>>> {
        let url = action.sign(SIGNED_FOR);
        let (status, answer) = self.account.client.ask(method, url.as_str(), &[], body)?;
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let told = || String::from_utf8_lossy(&answer).into_owned();
        ensure!(status.is_success(), "S3 answers {status}: {}", told());
        Ok(Some(answer))
    }

    fn credentials(&self) -> Option<&Credentials> {
        Some(&self.account.credentials)
    }
}

impl Files for Bucket {
    fn list(&self) -> anyhow::Result<Vec<Uuid>> {
        let (mut found, mut next) = (Vec::new(), None::<String>);
        loop {
            let mut action = self.bucket.list_objects_v2(self.credentials());
            action.with_prefix(self.prefix.as_str());
            if let Some(next) = next {
                action.with_continuation_token(next);
            }
            let answer = self.ask(Method::GET, &action, &[])?;
            let answer = String::from_utf8(answer.context("there is no such bucket")?)?;
            let page = ListObjectsV2::parse_response(&answer)?;
            let names = page
                .contents
                .iter()
                .filter_map(|object| object.key.strip_prefix(&self.prefix));
            found.extend(names.filter_map(|name| Uuid::try_parse(name).ok()));
            next = page.next_continuation_token;
            if next.is_none() {
                return Ok(found);
            }
        }
    }

    fn put(&self, name: Uuid, content: &[u8]) -> anyhow::Result<()> {
        let object = self.object(name);
        let action = self.bucket.put_object(self.credentials(), &object);
        let put = self.ask(Method::PUT, &action, content)?;
        put.map(drop).context("there is no such bucket")
    }

    fn read(&self, name: Uuid) -> anyhow::Result<Option<Vec<u8>>> {
        let object = self.object(name);
        let action = self.bucket.get_object(self.credentials(), &object);
        self.ask(Method::GET, &action, &[])
    }

    fn remove(&self, name: Uuid) -> anyhow::Result<()> {
        let object = self.object(name);
        let action = self.bucket.delete_object(self.credentials(), &object);
        self.ask(Method::DELETE, &action, &[]).map(drop)
    }
}
