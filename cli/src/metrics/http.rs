//! As much of HTTP/1.1 as a scrape needs, of the standard library alone: GET and HEAD of one page, one request a connection.
//!
//! A library would bring a pool of threads, keep-alive and chunks, none of which a scrape every few seconds has a use for. Requests are
//! answered one after the other; whoever is slow, or sends more than a head, is sent away: nobody else waits longer than `PATIENCE`.

use super::text::Form;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// A scraper's request is a few hundred bytes.
const MOST_BYTES: usize = 8 << 10;
/// For the whole request, and again for the whole answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Where the metrics are.
const PATH: &str = "/metrics";

/// What became of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// It was answered with this status.
    Answered(u16),
    /// It went away, or was sent away.
    Gone,
}

/// Waits for a connection and answers it; `page` makes the text.
///
/// # Errors
/// What the listener said: a connection that fails is `Served::Gone`.
pub fn serve(listener: &TcpListener, page: impl FnOnce(Form) -> String) -> io::Result<Served> {
    let (mut stream, _) = listener.accept()?;
    Ok(answer(&mut stream, page).map_or(Served::Gone, Served::Answered))
}

fn answer(stream: &mut TcpStream, page: impl FnOnce(Form) -> String) -> io::Result<u16> {
    let Some(head) = head(stream)? else {
        return respond(stream, 431, "text/plain", "too large\n", true);
    };
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut words = head.lines().next().unwrap_or("").split(' ');
    let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let path = target.split('?').next().unwrap_or("");
    if method != "GET" && method != "HEAD" {
        return respond(stream, 405, "text/plain", "GET /metrics\n", true);
    }
    if path != PATH {
        return respond(stream, 404, "text/plain", "GET /metrics\n", method == "GET");
    }
    let form = form(&head);
    respond(
        stream,
        200,
        form.content_type(),
        &page(form),
        method == "GET",
    )
}

/// The request's head; None where it is none for us.
fn head(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let begun = Instant::now();
    let (mut head, mut part) = (Vec::new(), [0; 1024]);
    loop {
        let left = PATIENCE.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let read = stream.read(&mut part)?;
        head.extend_from_slice(part.get(..read).unwrap_or(&[]));
        if head.windows(4).any(|end| end == b"\r\n\r\n") {
            return Ok(Some(head));
        }
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if head.len() > MOST_BYTES {
            return Ok(None);
        }
    }
}

/// OpenMetrics for who says that it reads that.
fn form(head: &str) -> Form {
    let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let mut accepts = fields.filter(|(name, _)| name.eq_ignore_ascii_case("accept"));
    match accepts.any(|(_, value)| value.contains("application/openmetrics-text")) {
        true => Form::OpenMetrics,
        false => Form::Prometheus,
    }
}

fn respond(
    stream: &mut TcpStream,
    status: u16,
    kind: &str,
    body: &str,
    with_body: bool,
) -> io::Result<u16> {
    let word = match status {
        200 => "OK",
        404 => "Not Found",
        405 => "Method Not Allowed",
        _ => "Request Header Fields Too Large",
    };
    let length = body.len();
    let mut text = format!(
        "HTTP/1.1 {status} {word}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    if with_body {
        text.push_str(body);
    }
    write_within(stream, text.as_bytes())?;
    Ok(status)
}

/// A peer that reads a byte a second is none to wait for.
fn write_within(stream: &mut TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    let begun = Instant::now();
    while !bytes.is_empty() {
        let left = PATIENCE.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_write_timeout(Some(left))?;
        let written = stream.write(bytes)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = bytes.get(written..).unwrap_or(&[]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is answered to a request; the request is sent, and its end is, before anybody listens.
    fn asked(request: &[u8]) -> (Served, String) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = listener.local_addr().expect("its address");
        let mut stream = TcpStream::connect(address).expect("connected");
        stream.write_all(request).expect("sent");
        stream.shutdown(std::net::Shutdown::Write).expect("ended");
        let page = |form: Form| format!("{form:?}\n");
        let served = serve(&listener, page).expect("served");
        let mut answer = String::new();
        // What was sent away in the middle of its words may be reset.
        let _ = stream.read_to_string(&mut answer);
        (served, answer)
    }

    /// Check the page in both forms, HEAD, and what is refused, each with its status.
    #[test]
    fn answers() {
        let (served, answer) = asked(b"GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(served, Served::Answered(200));
        assert!(
            answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nPrometheus\n"),
            "{answer}"
        );
        let open = b"GET /metrics HTTP/1.1\r\nACCEPT: text/plain;q=0.1,application/openmetrics-text;version=1.0.0\r\n\r\n";
        assert!(asked(open).1.ends_with("\r\n\r\nOpenMetrics\n"));
        let (_, head) = asked(b"HEAD /metrics HTTP/1.1\r\n\r\n");
        assert!(
            head.contains("Content-Length: 11\r\n") && head.ends_with("\r\n\r\n"),
            "{head}"
        );
        assert_eq!(asked(b"GET / HTTP/1.1\r\n\r\n").0, Served::Answered(404));
        assert_eq!(
            asked(b"POST /metrics HTTP/1.1\r\n\r\n").0,
            Served::Answered(405)
        );
    }

    /// Check that what is no request, or has no end, is let go.
    #[test]
    fn no_request() {
        assert_eq!(asked(b"").0, Served::Gone);
        assert_eq!(asked(b"GET /metrics HTTP/1.1\r\n").0, Served::Gone);
        let large = vec![b'a'; 2 * MOST_BYTES];
        assert_eq!(asked(&large).0, Served::Answered(431));
    }
}
