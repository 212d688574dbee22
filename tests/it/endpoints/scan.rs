//! Pictures of standard codes, read by an independent reader: zbarimg, SVG drawn by rsvg-convert.
//!
//! `scripts/test` installs both (zbar-tools, librsvg2-bin); `TRIDENT_SKIP=pictures` leaves these tests
//! out.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::harness::{Response, Server, required};

/// Texts for every mode that a code has, up to the largest code.
fn texts() -> Vec<String> {
    let mut texts = vec![
        "hello".to_owned(),
        "https://example.org/?a=b&c=d#e".to_owned(),
        "0123456789012345678901234567890".to_owned(),
        "THE QUICK BROWN FOX $%*+-./: 42".to_owned(),
        "caf\u{e9} \u{4e2d}\u{6587} \u{1f600}".to_owned(),
        "%41 is not A, + is not a space".to_owned(),
        " lead and trail ".to_owned(),
    ];
    texts.extend([20, 300, 1000].map(|length| "Trident ".repeat(length / 8)));
    texts
}

/// Most bytes that a standard code holds.
const CAPACITY_BYTES: usize = 2953;

/// Whether pictures are to be scanned.
fn can_scan() -> bool {
    required("pictures", &["zbarimg", "rsvg-convert"])
}

fn percent(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02X}")).collect()
}

fn picture(server: &Server, text: &str, format: &str, accept: &str) -> Response {
    let target = format!("/qrcode?type=encode&data={}{format}", percent(text));
    let accept = match accept {
        "" => String::new(),
        types => format!("Accept: {types}\r\n"),
    };
    server.ask(format!("GET {target} HTTP/1.1\r\nHost: t\r\n{accept}\r\n").as_bytes())
}

/// A file of this test run's own, removed when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, content: &[u8]) -> Self {
        let path =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The text that the reader finds in a picture file.
fn scan(name: &str, picture: &[u8]) -> String {
    let file = Scratch::new(name, picture);
    let output = Command::new("zbarimg")
        .args(["-q", "--raw", "--oneshot", "-Sdisable", "-Sqrcode.enable"])
        .arg(&file.0)
        .stderr(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).expect("UTF-8 from the reader");
    text.strip_suffix('\n').unwrap_or(&text).to_owned()
}

fn drawn_svg(svg: &[u8]) -> Vec<u8> {
    let mut child = Command::new("rsvg-convert")
        .args(["--format", "png", "--width", "800"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(svg).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "not an SVG document");
    output.stdout
}

/// The half-block characters of a terminal as a picture, eight pixels a cell.
fn drawn_text(text: &str) -> Vec<u8> {
    const PIXELS: usize = 8;
    let mut rows: Vec<Vec<bool>> = Vec::new();
    for line in text.lines() {
        let light = |of: fn(char) -> bool| line.chars().map(of).collect();
        rows.push(light(|c| matches!(c, '\u{2588}' | '\u{2580}')));
        rows.push(light(|c| matches!(c, '\u{2588}' | '\u{2584}')));
    }
    let width = rows.iter().map(Vec::len).max().unwrap_or(0);
    assert!(
        rows.iter().all(|row| row.len() == width),
        "lines of different lengths"
    );
    let mut image = format!("P5 {} {} 255\n", width * PIXELS, rows.len() * PIXELS).into_bytes();
    for row in &rows {
        let pixels: Vec<u8> = row
            .iter()
            .flat_map(|light| [if *light { 255 } else { 0 }; PIXELS])
            .collect();
        image.extend(pixels.repeat(PIXELS));
    }
    image
}

#[test]
fn every_format_can_be_scanned() {
    if !can_scan() {
        return;
    }
    let server = Server::start(&[]);
    for text in texts() {
        let png = picture(&server, &text, "&format=png", "");
        assert_eq!(
            (png.status, png.field("content-type")),
            (200, Some("image/png"))
        );
        assert_eq!(scan("a.png", &png.body), text, "png");
        let svg = picture(&server, &text, "&format=svg", "");
        assert_eq!(
            (svg.status, svg.field("content-type")),
            (200, Some("image/svg+xml"))
        );
        assert_eq!(scan("b.png", &drawn_svg(&svg.body)), text, "svg");
        let drawing = picture(&server, &text, "&format=text", "");
        assert_eq!(
            drawing.field("content-type"),
            Some("text/plain; charset=utf-8")
        );
        assert_eq!(scan("c.pgm", &drawn_text(&drawing.text())), text, "text");
    }
}

#[test]
fn the_largest_code_can_be_scanned_and_one_byte_more_is_refused() {
    if !can_scan() {
        return;
    }
    let server = Server::start(&[]);
    let largest: String = ('a'..='z').cycle().take(CAPACITY_BYTES).collect();
    let png = picture(&server, &largest, "&format=png", "");
    assert_eq!(scan("d.png", &png.body), largest);
    let svg = picture(&server, &largest, "&format=svg", "");
    assert_eq!(scan("e.png", &drawn_svg(&svg.body)), largest);
    let refused = picture(&server, &format!("{largest}x"), "&format=png", "");
    assert_eq!(refused.status, 413);
    assert!(refused.text().ends_with('\n'), "{refused:?}");
}

/// The Accept header asks for a picture too. The parameter wins; without either the answer is the protocol's.
#[test]
fn accept_headers_choose_the_picture() {
    let server = Server::start(&[]);
    let chosen = |format: &str, accept: &str| {
        let answer = picture(&server, "hello", format, accept);
        assert_eq!(answer.status, 200, "{accept}");
        answer.field("content-type").unwrap().to_owned()
    };
    let protocol = "text/plain";
    for (accept, expected) in [
        ("", protocol),
        ("*/*", protocol),
        ("text/plain", protocol),
        ("image/png", "image/png"),
        ("image/svg+xml", "image/svg+xml"),
        ("image/png;q=0.5, image/svg+xml", "image/svg+xml"),
        ("application/json", protocol),
    ] {
        assert_eq!(chosen("", accept), expected, "{accept}");
    }
    assert_eq!(chosen("&format=svg", "image/png"), "image/svg+xml");
    if can_scan() {
        let png = picture(&server, "hello", "", "image/png");
        assert_eq!(scan("f.png", &png.body), "hello");
        let svg = picture(&server, "hello", "", "image/svg+xml");
        assert_eq!(scan("g.png", &drawn_svg(&svg.body)), "hello");
    }
}
