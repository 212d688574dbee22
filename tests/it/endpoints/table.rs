//! The table of endpoints is true: its examples are answered and counted as it says, and README has it.

use trident::app::{
    guide,
    route::{ENDPOINTS, Example, list},
};

use crate::harness::Server;

#[test]
fn examples_are_answered_and_counted_under_their_label() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    for form in ENDPOINTS.iter().flat_map(|endpoint| endpoint.requests) {
        let request = match form.example {
            Example::Get(target) | Example::FirstStep(target) => {
                format!("GET {target} HTTP/1.1\r\nHost: t\r\n\r\n")
            }
            Example::Post(target, body) => {
                let length = body.len();
                format!(
                    "POST {target} HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n{body}"
                )
            }
            Example::None => continue,
        };
        let label = form.label.name();
        let series = format!("trident_requests_total{{endpoint=\"{label}\",outcome=\"valid\"}}");
        let before = server.metric(&series);
        let answer = client.ask(request.as_bytes());
        assert_eq!(answer.status, 200, "{request}{answer:?}");
        assert!(!answer.text().ends_with("INVALID"), "{request}{answer:?}");
        // Asking for the metrics counts as `admin`.
        assert!(server.metric(&series) > before, "{request}");
    }
}

#[test]
fn every_path_refuses_other_methods_and_says_which_it_takes() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    for endpoint in ENDPOINTS {
        let path = endpoint.path;
        if path == trident::app::TWEETS_PATH {
            continue; // exists only if a setting opens it: `ingest`
        }
        let answer = client.ask(format!("DELETE {path} HTTP/1.1\r\nHost: t\r\n\r\n").as_bytes());
        assert_eq!(answer.status, 405, "{path}");
        let allow = answer.field("allow").unwrap_or_default();
        for form in endpoint.requests {
            let (method, _) = form.request.split_once(' ').unwrap();
            assert!(allow.contains(method), "{path}: {allow}");
        }
    }
}

#[test]
fn readme_and_the_first_page_list_every_endpoint() {
    let readme = include_str!("../../../README.md");
    let table = guide::markdown();
    assert!(readme.contains(&table), "README.md, Endpoints:\n{table}");
    let server = Server::start(&[]);
    let home = server.ask(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(home.text(), format!("Trident\n{}", list()));
}

/// The commands on README's first screen get the answers shown below them, to the byte.
#[test]
fn readme_shows_the_answers_that_the_built_in_sample_gives() {
    let readme = include_str!("../../../README.md");
    let (_, section) = readme.split_once("## Three requests\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let server = Server::start(&[]);
    let shown: Vec<&str> = section.split("    curl 'localhost:8080").skip(1).collect();
    assert_eq!(shown.len(), 3, "{section}");
    for example in shown {
        let (target, rest) = example.split_once("'\n\n").unwrap();
        let block: Vec<&str> = rest
            .lines()
            .map_while(|line| line.strip_prefix("    "))
            .collect();
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost:8080\r\n\r\n");
        let answer = server.ask(request.as_bytes());
        assert_eq!(answer.text().trim_end(), block.join("\n"), "{target}");
    }
}
