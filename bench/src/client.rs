//! An HTTP client on one kept connection: as little as a client can cost that stands on the same machine.

use std::io::{Read, Write};
use std::net::TcpStream;

/// A connection.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    /// Connects.
    pub fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("a socket");
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// Posts JSON; the status, and the whole answer as text.
    pub fn post(&mut self, path: &str, headers: &[&str], body: &str) -> (u16, String) {
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
            body.len()
        );
        for header in headers {
            request.push_str(header);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        request.push_str(body);
        self.stream.write_all(request.as_bytes()).expect("sends");
        self.answer()
    }

    fn answer(&mut self) -> (u16, String) {
        self.buffer.clear();
        let mut chunk = [0; 8192];
        loop {
            if let Some(whole) = self.whole() {
                return whole;
            }
            let count = self.stream.read(&mut chunk).expect("answers");
            assert!(count > 0, "the server hangs up");
            self.buffer.extend_from_slice(&chunk[..count]);
        }
    }

    /// The answer, once all of it is here.
    fn whole(&self) -> Option<(u16, String)> {
        let text = std::str::from_utf8(&self.buffer).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))?;
        let status = head.get(9..12)?.parse().ok()?;
        let length: usize = length.parse().ok()?;
        (body.len() >= length).then(|| (status, text.to_owned()))
    }
}
