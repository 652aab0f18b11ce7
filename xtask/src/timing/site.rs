//! The demo as it is shipped, with the accounts that are asked about, and a mail server that takes its time.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::install;
use crate::report::output;
use crate::timing::client::Client;
use crate::workspace::Workspace;

/// A running demo.
pub(crate) struct Site {
    /// Where it listens.
    pub(crate) address: String,
    /// Its mail server.
    pub(crate) mail: SlowMail,
    _server: Server,
    _folder: Folder,
}

/// Accounts of each kind, and addresses that have none: as many, so that their counters are met as often.
pub(crate) const ADDRESSES: usize = 40;

/// The password of every account.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// The address number `n` of a kind: `known`, `disabled`, or any other word for addresses without an account.
pub(crate) fn address(kind: &str, n: usize) -> String {
    // As long for all kinds.
    format!("{kind:x>8}{:02}@example.com", n % ADDRESSES)
}

/// The form that signs up and in.
pub(crate) fn form(address: &str, password: &str) -> String {
    format!(
        r#"{{"formFields":[{{"id":"email","value":"{address}"}},{{"id":"password","value":"{password}"}}]}}"#
    )
}

impl Site {
    /// Builds it, makes the accounts, disables those that are to be, and starts it on the first core.
    ///
    /// # Errors
    /// What could not be built, installed or started.
    pub(crate) fn start(workspace: &Workspace) -> Result<Self, String> {
        install::program(workspace, &["sqlite3"], &["sqlite3"])?;
        install::program(workspace, &["taskset"], &["util-linux"])?;
        let mut build = workspace.cargo(&["build", "--release", "--package", "demo-axum"]);
        match build.status() {
            Ok(status) if status.success() => {}
            _ => return Err("demo-axum does not build".to_owned()),
        }
        let demo = workspace.target_folder("release").join("demo-axum");
        let folder = Folder::new(workspace)?;
        let database = folder.0.join("timing.sqlite");

        let (server, address) = Server::start(&demo, &database, None)?;
        let mut client = Client::connect(&address)?;
        for kind in ["known", "disabled"] {
            for n in 0..ADDRESSES {
                let made = client.post("/auth/signup", &form(&self::address(kind, n), PASSWORD))?;
                if !made.body.contains(r#""status":"OK""#) {
                    return Err(format!("no account: {}", made.body));
                }
            }
        }
        drop(server);
        disable(&database)?;

        let mail = SlowMail::start()?;
        let (server, address) = Server::start(&demo, &database, Some(mail.address))?;
        Ok(Self {
            address,
            mail,
            _server: server,
            _folder: folder,
        })
    }
}

/// Where the database is, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(workspace: &Workspace) -> Result<Self, String> {
        // In memory, where there is such a place: a disk that others write to would be most of what is measured.
        let memory = Path::new("/dev/shm");
        let folder = match memory.is_dir() {
            true => memory.join(format!("stepup-timing-{}", std::process::id())),
            false => workspace.target_folder("timing"),
        };
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Nothing over HTTP disables an account, so it is done in the database, while nobody has it open.
fn disable(database: &Path) -> Result<(), String> {
    let statement =
        "UPDATE stepup_user SET state = 'disabled' WHERE methods LIKE '%disabled%'; SELECT changes();";
    let done = output(Command::new("sqlite3").arg(database).arg(statement));
    match done.as_deref().map(str::parse) {
        Some(Ok(ADDRESSES)) => Ok(()),
        other => Err(format!("{ADDRESSES} accounts were to be disabled: {other:?}")),
    }
}

/// A process of the demo, ended when dropped.
struct Server(Child);

impl Server {
    fn start(demo: &PathBuf, database: &Path, mail: Option<SocketAddr>) -> Result<(Self, String), String> {
        let mut command = Command::new("taskset");
        command
            .args(["-c", "0"])
            .arg(demo)
            .env("STEPUP_LISTEN", "127.0.0.1:0")
            .env(
                "STEPUP_DATABASE_URL",
                format!("sqlite://{}?mode=rwc", database.display()),
            )
            .env("STEPUP_FIRST_FACTORS", "emailpassword,otp-email")
            .env("STEPUP_DEMO_THROTTLE_SCALE", "1000000")
            .env("RUST_LOG", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        if let Some(mail) = mail {
            command.env(
                "STEPUP_SMTP_URL",
                format!("smtp://{mail}?from=no-reply@example.com"),
            );
        }
        let mut server = Self(command.spawn().map_err(|error| format!("demo-axum: {error}"))?);
        let mut lines = server
            .0
            .stdout
            .take()
            .map(BufReader::new)
            .into_iter()
            .flat_map(BufRead::lines);
        let address =
            lines.find_map(|line| Some(line.ok()?.strip_prefix("listening on http://")?.to_owned()));
        let address = address.ok_or("demo-axum does not say where it listens")?;
        // Whatever else it says must not fill the pipe.
        thread::spawn(move || lines.for_each(drop));
        Ok((server, address))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A mail server that keeps whoever connects waiting, and then hangs up.
#[derive(Debug)]
pub(crate) struct SlowMail {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

/// How long: two hundred times what an answer takes, and short enough for the background to keep up with what is asked.
pub(crate) const PATIENCE: Duration = Duration::from_millis(250);

impl SlowMail {
    fn start() -> Result<Self, String> {
        let bind = || {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            Ok((listener.local_addr()?, listener))
        };
        let (address, listener) = bind().map_err(|error: std::io::Error| format!("no port: {error}"))?;
        let asked = Arc::new(AtomicUsize::new(0));
        let (keep, kept) = mpsc::channel();
        let count = asked.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                count.fetch_add(1, Ordering::Relaxed);
                if keep.send((Instant::now() + PATIENCE, stream)).is_err() {
                    break;
                }
            }
        });
        thread::spawn(move || {
            for (until, stream) in kept {
                thread::sleep(until.saturating_duration_since(Instant::now()));
                drop(stream);
            }
        });
        Ok(Self { address, asked })
    }

    /// How often somebody connected so far.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::TcpStream;

    #[test]
    fn addresses_of_all_kinds_are_equally_long_and_come_again() {
        let lengths: Vec<_> = ["known", "disabled", "nobody"]
            .map(|kind| address(kind, 3).len())
            .to_vec();
        assert!(
            lengths.windows(2).all(|pair| pair.first() == pair.last()),
            "{lengths:?}"
        );
        assert_eq!(address("known", 3), address("known", 3 + ADDRESSES));
        assert_ne!(address("known", 3), address("known", 4));
    }

    #[test]
    fn the_mail_server_keeps_everybody_waiting_at_once() {
        let mail = SlowMail::start().unwrap();
        let began = Instant::now();
        let mut waiting: Vec<_> = (0..20)
            .map(|_| TcpStream::connect(mail.address).unwrap())
            .collect();
        for stream in &mut waiting {
            assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        }
        let took = began.elapsed();
        assert!(
            took >= PATIENCE - Duration::from_millis(50) && took < PATIENCE * 3,
            "{took:?}"
        );
        assert_eq!(mail.asked(), 20);
    }
}
