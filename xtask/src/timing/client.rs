//! A client on one kept connection: what it adds to a time is small and the same for all.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A connection to a server on this machine.
#[derive(Debug)]
pub(crate) struct Client {
    address: String,
    stream: TcpStream,
}

/// What was answered, and when.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// The body.
    pub(crate) body: String,
    /// From the first byte of the request to the last one of the answer, in milliseconds.
    pub(crate) ms: f64,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn connect(address: &str) -> Result<Self, String> {
        let connected = || {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(Duration::from_secs(30)))?;
            Ok(stream)
        };
        let stream = connected().map_err(|error: io::Error| format!("{address}: {error}"))?;
        Ok(Self {
            address: address.to_owned(),
            stream,
        })
    }

    /// Posts JSON.
    ///
    /// # Errors
    /// The server hangs up, or answers something that is not HTTP.
    pub(crate) fn post(&mut self, path: &str, body: &str) -> Result<Answer, String> {
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        let began = Instant::now();
        self.stream
            .write_all(request.as_bytes())
            .and_then(|()| read(&mut self.stream))
            .map(|(status, body)| Answer {
                status,
                body,
                ms: began.elapsed().as_secs_f64() * 1e3,
            })
            .map_err(|error| format!("POST {path}: {error}"))
    }
}

fn read(stream: &mut impl Read) -> io::Result<(u16, String)> {
    let mut answer = Vec::new();
    let mut chunk = [0; 8_192];
    loop {
        let count = stream.read(&mut chunk)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        answer.extend(chunk.iter().take(count));
        if let Some(whole) = whole(&String::from_utf8_lossy(&answer)) {
            return Ok(whole);
        }
    }
}

/// Status and body, once all is here.
fn whole(text: &str) -> Option<(u16, String)> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    })?;
    (body.len() >= length).then(|| (status, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_its_body_is() {
        let head = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 4\r\nvary: origin\r\n\r\n";
        assert_eq!(whole(head), None);
        assert_eq!(whole(&format!("{head}abc")), None);
        assert_eq!(whole(&format!("{head}abcd")), Some((401, "abcd".to_owned())));
    }

    #[test]
    fn an_answer_may_come_in_pieces_and_an_end_is_none() {
        let all = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        let (mut first, rest) = all.split_at(20);
        assert_eq!(read(&mut first.chain(rest)).unwrap(), (200, "{}".to_owned()));
        assert!(read(&mut first).is_err());
    }
}
