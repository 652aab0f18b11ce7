//! Where the site's database and secrets are.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use stepup_core::desk::Desk;
use stepup_core::digest::FirebaseKey;
use stepup_core::keyring::{SecretList, SecretListError};
use stepup_core::secret::Secret;
use stepup_sqlx::SqliteStore;

/// A database by its URL.
#[derive(Debug)]
pub(crate) struct Place {
    url: String,
}

/// The secrets of the site, and the file that they are from.
pub(crate) struct Kept {
    pub(crate) list: SecretList,
    pub(crate) file: Option<PathBuf>,
}

/// Why it cannot be begun.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("no database is named: give --database or set STEPUP_DATABASE_URL")]
    NoDatabase,
    #[error("only sqlite: URLs are known yet")]
    OtherDatabase,
    #[error("no secret is configured: set STEPUP_SECRET or STEPUP_SECRET_FILE")]
    NoSecret,
    #[error("the secret file {0} cannot be read")]
    File(PathBuf, #[source] std::io::Error),
    #[error("the secrets do not read")]
    Secret(#[from] SecretListError),
    #[error("STEPUP_FIREBASE_SIGNER_KEY is not the base64 of a signer key")]
    FirebaseKey,
}

impl Place {
    /// The database that the command line names, or the environment.
    pub(crate) fn of(named: Option<String>) -> Result<Self, Unusable> {
        let url = named
            .or_else(|| variable("STEPUP_DATABASE_URL"))
            .ok_or(Unusable::NoDatabase)?;
        match url.starts_with("sqlite:") {
            true => Ok(Self { url }),
            false => Err(Unusable::OtherDatabase),
        }
    }

    /// The database. Only a migration makes one that is not there.
    pub(crate) async fn store(&self, make: bool) -> Result<SqliteStore, Box<dyn Error>> {
        let bare = self.url.split('?').next().unwrap_or_default();
        let mode = if make { "rwc" } else { "rw" };
        let url = match self.url.contains("mode=") {
            false => format!("{bare}?mode={mode}"),
            true if make => self.url.clone(),
            true => format!("{bare}?mode=rw"),
        };
        Ok(SqliteStore::connect(&url).await?)
    }

    /// The desk, and the secrets that it was opened with.
    pub(crate) async fn desk(&self) -> Result<(Desk, Kept), Box<dyn Error>> {
        // Before the store is opened: what is missing is told without touching anything.
        let kept = self.secrets()?;
        let firebase = firebase_key()?;
        let store = self.store(false).await?;
        let desk = Desk::open(Arc::new(store), &kept.list).await?;
        let desk = match firebase {
            Some(key) => desk.with_firebase_key(key),
            None => desk,
        };
        Ok((desk, kept))
    }

    /// The secrets: from the environment, a file that it names, or the file beside the database. None is ever made.
    fn secrets(&self) -> Result<Kept, Unusable> {
        if let Some(text) = variable("STEPUP_SECRET") {
            let list = SecretList::parse(&text)?;
            return Ok(Kept { list, file: None });
        }
        let file = match variable("STEPUP_SECRET_FILE") {
            Some(file) => PathBuf::from(file),
            None => {
                let path = self.url.split('?').next().unwrap_or_default();
                let path = path.trim_start_matches("sqlite:").trim_start_matches("//");
                let beside = Path::new(path).with_extension("secret");
                if !beside.exists() {
                    return Err(Unusable::NoSecret);
                }
                beside
            }
        };
        let text = fs::read_to_string(&file).map_err(|error| Unusable::File(file.clone(), error))?;
        let text = Secret::new(text);
        if text.expose().trim().is_empty() {
            return Err(Unusable::NoSecret);
        }
        let list = SecretList::parse(text.expose().trim())?;
        Ok(Kept {
            list,
            file: Some(file),
        })
    }
}

/// The signer key of a Firebase project, where the environment has one.
pub(crate) fn firebase_key() -> Result<Option<FirebaseKey>, Unusable> {
    variable("STEPUP_FIREBASE_SIGNER_KEY")
        .map(|text| FirebaseKey::parse(&text).map_err(|_| Unusable::FirebaseKey))
        .transpose()
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.trim().is_empty())
}
