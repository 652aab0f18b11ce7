//! A secret that makes itself: kept in a file of its own beside the database, on the developer's machine.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::entropy::OsEntropy;
use crate::error::Fault;
use crate::keyring::{Root, SecretList, Secrets};

/// The roots in a file, newest first, as [`SecretList`] reads them. If there is no file, one is made with a fresh root.
///
/// For a start without any set-up on loopback; `build()` refuses it elsewhere. On Unix only the owner may read what it
/// makes.
#[derive(Clone, Debug)]
pub struct SecretFile(PathBuf);

impl SecretFile {
    /// The file at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The file beside a database: `app.secret` for `app.sqlite`. A copy of the database alone then opens nothing.
    pub fn beside(database: impl AsRef<Path>) -> Self {
        Self(database.as_ref().with_extension("secret"))
    }

    fn read(&self) -> Result<SecretList, Problem> {
        let text = match fs::read_to_string(&self.0) {
            Err(error) if error.kind() == ErrorKind::NotFound => self.make()?,
            other => other?,
        };
        // Somebody else's start is writing it, or was killed while it did. To make another one could lose the first.
        if text.trim().is_empty() {
            return Err(Problem::Empty);
        }
        SecretList::parse(text.trim()).map_err(|error| Problem::Malformed(error.into()))
    }

    fn make(&self) -> Result<String, Problem> {
        let root = Root::random("k1".into(), &OsEntropy).map_err(|error| Problem::Malformed(error.into()))?;
        let text = SecretList::new(vec![root]).to_text();
        let mut file = match own::create_new(&self.0) {
            // Another process was faster: its secret counts.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Ok(fs::read_to_string(&self.0)?);
            }
            other => other?,
        };
        file.write_all(text.expose().as_bytes())?;
        file.sync_all()?;
        Ok(text.expose().clone())
    }
}

impl Secrets for SecretFile {
    fn roots(&self) -> Result<Vec<Root>, Fault> {
        let failed = |problem| {
            let path = self.0.display().to_string();
            Fault::Part(Box::new(SecretFileError { path, problem }))
        };
        self.read().map_err(failed)?.roots()
    }

    fn makes_its_own(&self) -> bool {
        true
    }
}

/// Why a file gives no secret. It shows the path, never a byte of a key.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {problem}")]
struct SecretFileError {
    path: String,
    problem: Problem,
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("the file is empty; if no other process is just starting, remove it")]
    Empty,
    #[error("{0}")]
    Malformed(crate::error::Source),
    #[error("{0}")]
    Io(#[from] io::Error),
}

#[cfg(unix)]
mod own {
    use std::os::unix::fs::OpenOptionsExt;

    use super::{File, OpenOptions, Path, io};

    /// A new file that only its owner may read.
    pub(super) fn create_new(path: &Path) -> io::Result<File> {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
    }
}

#[cfg(not(unix))]
mod own {
    use super::{File, OpenOptions, Path, io};

    /// A new file, with the permissions of its folder.
    pub(super) fn create_new(path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).open(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(file: &SecretFile) -> Vec<Vec<u8>> {
        let roots = file.roots().unwrap();
        roots.iter().map(|root| root.key.expose().clone()).collect()
    }

    #[test]
    fn a_secret_is_made_once_and_read_ever_after() {
        let folder = tempfile::tempdir().unwrap();
        let file = SecretFile::beside(folder.path().join("app.sqlite"));
        let made = keys(&file);
        assert_eq!(made.len(), 1);
        assert_eq!(made[0].len(), 32);
        assert_eq!(keys(&file), made);
        assert!(folder.path().join("app.secret").exists());
        let other = SecretFile::new(folder.path().join("other.secret"));
        assert_ne!(keys(&other), made);
    }

    #[test]
    #[cfg(unix)]
    fn only_its_owner_may_read_it() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.secret");
        SecretFile::new(&path).roots().unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn of_processes_that_start_at_once_all_have_the_secret_of_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = SecretFile::new(folder.path().join("app.secret"));
        let barrier = std::sync::Barrier::new(8);
        let all: Vec<_> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        file.roots().ok().map(|roots| roots[0].key.expose().clone())
                    })
                })
                .collect();
            starts
                .into_iter()
                .filter_map(|start| start.join().unwrap())
                .collect()
        });
        // One that read it half-written may have failed; none has a secret of its own.
        let kept = keys(&file);
        assert!(!all.is_empty() && all.iter().all(|key| *key == kept[0]));
    }

    #[test]
    fn a_file_that_does_not_read_is_never_replaced_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.secret");
        for text in ["", " \n", "hunter2", "k1:hunter2!"] {
            fs::write(&path, text).unwrap();
            let fault = SecretFile::new(&path).roots().unwrap_err();
            let Fault::Part(source) = fault else {
                panic!("{fault:?}")
            };
            let told = source.to_string();
            assert!(told.contains("app.secret") && !told.contains("hunter2"), "{told}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}
