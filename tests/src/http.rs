//! The least HTTP/1.1 that can ask the daemon: GET over any stream, bodies with a length or in chunks, event streams.

use std::io::{BufRead, BufReader, Read, Write};
use std::time::Duration;

/// An answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Header names (in lower case) and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Response {
    /// The body as JSON; panics with the body if it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.body))
    }
}

/// Asks and reads the whole answer.
///
/// # Errors
/// When the stream ends early, falls silent for longer than its time limit, or speaks something else.
pub fn get(mut stream: impl Read + Write, path: &str) -> std::io::Result<Response> {
    ask(&mut stream, path)?;
    let mut stream = BufReader::new(stream);
    let (status, headers) = head(&mut stream)?;
    let length = header(&headers, "content-length").and_then(|length| length.parse().ok());
    let mut body = Vec::new();
    if header(&headers, "transfer-encoding").is_some_and(|value| value.contains("chunked")) {
        Chunks::new(stream).read_to_end(&mut body)?;
    } else if let Some(length) = length {
        stream.take(length).read_to_end(&mut body)?;
    } else {
        stream.read_to_end(&mut body)?;
    }
    Ok(Response { status, headers, body: String::from_utf8_lossy(&body).into_owned() })
}

/// An open stream of server-sent events.
pub struct Events<S> {
    stream: BufReader<Chunks<S>>,
}

impl<S: Read + Write> Events<S> {
    /// Asks for the stream.
    ///
    /// # Errors
    /// When the answer is no event stream.
    pub fn open(mut stream: S, path: &str) -> std::io::Result<Events<S>> {
        ask(&mut stream, path)?;
        let mut stream = BufReader::new(stream);
        let (status, headers) = head(&mut stream)?;
        let kind = header(&headers, "content-type").unwrap_or("");
        if status != 200 || !kind.starts_with("text/event-stream") {
            return Err(std::io::Error::other(format!("{path} answered {status}, {kind:?}: no event stream")));
        }
        Ok(Events { stream: BufReader::new(Chunks::new(stream)) })
    }

    /// The next event: its name and its data. Comments are passed over.
    ///
    /// # Errors
    /// When the stream ends or falls silent for longer than its time limit.
    pub fn next_event(&mut self) -> std::io::Result<(String, String)> {
        let (mut name, mut data) = (String::new(), String::new());
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end_matches(['\r', '\n']);
            if line.is_empty() && !data.is_empty() {
                return Ok((name, data));
            }
            if let Some(value) = line.strip_prefix("event:") {
                value.trim().clone_into(&mut name);
            } else if let Some(value) = line.strip_prefix("data:") {
                data.push_str(value.trim_start());
            }
        }
    }
}

/// The longest that the daemon may take to answer.
pub const LIMIT: Duration = Duration::from_secs(5);

fn ask(stream: &mut impl Write, path: &str) -> std::io::Result<()> {
    // In one piece, as every real client does.
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    stream.flush()
}

type Headers = Vec<(String, String)>;

fn head(stream: &mut impl BufRead) -> std::io::Result<(u16, Headers)> {
    let mut first = String::new();
    stream.read_line(&mut first)?;
    let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| std::io::Error::other(format!("no HTTP: {first:?}")))?;
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 || line.trim().is_empty() {
            return Ok((status, headers));
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
}

fn header<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
}

/// Undoes the chunked transfer coding (RFC 9112, 7.1).
struct Chunks<S> {
    stream: BufReader<S>,
    left: u64,
    over: bool,
}

impl<S: Read> Chunks<S> {
    fn new(stream: BufReader<S>) -> Chunks<S> {
        Chunks { stream, left: 0, over: false }
    }
}

impl<S: Read> Read for Chunks<S> {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 && !self.over {
            let mut size = String::new();
            while size.trim().is_empty() {
                size.clear();
                if self.stream.read_line(&mut size)? == 0 {
                    return Ok(0);
                }
            }
            let digits = size.split(';').next().unwrap_or("").trim();
            self.left = u64::from_str_radix(digits, 16).map_err(std::io::Error::other)?;
            self.over = self.left == 0;
        }
        if self.over {
            return Ok(0);
        }
        let read = (&mut self.stream).take(self.left).read(bytes)?;
        self.left = self.left.saturating_sub(u64::try_from(read).unwrap_or(0));
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream that has its answer ready.
    struct Ready(std::io::Cursor<&'static [u8]>);

    impl Read for Ready {
        fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
            self.0.read(bytes)
        }
    }

    impl Write for Ready {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn bodies_with_a_length_and_in_chunks_are_read() {
        for answer in [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello+"[..],
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        ] {
            let response = get(Ready(std::io::Cursor::new(answer)), "/").unwrap();
            assert_eq!((response.status, response.body.as_str()), (200, "hello"));
        }
    }

    #[test]
    fn events_are_read_one_by_one_and_comments_passed_over() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n\
            8\r\n: beat\n\n\r\n18\r\nevent: tick\ndata: {}\n\nev\n\r\n";
        let mut events = Events::open(Ready(std::io::Cursor::new(answer)), "/").unwrap();
        assert_eq!(events.next_event().unwrap(), ("tick".to_owned(), "{}".to_owned()));
        assert!(events.next_event().is_err());
    }
}
