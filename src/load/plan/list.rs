//! Requests from a list of URLs (`--urls`, or URLs with a path on the command line) or from an access log (`--replay`).
//!
//! ```text
//! # METHOD and expectations may be left out; an answer with a status below 400 is right then
//! http://shop.test/items?page=2
//! POST /orders  send=order.json  status=201
//! /logo.png     sha256=9f86d081…
//! 10.0.0.7 - - [10/Oct/2026:13:55:36 +0000] "GET /items HTTP/1.1" 200 2326      (a line of an access log)
//! ```
//!
//! Figures are grouped by the first segment of the path.

use crate::load::{
    error::LoadError,
    format::digest,
    judge::expect::{Expect, StatusRule},
    plan::corpus::{Corpus, Entry, request},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// Groups with figures of their own; paths beyond share one.
const GROUPS_MAX: usize = 16;
/// The group of the others.
const OTHERS: &str = "others";
/// An unchecked answer has a status below 400.
const UNCHECKED: StatusRule = StatusRule::BelowOr(200);

/// Reads a list of URLs. Files that it names are looked up in its directory.
///
/// # Errors
/// The list or a file that it names cannot be read, a line is not a request, or the URLs name several servers and
/// `has_target` is not set.
pub fn read_urls(path: &Path, has_target: bool) -> Result<Corpus, LoadError> {
    let text = read(path)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let lines = text.lines().map(str::trim).enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    parse_urls(lines, &path.display().to_string(), folder, has_target)
}

/// The URLs of the command line as a list.
///
/// # Errors
/// A text is not a URL, or the URLs name several servers.
pub fn of_urls(urls: &[String]) -> Result<Corpus, LoadError> {
    let lines = urls.iter().map(String::as_str).enumerate();
    parse_urls(lines, "URL", Path::new(""), false)
}

fn parse_urls<'a>(
    lines: impl Iterator<Item = (usize, &'a str)>,
    name: &str,
    folder: &Path,
    has_target: bool,
) -> Result<Corpus, LoadError> {
    let mut list = List::default();
    let mut servers = BTreeSet::new();
    for (index, line) in lines {
        let entry = url_line(line, folder).map_err(|message| LoadError::Corpus {
            corpus: name.into(),
            line: index + 1,
            message,
        })?;
        servers.extend(entry.server.clone());
        list.add(entry.target, entry.made);
    }
    let mut corpus = list.corpus(name, "one URL or /PATH in a line")?;
    if servers.len() > 1 && !has_target {
        let named: Vec<&str> = servers.iter().take(3).map(String::as_str).collect();
        return Err(LoadError::Usage(format!(
            "{name}: its URLs name {} servers ({}…); name the one to test with --target",
            servers.len(),
            named.join(", ")
        )));
    }
    corpus.server = servers.pop_first();
    Ok(corpus)
}

/// A line of a list.
struct UrlLine<'a> {
    /// `http://HOST`, if the URL has it.
    server: Option<String>,
    target: &'a str,
    made: Entry,
}

fn url_line<'a>(line: &'a str, folder: &Path) -> Result<UrlLine<'a>, String> {
    let mut words = line.split_whitespace().peekable();
    let is_method = |word: &&str| word.bytes().all(|byte| byte.is_ascii_uppercase());
    let method = words.next_if(is_method).unwrap_or("GET");
    let url = words.next().ok_or("no URL in it")?;
    let (server, target) = split(url);
    let (mut status, mut expect, mut body) = (None, Expect::Any, None);
    let file = |path: &str| {
        fs::read(folder.join(path)).map_err(|error| {
            format!("cannot read {path}: {error}; its path begins at the list's directory")
        })
    };
    for word in words {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        match key {
            "status" => {
                let number = value.parse().ok().filter(|code| (200..600).contains(code));
                status = Some(number.ok_or("status= takes a number from 200 to 599")?);
            }
            "sha256" => expect = Expect::Sha256(digest(value)?),
            "body_file" => expect = Expect::Exact(file(value)?.into()),
            "send" => body = Some(file(value)?),
            _ => {
                return Err(format!(
                    "{word:?} is none of status=, sha256=, body_file=, send=; blanks in a URL are written %20"
                ));
            }
        }
    }
    // An expected body implies status 200 unless another one is given.
    let usual = match expect {
        Expect::Any => UNCHECKED,
        _ => StatusRule::Is(200),
    };
    Ok(UrlLine {
        server,
        target,
        made: Entry {
            endpoint: 0,
            request: request(method, target, &BTreeMap::new(), body.as_deref())?,
            status: status.map_or(usual, StatusRule::Is),
            expect,
        },
    })
}

/// Server and request target of a URL.
fn split(url: &str) -> (Option<String>, &str) {
    let url = url.split('#').next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else {
        return match url.find('/') {
            Some(at) if at > 0 => (Some(format!("http://{}", &url[..at])), &url[at..]),
            _ => (None, url),
        };
    };
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let target = if at == rest.len() { "/" } else { &rest[at..] };
    (Some(format!("{scheme}://{}", &rest[..at])), target)
}

/// Whether a URL names more than a server.
pub fn has_path(url: &str) -> bool {
    let (server, target) = split(url);
    server.is_some() && target != "/"
}

/// Reads an access log in the common or the combined format. Entries stay in their order; what cannot be sent again
/// (requests with a body, no HTTP) is left out.
///
/// # Errors
/// The file cannot be read, or nothing in it can be sent.
pub fn read_access_log(path: &Path) -> Result<Corpus, LoadError> {
    let text = read(path)?;
    let mut list = List::default();
    let mut seconds = Vec::new();
    let mut left_out = 0;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let Some((second, target, status)) = log_line(line) else {
            left_out += 1;
            continue;
        };
        let Ok(request) = request("GET", target, &BTreeMap::new(), None) else {
            left_out += 1;
            continue;
        };
        seconds.push(second);
        let made = Entry {
            endpoint: 0,
            request,
            // A request that got 404 then may get it again.
            status: StatusRule::BelowOr(status),
            expect: Expect::Any,
        };
        list.add(target, made);
    }
    let mut corpus = list.corpus(
        &path.display().to_string(),
        "the common or combined log format, with GET requests",
    )?;
    corpus.in_order = true;
    corpus.times = times(&seconds);
    if left_out > 0 {
        corpus.note = Some(format!(
            "{}: {left_out} lines left out: only GET requests can be sent again",
            path.display()
        ));
    }
    Ok(corpus)
}

/// Second, request target and status of a line.
fn log_line(line: &str) -> Option<(i64, &str, u16)> {
    let (_, rest) = line.split_once(" [")?;
    let (date, rest) = rest.split_once("] \"")?;
    let (request, rest) = rest.split_once("\" ")?;
    let mut words = request.split(' ');
    let (Some("GET"), Some(target), Some(version)) = (words.next(), words.next(), words.next())
    else {
        return None;
    };
    let status = rest.split(' ').next()?.parse().ok()?;
    let is_http = version.starts_with("HTTP/") && words.next().is_none();
    is_http.then_some((second(date)?, target, status))
}

/// Seconds since 1970 of `10/Oct/2026:13:55:36 +0200`.
fn second(date: &str) -> Option<i64> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let number = |range: std::ops::Range<usize>| date.get(range)?.parse::<i64>().ok();
    let month = MONTHS.find(date.get(3..6)?)? as i64 / 3 + 1;
    let (day, year) = (number(0..2)?, number(7..11)?);
    let of_day = number(12..14)? * 3_600 + number(15..17)? * 60 + number(18..20)?;
    let sign = match date.get(21..22)? {
        "-" => -1,
        _ => 1,
    };
    let zone = sign * (number(22..24)? * 3_600 + number(24..26)? * 60);
    // The generator shares no calendar with the server (see `crate::load`). Days from civil: March is the first month, so that the leap day ends a year.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let of_year = (153 * month + 2) / 5 + day - 1;
    let days =
        year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + of_year
            - 719_468;
    Some(days * 86_400 + of_day - zone)
}

/// When each request is due, in seconds after the first: the requests of one second are spread over it.
fn times(seconds: &[i64]) -> Vec<f64> {
    let mut out = Vec::with_capacity(seconds.len());
    let first = seconds.first().copied().unwrap_or(0);
    let mut latest = 0.0f64;
    for group in seconds.chunk_by(|one, next| one == next) {
        let begin = (group[0] - first) as f64;
        for place in 0..group.len() {
            // Servers log when a request ends, so that lines may be out of order by a little.
            latest = latest.max(begin + place as f64 / group.len() as f64);
            out.push(latest);
        }
    }
    out
}

fn read(path: &Path) -> Result<String, LoadError> {
    let bytes = fs::read(path).map_err(|source| LoadError::Input {
        path: path.into(),
        source,
    })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Entries on their way to a corpus, with the names of their groups.
#[derive(Default)]
struct List {
    entries: Vec<Entry>,
    groups: Vec<String>,
}

impl List {
    fn add(&mut self, target: &str, mut entry: Entry) {
        let path = target.split('?').next().unwrap_or_default();
        let segment = path[1..].split('/').next().unwrap_or_default();
        let name = format!("/{segment}");
        let known = self.groups.iter().position(|group| *group == name);
        entry.endpoint = known.unwrap_or_else(|| {
            if self.groups.len() < GROUPS_MAX {
                self.groups.push(name);
            } else if self.groups.len() == GROUPS_MAX {
                self.groups.push(OTHERS.into());
            }
            self.groups.len() - 1
        });
        self.entries.push(entry);
    }

    fn corpus(self, name: &str, expected: &str) -> Result<Corpus, LoadError> {
        if self.entries.is_empty() {
            return Err(LoadError::Usage(format!(
                "{name}: no request in it; expected {expected}"
            )));
        }
        let mut entries_of = vec![Vec::new(); self.groups.len()];
        for (index, entry) in self.entries.iter().enumerate() {
            entries_of[entry.endpoint].push(index);
        }
        Ok(Corpus {
            by_count: true,
            endpoints: self.groups,
            entries_of,
            entries: self.entries,
            ..Corpus::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Result<Corpus, LoadError> {
        parse_urls(
            text.lines().enumerate(),
            "l",
            Path::new("/nonexistent"),
            false,
        )
    }

    #[test]
    fn lines_become_entries() {
        let sum = "ab".repeat(32);
        let corpus = list(&format!(
            "http://h:1/a?b#c\nh:1/a/d\n/e status=404\nDELETE http://h:1/a/x\nhttp://h:1 sha256={sum}"
        ))
        .unwrap();
        assert_eq!(corpus.server.as_deref(), Some("http://h:1"));
        assert_eq!(corpus.endpoints, ["/a", "/e", "/"]);
        assert_eq!(corpus.entries_of, [vec![0, 1, 3], vec![2], vec![4]]);
        let bytes = |index: usize| {
            let mut out = Vec::new();
            corpus.entries[index].request.append_to(&mut out, "h");
            String::from_utf8(out).unwrap()
        };
        assert!(bytes(0).starts_with("GET /a?b HTTP/1.1\r\n"));
        assert!(bytes(3).starts_with("DELETE /a/x "));
        let status = |index: usize| corpus.entries[index].status;
        assert_eq!((status(0), status(2)), (UNCHECKED, StatusRule::Is(404)));
        assert_eq!(corpus.entries[4].expect, Expect::Sha256([0xab; 32]));
    }

    #[test]
    fn a_wrong_line_is_named() {
        for (text, hint) in [
            ("/a\nGET", "l:2: no URL"),
            ("/a b", "l:1: \"b\" is none of"),
            ("/a status=99", "status="),
            ("/a sha256=1", "64 hex"),
            ("/a send=x", "cannot read x"),
            ("HEAD /a", "HEAD"),
            ("a", "must start with /"),
            ("", "no request"),
            ("http://a/\nhttp://b/", "name 2 servers"),
        ] {
            let message = list(text).unwrap_err().to_string();
            assert!(message.contains(hint), "{text}: {message}");
        }
    }

    #[test]
    fn many_paths_share_a_group() {
        let text: String = (0..40).map(|number| format!("/{number}/x\n")).collect();
        let corpus = list(&text).unwrap();
        assert_eq!(corpus.endpoints.len(), GROUPS_MAX + 1);
        assert_eq!(corpus.entries_of[GROUPS_MAX].len(), 40 - GROUPS_MAX);
    }

    #[test]
    fn lines_of_a_log_are_read() {
        let line =
            "::1 - a b [10/Oct/2026:13:55:36 -0230] \"GET /x?y HTTP/1.1\" 404 12 \"-\" \"curl\"";
        assert_eq!(log_line(line), Some((1_791_649_536, "/x?y", 404)));
        assert_eq!(second("01/Jan/1970:00:00:00 +0000"), Some(0));
        assert_eq!(second("01/Jan/1970:00:00:00 -0030"), Some(1_800));
        assert_eq!(second("01/Jan/1970:00:00:00 +0030"), Some(-1_800));
        assert_eq!(second("29/Feb/2024:23:59:59 +0100"), Some(1_709_247_599));
        for line in [
            "",
            "x",
            "a [b] \"GET / HTTP/1.1\" 200",
            "\u{e9} [\u{e9}] \"\u{e9}\" 2",
        ] {
            assert_eq!(log_line(line), None, "{line}");
        }
        let post = line.replace("GET", "POST");
        assert_eq!(log_line(&post), None);
    }

    #[test]
    fn requests_of_a_second_are_spread() {
        assert_eq!(times(&[5, 5, 6, 5, 9]), [0.0, 0.5, 1.0, 1.0, 4.0]);
        assert!(times(&[]).is_empty());
    }
}
