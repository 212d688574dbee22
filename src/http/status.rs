//! Status codes that this server sends, and the faults behind them.
//!
//! A [`Fault`] is what a peer can do wrong at the HTTP level, or what fails while answering: each variant
//! has one status and one line of text that names the mistake. Parsers return it, the connection answers
//! it, metrics count it by kind.

use crate::metrics::Counter;

/// A status code of RFC 9110 §15.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
#[allow(missing_docs)]
pub enum Status {
    Ok = 200,
    NotModified = 304,
    BadRequest = 400,
    Unauthorized = 401,
    Forbidden = 403,
    NotFound = 404,
    MethodNotAllowed = 405,
    NotAcceptable = 406,
    RequestTimeout = 408,
    Conflict = 409,
    ContentTooLarge = 413,
    UriTooLong = 414,
    UnsupportedMediaType = 415,
    ExpectationFailed = 417,
    UnprocessableContent = 422,
    RequestHeaderFieldsTooLarge = 431,
    InternalServerError = 500,
    NotImplemented = 501,
    ServiceUnavailable = 503,
    HttpVersionNotSupported = 505,
    InsufficientStorage = 507,
}

impl Status {
    /// The number on the wire.
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// The status line with its CRLF.
    pub const fn line(self) -> &'static [u8] {
        match self {
            Self::Ok => b"HTTP/1.1 200 OK\r\n",
            Self::NotModified => b"HTTP/1.1 304 Not Modified\r\n",
            Self::BadRequest => b"HTTP/1.1 400 Bad Request\r\n",
            Self::Unauthorized => b"HTTP/1.1 401 Unauthorized\r\n",
            Self::Forbidden => b"HTTP/1.1 403 Forbidden\r\n",
            Self::NotFound => b"HTTP/1.1 404 Not Found\r\n",
            Self::MethodNotAllowed => b"HTTP/1.1 405 Method Not Allowed\r\n",
            Self::NotAcceptable => b"HTTP/1.1 406 Not Acceptable\r\n",
            Self::RequestTimeout => b"HTTP/1.1 408 Request Timeout\r\n",
            Self::Conflict => b"HTTP/1.1 409 Conflict\r\n",
            Self::ContentTooLarge => b"HTTP/1.1 413 Content Too Large\r\n",
            Self::UriTooLong => b"HTTP/1.1 414 URI Too Long\r\n",
            Self::UnsupportedMediaType => b"HTTP/1.1 415 Unsupported Media Type\r\n",
            Self::ExpectationFailed => b"HTTP/1.1 417 Expectation Failed\r\n",
            Self::UnprocessableContent => b"HTTP/1.1 422 Unprocessable Content\r\n",
            Self::RequestHeaderFieldsTooLarge => {
                b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
            }
            Self::InternalServerError => b"HTTP/1.1 500 Internal Server Error\r\n",
            Self::NotImplemented => b"HTTP/1.1 501 Not Implemented\r\n",
            Self::ServiceUnavailable => b"HTTP/1.1 503 Service Unavailable\r\n",
            Self::HttpVersionNotSupported => b"HTTP/1.1 505 HTTP Version Not Supported\r\n",
            Self::InsufficientStorage => b"HTTP/1.1 507 Insufficient Storage\r\n",
        }
    }
}

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $status:ident, $text:literal;)*) => {
        /// What a peer did wrong, or what failed while answering.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault { $($(#[$doc])* $name,)* }

        impl Fault {
            /// Every fault, in declaration order: `ALL[f as usize] == f`.
            pub const ALL: &'static [Fault] = &[$(Fault::$name,)*];

            /// The status that answers it.
            pub const fn status(self) -> Status {
                match self { $(Fault::$name => Status::$status,)* }
            }

            /// One line for the peer, without a line end.
            pub const fn text(self) -> &'static str {
                match self { $(Fault::$name => $text,)* }
            }

            /// The counter of this fault.
            pub const fn counter(self) -> Counter {
                match self { $(Fault::$name => Counter::$name,)* }
            }
        }
    };
}

faults! {
    /// The method is not a token (RFC 9110 §9.1).
    BadMethod = BadRequest, "malformed method";
    /// The method is a token that this server does not know.
    UnknownMethod = NotImplemented, "unknown method";
    /// The request target has none of the four forms of RFC 9112 §3.2.
    BadTarget = BadRequest, "malformed request target";
    /// The request line does not end in `HTTP/1.x` CRLF.
    BadVersion = BadRequest, "malformed request line";
    /// A major version other than 1.
    UnsupportedVersion = HttpVersionNotSupported, "HTTP version not supported";
    /// More empty lines before the request line than are ignored.
    BadPreface = BadRequest, "malformed bytes before the request line";
    /// Longer than `request_line_bytes_max`.
    LineTooLong = UriTooLong, "request line too long";
    /// Field lines longer than `head_bytes_max`.
    HeadTooLarge = RequestHeaderFieldsTooLarge, "header section too large";
    /// More than `header_count_max` field lines.
    TooManyFields = RequestHeaderFieldsTooLarge, "too many header fields";
    /// A field line that is not `token ":" OWS value OWS CRLF`: obsolete folding, whitespace before
    /// the colon, a bare CR or LF, a control byte (RFC 9112 §2.2, §5).
    BadFieldLine = BadRequest, "malformed header field line";
    /// HTTP/1.1 without Host (RFC 9112 §3.2).
    MissingHost = BadRequest, "Host header missing";
    /// More than one Host.
    RepeatedHost = BadRequest, "Host header repeated";
    /// Host is not `uri-host [ ":" port ]`.
    BadHost = BadRequest, "malformed Host header";
    /// Content-Length is not one decimal number (RFC 9112 §6.3), or is repeated.
    BadContentLength = BadRequest, "malformed Content-Length";
    /// Content-Length together with Transfer-Encoding: possible request smuggling.
    AmbiguousLength = BadRequest, "both Content-Length and Transfer-Encoding";
    /// Transfer-Encoding that does not end in one `chunked`, or in an HTTP/1.0 request.
    BadTransferEncoding = BadRequest, "malformed Transfer-Encoding";
    /// A transfer coding other than chunked.
    UnknownTransferCoding = NotImplemented, "transfer coding not implemented";
    /// Chunked framing broken (RFC 9112 §7.1).
    BadChunk = BadRequest, "malformed chunked body";
    /// Chunk extensions and trailers longer than `chunk_overhead_bytes_max`.
    ChunkOverhead = BadRequest, "chunk extensions or trailers too long";
    /// Longer than `body_bytes_max`.
    BodyTooLarge = ContentTooLarge, "request body too large";
    /// An expectation other than `100-continue`.
    UnknownExpectation = ExpectationFailed, "unknown expectation";
    /// The head did not arrive within `head_timeout`.
    HeadTimeout = RequestTimeout, "request head took too long";
    /// The body did not arrive within `body_timeout`.
    BodyTimeout = RequestTimeout, "request body took too long";
    /// More than `connections_max` connections.
    TooManyConnections = ServiceUnavailable, "too many connections";
    /// More than `buffered_bytes_max` bytes wait in all connections together.
    Overloaded = ServiceUnavailable, "server is short of buffer memory";
    /// A handler panicked or did not answer.
    HandlerFault = InternalServerError, "internal error";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_lines_carry_their_code() {
        for fault in Fault::ALL {
            let line = std::str::from_utf8(fault.status().line()).unwrap();
            assert!(
                line.starts_with(&format!("HTTP/1.1 {} ", fault.status().code())),
                "{line}"
            );
            assert!(line.ends_with("\r\n"));
        }
    }

    #[test]
    fn all_is_indexed_by_the_variant() {
        for (index, fault) in Fault::ALL.iter().enumerate() {
            assert_eq!(*fault as usize, index);
        }
    }
}
