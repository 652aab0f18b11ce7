//! G8: what accounts and finished flows leave behind in the process.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::Effort;
use crate::load::{Server, resident};
use crate::table::{figure, show};

/// Measures and prints: sign-ups and sign-ins over HTTP, with the memory of the process every so often.
pub fn run(effort: Effort) {
    let server = Server::ours("accounts", &["accounts"]);
    let address = server
        .url()
        .trim_start_matches("http://")
        .trim_end_matches('/')
        .to_owned();
    let mut rows = vec![vec![
        "0".to_owned(),
        megabytes(resident(server.pid())),
        "–".to_owned(),
    ]];
    let step = (effort.accounts / 4).max(1);
    let mut at_first = 0;
    for quarter in 1..=4 {
        for n in (quarter - 1) * step..quarter * step {
            for path in ["signup", "signin"] {
                post(&address, path, n);
            }
        }
        let now = resident(server.pid());
        let grown = match quarter {
            1 => {
                at_first = now;
                "–".to_owned()
            }
            _ => {
                let accounts = ((quarter - 1) * step) as f64;
                format!("{} bytes", figure((now as f64 - at_first as f64) / accounts))
            }
        };
        rows.push(vec![(quarter * step).to_string(), megabytes(now), grown]);
    }
    show(
        "G8: resident memory after sign-ups and sign-ins over HTTP, SQLite store",
        &[
            "accounts",
            "resident",
            "growth per account since the first quarter",
        ],
        &rows,
    );
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", figure(bytes as f64 / 1e6))
}

fn post(address: &str, path: &str, n: usize) {
    let body = format!(
        r#"{{"formFields":[{{"id":"email","value":"user{n}@example.com"}},{{"id":"password","value":"correct horse battery"}}]}}"#
    );
    let request = format!(
        "POST /auth/{path} HTTP/1.1\r\nhost: localhost\r\nst-auth-mode: header\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.write_all(request.as_bytes()).expect("sends");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answers");
    assert!(answer.contains(r#""status":"OK""#), "{answer}");
}
