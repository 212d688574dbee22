//! The table: one request (or batch) per line, and what must come back by RFC 9110 and RFC 9112.
//!
//! An expectation is the statuses in order, `h` behind those that answer HEAD and hence have no
//! body, then the state of the connection: `open` (a further request gets exactly its own answer)
//! or `closed` (nothing more comes, and the last answer said so). Where the RFC leaves a choice the
//! stricter one is expected: bytes that two recipients could frame differently are refused.

use crate::harness::{Client, Response, Server};

/// Name, bytes, expectation.
type Case = (&'static str, &'static [u8], &'static str);

/// A GET with further field lines.
macro_rules! get {
    ($($fields:literal)*) => { concat!("GET /healthz HTTP/1.1\r\nHost: t\r\n", $($fields,)* "\r\n").as_bytes() };
}

/// A GET without Host, except one in `fields`.
macro_rules! host {
    ($($fields:literal)*) => { concat!("GET /healthz HTTP/1.1\r\n", $($fields,)* "\r\n").as_bytes() };
}

/// A POST: field lines, then the bytes after the head.
macro_rules! post {
    ($fields:literal, $body:literal) => {
        concat!(
            "POST /blockchain HTTP/1.1\r\nHost: t\r\n",
            $fields,
            "\r\n",
            $body
        )
        .as_bytes()
    };
}

/// A POST with a chunked body, given as it is coded.
macro_rules! chunked {
    ($body:literal) => {
        post!("Transfer-Encoding: chunked\r\n", $body)
    };
}

/// A target in a request that is otherwise plain.
macro_rules! target {
    ($target:literal) => {
        concat!("GET ", $target, " HTTP/1.1\r\nHost: t\r\n\r\n").as_bytes()
    };
}

/// RFC 9112 §2.2, §2.3, §3: request line and version.
#[rustfmt::skip]
const REQUEST_LINE: &[Case] = &[
    ("plain", get!(), "200 open"),
    ("empty line first", b"\r\nGET /healthz HTTP/1.1\r\nHost: t\r\n\r\n", "200 open"),
    ("bare lf first", b"\nGET /healthz HTTP/1.1\r\nHost: t\r\n\r\n", "400 closed"),
    ("space before the method", b" GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n", "400 closed"),
    ("two spaces after the method", b"GET  /healthz HTTP/1.1\r\nHost: t\r\n\r\n", "400 closed"),
    ("tab after the method", b"GET\t/healthz HTTP/1.1\r\nHost: t\r\n\r\n", "400 closed"),
    ("two spaces before the version", b"GET /healthz  HTTP/1.1\r\nHost: t\r\n\r\n", "400 closed"),
    ("space after the version", b"GET /healthz HTTP/1.1 \r\nHost: t\r\n\r\n", "400 closed"),
    ("bare lf after the line", b"GET /healthz HTTP/1.1\nHost: t\r\n\r\n", "400 closed"),
    ("bare lf everywhere", b"GET /healthz HTTP/1.1\nHost: t\n\n", "400 closed"),
    ("bare cr after the line", b"GET /healthz HTTP/1.1\rHost: t\r\n\r\n", "400 closed"),
    ("two crs after the line", b"GET /healthz HTTP/1.1\r\r\nHost: t\r\n\r\n", "400 closed"),
    ("no version", b"GET /healthz\r\nHost: t\r\n\r\n", "400 closed"),
    ("no target", b"GET HTTP/1.1\r\nHost: t\r\n\r\n", "400 closed"),
    ("lower-case protocol", b"GET /healthz http/1.1\r\nHost: t\r\n\r\n", "400 closed"),
    ("version without minor", b"GET /healthz HTTP/1\r\nHost: t\r\n\r\n", "400 closed"),
    ("version with comma", b"GET /healthz HTTP/1,1\r\nHost: t\r\n\r\n", "400 closed"),
    ("two major digits", b"GET /healthz HTTP/11.1\r\nHost: t\r\n\r\n", "400 closed"),
    ("two minor digits", b"GET /healthz HTTP/1.10\r\nHost: t\r\n\r\n", "400 closed"),
    ("higher minor", b"GET /healthz HTTP/1.2\r\nHost: t\r\n\r\n", "200 open"),
    ("major 2", b"GET /healthz HTTP/2.0\r\nHost: t\r\n\r\n", "505 closed"),
    ("major 0", b"GET /healthz HTTP/0.9\r\nHost: t\r\n\r\n", "505 closed"),
    ("http/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 closed"),
    ("another protocol", b"GET /healthz ICAP/1.1\r\nHost: t\r\n\r\n", "400 closed"),
    ("tls hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "400 closed"),
];

/// RFC 9112 §3.2: the four forms of a target.
#[rustfmt::skip]
const TARGET: &[Case] = &[
    ("root", target!("/"), "200 open"),
    ("unknown path", target!("/no/such/path"), "404 open"),
    ("two slashes", target!("//healthz"), "404 open"),
    ("dot segments stay", target!("/x/../healthz"), "404 open"),
    ("empty query", target!("/healthz?"), "200 open"),
    ("query of garbage", target!("/healthz?%zz&&==&a=b=c?/'"), "200 open"),
    ("query with percent-encoded end of line", target!("/healthz?a=%0d%0aSet-Cookie:x"), "200 open"),
    ("raw utf-8", "GET /caf\u{e9} HTTP/1.1\r\nHost: t\r\n\r\n".as_bytes(), "404 open"),
    ("no slash", target!("healthz"), "400 closed"),
    ("backslash first", target!("\\healthz"), "400 closed"),
    ("query only", target!("?a=b"), "400 closed"),
    ("fragment", target!("/healthz#top"), "400 closed"),
    ("nul", target!("/health\0z"), "400 closed"),
    ("delete", target!("/health\x7fz"), "400 closed"),
    ("tab", target!("/health\tz"), "400 closed"),
    ("space", target!("/health z"), "400 closed"),
    ("bare cr", target!("/health\rz"), "400 closed"),
    ("absolute", target!("http://t/healthz"), "200 open"),
    ("absolute, upper case", target!("HTTP://T/healthz"), "200 open"),
    ("absolute with port", target!("http://t:80/healthz"), "200 open"),
    ("absolute with empty port", target!("http://t:/healthz"), "200 open"),
    ("absolute with IPv6", target!("http://[::1]:80/healthz"), "200 open"),
    ("absolute without path", target!("http://t"), "200 open"),
    ("absolute with query only", target!("http://t?a=b"), "200 open"),
    ("absolute wins over Host", target!("http://elsewhere/healthz"), "200 open"),
    ("absolute needs Host too", b"GET http://t/healthz HTTP/1.1\r\n\r\n", "400 closed"),
    ("absolute without host", target!("http:///healthz"), "400 closed"),
    ("absolute without host, with port", target!("http://:80/healthz"), "400 closed"),
    ("absolute with user", target!("http://u@t/healthz"), "400 closed"),
    ("absolute with bad port", target!("http://t:8x/healthz"), "400 closed"),
    ("absolute with broken IPv6", target!("http://[::1/healthz"), "400 closed"),
    ("absolute, one slash", target!("http:/healthz"), "400 closed"),
    ("another scheme", target!("ftp://t/healthz"), "400 closed"),
    ("authority for GET", target!("t:80"), "400 closed"),
    ("asterisk for GET", target!("*"), "400 closed"),
    ("asterisk for OPTIONS", b"OPTIONS * HTTP/1.1\r\nHost: t\r\n\r\n", "405 open"),
    ("asterisk, the last request", b"OPTIONS * HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n", "405 closed"),
    ("two asterisks", b"OPTIONS ** HTTP/1.1\r\nHost: t\r\n\r\n", "400 closed"),
    ("authority for another method", b"OPTIONS t:80 HTTP/1.1\r\nHost: t\r\n\r\n", "400 closed"),
    ("authority for CONNECT", b"CONNECT t:80 HTTP/1.1\r\nHost: t:80\r\n\r\n", "405 closed"),
    ("a length for CONNECT", b"CONNECT t:80 HTTP/1.1\r\nHost: t:80\r\nContent-Length: 99\r\n\r\n", "405 closed"),
    ("chunks for CONNECT", b"CONNECT t:80 HTTP/1.1\r\nHost: t:80\r\nTransfer-Encoding: chunked\r\n\r\n", "405 closed"),
    ("a tunnel's bytes for CONNECT", b"CONNECT t:80 HTTP/1.1\r\nHost: t:80\r\n\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n", "405 closed"),
    ("a path for CONNECT", b"CONNECT / HTTP/1.1\r\nHost: t\r\n\r\n", "400 closed"),
    ("a URL for CONNECT", b"CONNECT http://t/ HTTP/1.1\r\nHost: t\r\n\r\n", "400 closed"),
    ("no host for CONNECT", b"CONNECT :80 HTTP/1.1\r\nHost: t\r\n\r\n", "400 closed"),
    ("https", b"GET https://t/healthz HTTP/1.1\r\nHost: t\r\n\r\n", "200 open"),
    ("https, any case, no path", b"GET HTTPS://t?x HTTP/1.1\r\nHost: t\r\n\r\n", "200 open"),
    ("https without a host", b"GET https:///healthz HTTP/1.1\r\nHost: t\r\n\r\n", "400 closed"),
];

/// RFC 9110 §7.2, RFC 9112 §3.2, RFC 3986 §3.2.2: Host.
#[rustfmt::skip]
const HOST: &[Case] = &[
    ("missing", host!(), "400 closed"),
    ("twice the same", host!("Host: t\r\nHost: t\r\n"), "400 closed"),
    ("twice, different", host!("Host: t\r\nhost: u\r\n"), "400 closed"),
    ("empty", host!("Host:\r\n"), "200 open"),
    ("whitespace around", host!("Host:\t t \t\r\n"), "200 open"),
    ("no whitespace", host!("Host:t\r\n"), "200 open"),
    ("upper-case name and value", host!("HOST: T.EXAMPLE\r\n"), "200 open"),
    ("port", host!("Host: t:8080\r\n"), "200 open"),
    ("empty port", host!("Host: t:\r\n"), "200 open"),
    ("port of letters", host!("Host: t:http\r\n"), "400 closed"),
    ("signed port", host!("Host: t:+80\r\n"), "400 closed"),
    ("two ports", host!("Host: t:80:80\r\n"), "400 closed"),
    ("every character of a name", host!("Host: aZ09-._~!$&'()*+,;=\r\n"), "200 open"),
    ("percent-encoded", host!("Host: a%20b%C3%A9\r\n"), "200 open"),
    ("percent without digits", host!("Host: a%\r\n"), "400 closed"),
    ("percent with one digit", host!("Host: a%2\r\n"), "400 closed"),
    ("percent with letters", host!("Host: a%zz\r\n"), "400 closed"),
    ("user", host!("Host: u@t\r\n"), "400 closed"),
    ("path", host!("Host: t/x\r\n"), "400 closed"),
    ("query", host!("Host: t?x\r\n"), "400 closed"),
    ("fragment", host!("Host: t#x\r\n"), "400 closed"),
    ("scheme", host!("Host: http://t\r\n"), "400 closed"),
    ("space inside", host!("Host: t u\r\n"), "400 closed"),
    ("quoted", host!("Host: \"t\"\r\n"), "400 closed"),
    ("angle brackets", host!("Host: <t>\r\n"), "400 closed"),
    ("backslash", host!("Host: t\\u\r\n"), "400 closed"),
    ("raw utf-8", host!("Host: caf\u{e9}\r\n"), "400 closed"),
    ("IPv4", host!("Host: 127.0.0.1:80\r\n"), "200 open"),
    ("IPv6", host!("Host: [::1]\r\n"), "200 open"),
    ("IPv6 with port", host!("Host: [2001:db8::7]:80\r\n"), "200 open"),
    ("IPv6 with IPv4", host!("Host: [::ffff:192.0.2.1]\r\n"), "200 open"),
    ("IPvFuture", host!("Host: [v1f.a:b~]\r\n"), "200 open"),
    ("IPvFuture without digits", host!("Host: [v.a]\r\n"), "400 closed"),
    ("IPv6 without brackets", host!("Host: ::1\r\n"), "400 closed"),
    ("IPv6 unclosed", host!("Host: [::1\r\n"), "400 closed"),
    ("IPv6, text after", host!("Host: [::1]x\r\n"), "400 closed"),
    ("brackets around nothing", host!("Host: []\r\n"), "400 closed"),
    ("brackets around a name", host!("Host: [localhost]\r\n"), "400 closed"),
    ("IPv6 of nine groups", host!("Host: [1:2:3:4:5:6:7:8:9]\r\n"), "400 closed"),
    ("IPv6 with zone", host!("Host: [fe80::1%25eth0]\r\n"), "400 closed"),
];

/// RFC 9112 §5, RFC 9110 §5: field lines.
#[rustfmt::skip]
const FIELDS: &[Case] = &[
    ("unknown field", get!("X-Anything: goes; here\r\n"), "200 open"),
    ("empty value", get!("X:\r\n"), "200 open"),
    ("whitespace only", get!("X: \t \r\n"), "200 open"),
    ("every token character in a name", get!("!#$%&'*+-.^_`|~09azAZ: x\r\n"), "200 open"),
    ("repeated field", get!("X: a\r\nX: b\r\n"), "200 open"),
    ("tab inside a value", get!("X: a\tb\r\n"), "200 open"),
    ("obs-text in a value", b"GET /healthz HTTP/1.1\r\nHost: t\r\nX: \x80\xff\r\n\r\n", "200 open"),
    ("folded with a space", get!("X: a\r\n b\r\n"), "400 closed"),
    ("folded with a tab", get!("X: a\r\n\tb\r\n"), "400 closed"),
    ("folded, nothing but space", get!("X: a\r\n \r\n"), "400 closed"),
    ("space before the first field", host!(" Host: t\r\n"), "400 closed"),
    ("space before the colon", host!("Host : t\r\n"), "400 closed"),
    ("tab before the colon", get!("X\t: a\r\n"), "400 closed"),
    ("no colon", get!("X\r\n"), "400 closed"),
    ("no name", get!(": a\r\n"), "400 closed"),
    ("space inside a name", get!("X Y: a\r\n"), "400 closed"),
    ("parenthesis in a name", get!("X(Y: a\r\n"), "400 closed"),
    ("quote in a name", get!("\"X\": a\r\n"), "400 closed"),
    ("obs-text in a name", b"GET /healthz HTTP/1.1\r\nHost: t\r\nX\xe9: a\r\n\r\n", "400 closed"),
    ("nul in a name", get!("X\0: a\r\n"), "400 closed"),
    ("nul in a value", get!("X: a\0b\r\n"), "400 closed"),
    ("control byte in a value", get!("X: a\x01b\r\n"), "400 closed"),
    ("vertical tab in a value", get!("X: a\x0bb\r\n"), "400 closed"),
    ("delete in a value", get!("X: a\x7fb\r\n"), "400 closed"),
    ("bare cr in a value", get!("X: a\rb\r\n"), "400 closed"),
    ("bare lf ends a value", get!("X: a\nY: b\r\n"), "400 closed"),
    ("two crs end a value", get!("X: a\r\r\n"), "400 closed"),
    ("bare lf ends the head", b"GET /healthz HTTP/1.1\r\nHost: t\r\n\n", "400 closed"),
    ("bare cr ends the head", b"GET /healthz HTTP/1.1\r\nHost: t\r\n\rX", "400 closed"),
];

/// RFC 9110 §8.6, RFC 9112 §6.3: Content-Length.
#[rustfmt::skip]
const LENGTH: &[Case] = &[
    ("body", post!("Content-Length: 3\r\n", "abc"), "200 open"),
    ("zero", post!("Content-Length: 0\r\n", ""), "200 open"),
    ("none", post!("", ""), "200 open"),
    ("name in any case", post!("cOnTeNt-LeNgTh: 3\r\n", "abc"), "200 open"),
    ("whitespace around", post!("Content-Length:\t 3 \t\r\n", "abc"), "200 open"),
    ("leading zeros", post!("Content-Length: 0000000000000000000003\r\n", "abc"), "200 open"),
    ("body that looks like a request", post!("Content-Length: 18\r\n", "GET / HTTP/1.1\r\n\r\n"), "200 open"),
    ("body of GET is taken off", get!("Content-Length: 3\r\n"), "wait"),
    ("body of GET", b"GET /healthz HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc", "200 open"),
    ("body of HEAD", b"HEAD /healthz HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc", "200h open"),
    ("body of a refused method", b"PUT /x HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc", "404/405 open"),
    ("body of an unknown method", b"FROB /x HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc", "501 open"),
    ("twice the same", post!("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"), "400 closed"),
    ("twice, different", post!("Content-Length: 3\r\nContent-Length: 4\r\n", "abcd"), "400 closed"),
    ("list of the same", post!("Content-Length: 3, 3\r\n", "abc"), "400 closed"),
    ("list", post!("Content-Length: 3,4\r\n", "abcd"), "400 closed"),
    ("empty", post!("Content-Length:\r\n", "abc"), "400 closed"),
    ("plus", post!("Content-Length: +3\r\n", "abc"), "400 closed"),
    ("minus", post!("Content-Length: -3\r\n", "abc"), "400 closed"),
    ("minus zero", post!("Content-Length: -0\r\n", ""), "400 closed"),
    ("hexadecimal", post!("Content-Length: 0x3\r\n", "abc"), "400 closed"),
    ("fraction", post!("Content-Length: 3.0\r\n", "abc"), "400 closed"),
    ("exponent", post!("Content-Length: 3e0\r\n", "abc"), "400 closed"),
    ("two numbers", post!("Content-Length: 3 3\r\n", "abc"), "400 closed"),
    ("underscore", post!("Content-Length: 1_0\r\n", "0123456789"), "400 closed"),
    ("quoted", post!("Content-Length: \"3\"\r\n", "abc"), "400 closed"),
    ("parameter", post!("Content-Length: 3;a=b\r\n", "abc"), "400 closed"),
    ("full-width digit", post!("Content-Length: \u{ff13}\r\n", "abc"), "400 closed"),
    ("2^64", post!("Content-Length: 18446744073709551616\r\n", ""), "400 closed"),
    ("2^64 + 3", post!("Content-Length: 18446744073709551619\r\n", "abc"), "400 closed"),
    ("2^64 - 1", post!("Content-Length: 18446744073709551615\r\n", ""), "413 closed"),
    ("2^63", post!("Content-Length: 9223372036854775808\r\n", ""), "413 closed"),
    ("folded", post!("Content-Length:\r\n 3\r\n", "abc"), "400 closed"),
    ("one too many of a refused length", post!("Content-Length: x\r\n", "GET / HTTP/1.1\r\n\r\n"), "400 closed"),
];

/// RFC 9112 §6.1, §6.3: Transfer-Encoding.
#[rustfmt::skip]
const CODING: &[Case] = &[
    ("chunked", post!("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n"), "200 open"),
    ("any case", post!("transfer-encoding: ChUnKeD\r\n", "3\r\nabc\r\n0\r\n\r\n"), "200 open"),
    ("whitespace around", post!("Transfer-Encoding: \tchunked\t \r\n", "0\r\n\r\n"), "200 open"),
    ("empty list elements", post!("Transfer-Encoding: , chunked ,,\r\n", "0\r\n\r\n"), "200 open"),
    ("chunked GET", b"GET /healthz HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", "200 open"),
    ("length first", post!("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), "400 closed"),
    ("length second", post!("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), "400 closed"),
    ("length of zero", post!("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), "400 closed"),
    ("length and an unknown coding", post!("Content-Length: 3\r\nTransfer-Encoding: x\r\n", "abc"), "400 closed"),
    ("twice", post!("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), "400 closed"),
    ("twice in a list", post!("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"), "400 closed"),
    ("not last", post!("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n"), "400 closed"),
    ("not last in two lines", post!("Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n", ""), "400 closed"),
    ("never chunked", post!("Transfer-Encoding: gzip\r\n", ""), "400/501 closed"),
    ("known elsewhere", post!("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), "501 closed"),
    ("identity", post!("Transfer-Encoding: identity\r\n", ""), "400/501 closed"),
    ("identity and length", post!("Transfer-Encoding: identity\r\nContent-Length: 3\r\n", "abc"), "400 closed"),
    ("empty", post!("Transfer-Encoding:\r\n", ""), "400 closed"),
    ("comma only", post!("Transfer-Encoding: ,\r\n", ""), "400 closed"),
    ("prefixed", post!("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), "400/501 closed"),
    ("quoted", post!("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n"), "400/501 closed"),
    ("parameter", post!("Transfer-Encoding: chunked;a=b\r\n", "0\r\n\r\n"), "400/501 closed"),
    ("vertical tab", post!("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n"), "400 closed"),
    ("space before the colon", post!("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"), "400 closed"),
    ("folded", post!("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"), "400 closed"),
    ("underscore is another field", post!("Transfer_Encoding: chunked\r\nContent-Length: 3\r\n", "abc"), "200 open"),
    ("http/1.0", b"POST /blockchain HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400 closed"),
    ("smuggled request", post!("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "1\r\nZ\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n"), "400 closed"),
];

/// RFC 9112 §7.1: chunked bodies.
#[rustfmt::skip]
const CHUNKED: &[Case] = &[
    ("empty", chunked!("0\r\n\r\n"), "200 open"),
    ("many zeros", chunked!("00000000\r\n\r\n"), "200 open"),
    ("two chunks", chunked!("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), "200 open"),
    ("leading zeros", chunked!("0000003\r\nabc\r\n0\r\n\r\n"), "200 open"),
    ("hex digit in both cases", chunked!("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n"), "200 open"),
    ("data of line ends", chunked!("4\r\n\r\n\r\n\r\n0\r\n\r\n"), "200 open"),
    ("extension", chunked!("3;a\r\nabc\r\n0\r\n\r\n"), "200 open"),
    ("extension with value", chunked!("3;a=b\r\nabc\r\n0\r\n\r\n"), "200 open"),
    ("extension, quoted", chunked!("3;a=\"b c;=\"\r\nabc\r\n0\r\n\r\n"), "200 open"),
    ("extension, quoted pair", chunked!("3;a=\"\\\"\\\\\"\r\nabc\r\n0\r\n\r\n"), "200 open"),
    ("extension, nothing quoted", chunked!("3;a=\"\"\r\nabc\r\n0\r\n\r\n"), "200 open"),
    ("extensions", chunked!("3;a;b=c;d=\"e\"\r\nabc\r\n0\r\n\r\n"), "200 open"),
    ("extension, whitespace", chunked!("3 ; a = b\r\nabc\r\n0\r\n\r\n"), "200 open"),
    ("extension of the last chunk", chunked!("3\r\nabc\r\n0;a=b\r\n\r\n"), "200 open"),
    ("trailer", chunked!("3\r\nabc\r\n0\r\nX: y\r\n\r\n"), "200 open"),
    ("trailers", chunked!("0\r\nX: y\r\nZ:\r\n\r\n"), "200 open"),
    ("trailers do not frame", chunked!("0\r\nContent-Length: 50\r\nTransfer-Encoding: chunked\r\n\r\n"), "200 open"),
    ("no size", chunked!("\r\nabc\r\n0\r\n\r\n"), "400 closed"),
    ("space before the size", chunked!(" 3\r\nabc\r\n0\r\n\r\n"), "400 closed"),
    ("space after the size", chunked!("3 \r\nabc\r\n0\r\n\r\n"), "400 closed"),
    ("prefix 0x", chunked!("0x3\r\nabc\r\n0\r\n\r\n"), "400 closed"),
    ("plus", chunked!("+3\r\nabc\r\n0\r\n\r\n"), "400 closed"),
    ("minus", chunked!("-3\r\nabc\r\n0\r\n\r\n"), "400 closed"),
    ("not a hex digit", chunked!("g\r\nabc\r\n0\r\n\r\n"), "400 closed"),
    ("comma", chunked!("3,3\r\nabc\r\n0\r\n\r\n"), "400 closed"),
    ("lf after the size", chunked!("3\nabc\r\n0\r\n\r\n"), "400 closed"),
    ("cr after the size", chunked!("3\rabc\r\n0\r\n\r\n"), "400 closed"),
    ("lf after the data", chunked!("3\r\nabc\n0\r\n\r\n"), "400 closed"),
    ("more data than said", chunked!("3\r\nabcd\r\n0\r\n\r\n"), "400 closed"),
    ("less data than said", chunked!("5\r\nabc\r\n0\r\n\r\n"), "400 closed"),
    ("2^64 + 3", chunked!("10000000000000003\r\nabc\r\n0\r\n\r\n"), "413 closed"),
    ("2^64 - 1", chunked!("ffffffffffffffff\r\nabc\r\n0\r\n\r\n"), "413 closed"),
    ("hundreds of digits", chunked!("ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\r\n"), "413 closed"),
    ("extension without name", chunked!("3;\r\nabc\r\n0\r\n\r\n"), "400 closed"),
    ("extension, value only", chunked!("3;=b\r\nabc\r\n0\r\n\r\n"), "400 closed"),
    ("extension, no value", chunked!("3;a=\r\nabc\r\n0\r\n\r\n"), "400 closed"),
    ("extension, two values", chunked!("3;a=b c\r\nabc\r\n0\r\n\r\n"), "400 closed"),
    ("extension, quote unclosed", chunked!("3;a=\"b\r\nabc\r\n0\r\n\r\n"), "400 closed"),
    ("extension, text after the quote", chunked!("3;a=\"b\"c\r\nabc\r\n0\r\n\r\n"), "400 closed"),
    ("extension, lf", chunked!("3;a\nabc\r\n0\r\n\r\n"), "400 closed"),
    ("extension, lf in quotes", chunked!("3;a=\"\n\"\r\nabc\r\n0\r\n\r\n"), "400 closed"),
    ("extension, cr in quotes", chunked!("3;a=\"\r\"\r\nabc\r\n0\r\n\r\n"), "400 closed"),
    ("extension, nul", chunked!("3;a\0\r\nabc\r\n0\r\n\r\n"), "400 closed"),
    ("lf ends the body", chunked!("0\r\n\n"), "400 closed"),
    ("lf ends a trailer", chunked!("0\r\nX: y\n\r\n"), "400 closed"),
    ("trailer without colon", chunked!("0\r\nX\r\n\r\n"), "400 closed"),
    ("trailer, space before the colon", chunked!("0\r\nX : y\r\n\r\n"), "400 closed"),
    ("trailer, folded", chunked!("0\r\nX: y\r\n z\r\n\r\n"), "400 closed"),
    ("trailer, nul", chunked!("0\r\nX: \0\r\n\r\n"), "400 closed"),
    ("trailer, cr", chunked!("0\r\nX: a\rb\r\n\r\n"), "400 closed"),
    ("request instead of the last line", chunked!("0\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n"), "400 closed"),
];

/// RFC 9112 §9.3, §9.6: who keeps the connection.
#[rustfmt::skip]
const CONNECTION: &[Case] = &[
    ("close", get!("Connection: close\r\n"), "200 closed"),
    ("close, any case", get!("Connection: CLOSE\r\n"), "200 closed"),
    ("close in a list", get!("Connection: foo ,\tclose\r\n"), "200 closed"),
    ("close in a second line", get!("Connection: foo\r\nConnection: close\r\n"), "200 closed"),
    ("close wins", get!("Connection: keep-alive, close\r\n"), "200 closed"),
    ("not close", get!("Connection: closed\r\n"), "200 open"),
    ("keep-alive", get!("Connection: keep-alive\r\n"), "200 open"),
    ("upgrade is declined", get!("Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n"), "200 open"),
    ("websocket is declined", get!("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"), "200 open"),
    ("nothing is served after close", b"GET /healthz HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n", "200 closed"),
    ("garbage after close", b"GET /healthz HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n\0\0\0", "200 closed"),
    ("refusal with close", b"GET /no HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n", "404 closed"),
    ("http/1.0", b"GET /healthz HTTP/1.0\r\n\r\n", "200 closed"),
    ("http/1.0 with Host", b"GET /healthz HTTP/1.0\r\nHost: t\r\n\r\n", "200 closed"),
    ("http/1.0 with a bad Host", b"GET /healthz HTTP/1.0\r\nHost: a b\r\n\r\n", "400 closed"),
    ("http/1.0 with two Hosts", b"GET /healthz HTTP/1.0\r\nHost: t\r\nHost: t\r\n\r\n", "400 closed"),
    ("http/1.0 kept", b"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "200 open"),
    ("http/1.0 kept, any case", b"GET /healthz HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "200 open"),
    ("http/1.0 kept, but close", b"GET /healthz HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", "200 closed"),
    ("http/1.0, nothing served after", b"GET /healthz HTTP/1.0\r\n\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n", "200 closed"),
    ("http/1.0 HEAD", b"HEAD /healthz HTTP/1.0\r\n\r\n", "200h closed"),
    ("http/1.0 body without length", b"POST /blockchain HTTP/1.0\r\n\r\nabc", "200 closed"),
    ("http/1.0 body", b"POST /blockchain HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc", "200 open"),
];

/// RFC 9110 §9, §10.1.1: methods and expectations.
#[rustfmt::skip]
const METHODS: &[Case] = &[
    ("HEAD", b"HEAD /healthz HTTP/1.1\r\nHost: t\r\n\r\n", "200h open"),
    ("HEAD of nothing", b"HEAD /no HTTP/1.1\r\nHost: t\r\n\r\n", "404h open"),
    ("HEAD refused by the parser", b"HEAD /healthz HTTP/1.1\r\n\r\n", "400h closed"),
    ("HEAD with close", b"HEAD /healthz HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n", "200h closed"),
    ("PUT", b"PUT /healthz HTTP/1.1\r\nHost: t\r\n\r\n", "405 open"),
    ("DELETE", b"DELETE /healthz HTTP/1.1\r\nHost: t\r\n\r\n", "405 open"),
    ("PATCH", b"PATCH /blockchain HTTP/1.1\r\nHost: t\r\n\r\n", "405 open"),
    ("TRACE", b"TRACE /healthz HTTP/1.1\r\nHost: t\r\n\r\n", "405 open"),
    ("OPTIONS", b"OPTIONS /healthz HTTP/1.1\r\nHost: t\r\n\r\n", "405 open"),
    ("DELETE qrcode", b"DELETE /qrcode HTTP/1.1\r\nHost: t\r\n\r\n", "405 open"),
    ("PUT with a chunked body", b"PUT /healthz HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", "405 open"),
    ("lower case is another method", b"get /healthz HTTP/1.1\r\nHost: t\r\n\r\n", "501 open"),
    ("unknown", b"M-SEARCH /healthz HTTP/1.1\r\nHost: t\r\n\r\n", "501 open"),
    ("not a token", b"GE(T /healthz HTTP/1.1\r\nHost: t\r\n\r\n", "400 closed"),
    ("no method", b" /healthz HTTP/1.1\r\nHost: t\r\n\r\n", "400 closed"),
    ("continue, body already there", post!("Expect: 100-continue\r\nContent-Length: 3\r\n", "abc"), "200 open"),
    ("continue, any case", post!("Expect: 100-Continue\r\nContent-Length: 3\r\n", "abc"), "200 open"),
    ("continue, no body", post!("Expect: 100-continue\r\n", ""), "200 open"),
    ("continue, chunked, body there", post!("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), "200 open"),
    ("continue, too large", post!("Expect: 100-continue\r\nContent-Length: 99999999999\r\n", ""), "413 closed"),
    ("another expectation", post!("Expect: 200-ok\r\nContent-Length: 3\r\n", "abc"), "417 closed"),
    ("one expectation too many", get!("Expect: 100-continue, x\r\n"), "417 closed"),
    ("one too many in a field of its own", get!("Expect: x\r\nExpect: 100-continue\r\n"), "417 closed"),
    ("an expectation twice", get!("Expect: 100-continue, 100-Continue\r\n"), "200 open"),
    ("two other expectations", get!("Expect: x, y\r\n"), "417 closed"),
    ("no expectation", get!("Expect: \r\n"), "200 open"),
    ("404 instead of continue", b"POST /nothing HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n", "404 closed"),
    ("405 instead of continue", b"POST /healthz HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n", "405 closed"),
    ("405 instead of continue, chunked", b"PUT /blockchain HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n", "405 closed"),
    ("501 instead of continue", b"FOO /blockchain HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n", "501 closed"),
    ("http/1.0 expects nothing", b"POST /blockchain HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc", "200 closed"),
];

/// RFC 9112 §9.3.2: pipelining.
#[rustfmt::skip]
const PIPELINED: &[Case] = &[
    ("three", b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\nGET /no HTTP/1.1\r\nHost: t\r\n\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n", "200 404 200 open"),
    ("HEAD between", b"GET / HTTP/1.1\r\nHost: t\r\n\r\nHEAD / HTTP/1.1\r\nHost: t\r\n\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n", "200 200h 200 open"),
    ("behind a body", post!("Content-Length: 3\r\n", "abcGET /no HTTP/1.1\r\nHost: t\r\n\r\n"), "200 404 open"),
    ("behind a chunked body", chunked!("1\r\nx\r\n0\r\n\r\nGET /no HTTP/1.1\r\nHost: t\r\n\r\n"), "200 404 open"),
    ("behind trailers", chunked!("0\r\nX: y\r\n\r\nGET /no HTTP/1.1\r\nHost: t\r\n\r\n"), "200 404 open"),
    ("two chunked", chunked!("0\r\n\r\nPOST /no HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nxy\r\n0\r\n\r\n"), "200 404 open"),
    ("empty line between", b"GET / HTTP/1.1\r\nHost: t\r\n\r\n\r\nGET /no HTTP/1.1\r\nHost: t\r\n\r\n", "200 404 open"),
    ("empty line behind a body", post!("Content-Length: 3\r\n", "abc\r\nGET /no HTTP/1.1\r\nHost: t\r\n\r\n"), "200 404 open"),
    ("good then bad", b"GET / HTTP/1.1\r\nHost: t\r\n\r\nGET / HTTP/1.1\r\n\r\n", "200 400 closed"),
    ("bad then good", b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n", "400 closed"),
    ("too long a body then good", post!("Content-Length: 3\r\n", "abcdGET / HTTP/1.1\r\nHost: t\r\n\r\n"), "200 501 open"),
    ("refused method between", b"GET / HTTP/1.1\r\nHost: t\r\n\r\nPUT / HTTP/1.1\r\nHost: t\r\n\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n", "200 405 200 open"),
    ("expectation refused between", b"GET / HTTP/1.1\r\nHost: t\r\n\r\nGET / HTTP/1.1\r\nHost: t\r\nExpect: x\r\n\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n", "200 417 closed"),
    ("http/1.0 kept, then 1.1", b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /no HTTP/1.1\r\nHost: t\r\n\r\n", "200 404 open"),
];

const TABLE: &[(&str, &[Case])] = &[
    ("request line", REQUEST_LINE),
    ("target", TARGET),
    ("host", HOST),
    ("fields", FIELDS),
    ("content-length", LENGTH),
    ("transfer-encoding", CODING),
    ("chunked", CHUNKED),
    ("connection", CONNECTION),
    ("method", METHODS),
    ("pipeline", PIPELINED),
];

/// The bytes of every case.
pub fn requests() -> impl Iterator<Item = &'static [u8]> {
    TABLE
        .iter()
        .flat_map(|(_, cases)| cases.iter().map(|(_, bytes, _)| *bytes))
}

#[test]
fn every_case_of_the_table() {
    let server = Server::start(&[]);
    let cases = TABLE
        .iter()
        .flat_map(|(group, cases)| cases.iter().map(move |case| (group, case)));
    let mut faults = Vec::new();
    for (group, (name, bytes, expected)) in cases.clone() {
        if let Err(fault) = check(server.connect(), bytes, expected) {
            faults.push(format!("{group}: {name}: expected {expected}: {fault}"));
        }
    }
    assert!(
        faults.is_empty(),
        "{} of {}:\n{}",
        faults.len(),
        cases.count(),
        faults.join("\n")
    );
}

/// Sends `bytes` and compares what comes back; `Err` describes the difference.
pub fn check(mut client: Client, bytes: &[u8], expected: &str) -> Result<(), String> {
    client.send(bytes);
    let (statuses, end) = expected.rsplit_once(' ').unwrap_or(("", expected));
    let mut last = None;
    for wanted in statuses.split_whitespace() {
        let (codes, head_only) = wanted
            .strip_suffix('h')
            .map_or((wanted, false), |codes| (codes, true));
        let response = if head_only {
            client.head_response()
        } else {
            client.response()
        };
        let response = response.ok_or(format!("closed instead of {wanted}"))?;
        if !codes
            .split('/')
            .any(|code| code == response.status.to_string())
        {
            return Err(format!(
                "{} instead of {wanted}: {:?}",
                response.status,
                response.text()
            ));
        }
        check_form(&response, head_only)?;
        if last
            .replace(response)
            .is_some_and(|before: Response| before.closes())
        {
            return Err("an answer after `Connection: close`".into());
        }
    }
    let announced = last.is_some_and(|response| response.closes());
    match end {
        "open" if announced => Err("`Connection: close` on a connection that should stay".into()),
        "open" if client.is_in_sync() => Ok(()),
        "open" => Err("out of sync".into()),
        "wait" if client.is_left_waiting() => Ok(()),
        "wait" => Err("not waiting for the rest".into()),
        "closed" => match client.rest() {
            _ if !announced => Err("no `Connection: close` on the last answer".into()),
            rest if rest.is_empty() => Ok(()),
            rest => Err(format!(
                "more after the end: {:?}",
                String::from_utf8_lossy(&rest)
            )),
        },
        other => panic!("expectation {other}"),
    }
}

/// What every answer of a kind must have.
fn check_form(response: &Response, head_only: bool) -> Result<(), String> {
    if response.status == 405 && response.field("allow").is_none_or(str::is_empty) {
        return Err("405 without Allow".into());
    }
    let one_line = response.body.ends_with(b"\n")
        && response.body.iter().filter(|&&b| b == b'\n').count() == 1;
    if response.status >= 400 && !head_only && !one_line {
        return Err(format!(
            "no line that says what was wrong: {:?}",
            response.text()
        ));
    }
    Ok(())
}
