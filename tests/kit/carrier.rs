//! A provider of text messages on this machine. The real senders of stepup send to it over HTTP; it writes down what came, and
//! answers as it is told.

#![allow(dead_code, unreachable_pub, reason = "each suite uses its part of it")]

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use stepup_delivery::{AwsKeys, FailOver, Sns, Twilio, Vonage, Webhook};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// The account at Twilio, and what signs it in: `AC…:t0ken`.
const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
const SIGNED_IN: &str = "Basic QUMwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjp0MGtlbg==";

/// The provider.
#[derive(Clone, Debug)]
pub struct Exchange {
    url: String,
    seen: Arc<Mutex<Vec<String>>>,
    status: Arc<AtomicU16>,
}

/// Makes one of the real senders, which sends to this provider.
pub type Sender = fn(&Exchange) -> FailOver;

/// All senders of text messages, by name.
pub const SENDERS: [(&str, Sender); 4] = [
    ("twilio", |at| FailOver::new(at.twilio())),
    ("vonage", |at| FailOver::new(at.vonage())),
    ("sns", |at| FailOver::new(at.sns())),
    ("webhook", |at| FailOver::new(at.webhook())),
];

/// An answer of [`Exchange::answers`]: the connection is closed without one.
pub const CLOSES: u16 = 0;

impl Exchange {
    /// Starts it. It takes every message.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let exchange = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            seen: Arc::default(),
            status: Arc::new(AtomicU16::new(201)),
        };
        let here = exchange.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let here = here.clone();
                tokio::spawn(async move { here.serve(stream).await });
            }
        });
        exchange
    }

    async fn serve(&self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        let mut request = String::new();
        while !request.ends_with("\r\n\r\n") {
            if stream.read_line(&mut request).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let length = header(&request, "content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        request.push_str(std::str::from_utf8(&body).unwrap());
        self.seen.lock().unwrap().push(request);
        let status = self.status.load(Ordering::SeqCst);
        if status != CLOSES {
            let answer = format!("HTTP/1.1 {status} So\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    }

    /// From now on it answers with this status.
    pub fn answers(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// How many messages came.
    pub fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// The numbers that Twilio was to send to, in order. Each request was signed in and had the form that is documented.
    pub fn numbers(&self) -> Vec<String> {
        let line = format!("POST /2010-04-01/Accounts/{ACCOUNT}/Messages.json HTTP/1.1\r\n");
        let seen = self.seen.lock().unwrap();
        let number = |request: &String| {
            assert!(request.starts_with(&line), "{request}");
            assert_eq!(header(request, "authorization"), Some(SIGNED_IN), "{request}");
            let (_, body) = request.split_once("\r\n\r\n").unwrap();
            let (to, _) = body
                .strip_prefix("To=%2B")
                .unwrap()
                .split_once("&From=Acme&Body=")
                .unwrap();
            format!("+{to}")
        };
        seen.iter().map(number).collect()
    }

    /// The code in the last message.
    pub fn code(&self) -> String {
        let seen = self.seen.lock().unwrap();
        let (_, body) = seen.last().unwrap().split_once("&Body=").unwrap();
        let code = body.split('+').next().unwrap();
        assert!(
            code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()),
            "{body}"
        );
        code.to_owned()
    }

    pub fn twilio(&self) -> Twilio {
        Twilio::at(&self.url, ACCOUNT, "t0ken".to_owned().into(), "Acme").unwrap()
    }

    fn vonage(&self) -> Vonage {
        Vonage::at(&self.url, "abcd1234", "s3cret".to_owned().into(), "Acme").unwrap()
    }

    fn sns(&self) -> Sns {
        let keys = AwsKeys::new("AKID", "s3cret".to_owned().into());
        Sns::at(&self.url, "eu-west-1", keys).unwrap()
    }

    fn webhook(&self) -> Webhook {
        Webhook::new(&self.url, vec![7; 32].into()).unwrap()
    }
}

fn header<'r>(request: &'r str, name: &str) -> Option<&'r str> {
    let lines = request.lines().filter_map(|line| line.split_once(": "));
    let mut found = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
    found.next().map(|(_, value)| value)
}
