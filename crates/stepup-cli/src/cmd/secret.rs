//! `secret`: what older secrets have sealed is sealed anew, and one that is needed no more is dropped.

use std::error::Error;
use std::fs;
use std::io::Write;
use std::path::Path;

use clap::Subcommand;
use stepup_core::id::KeyId;
use stepup_core::keyring::{Root, SecretList, Secrets};

use crate::Ending;
use crate::cmd::Done;
use crate::site::Place;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Seals with the newest secret what older ones have sealed. The site may run; call it again if it was broken off.
    Reseal,
    /// Takes an older secret out of the list, unless something that it sealed is left. From a secret file it is removed;
    /// of the environment it is said that it may be.
    Drop {
        /// The name of the secret.
        id: String,
    },
}

pub(crate) async fn run(place: &Place, command: Command) -> Done {
    let (desk, kept) = place.desk().await?;
    match command {
        Command::Reseal => {
            let done = desk.reseal().await?;
            println!(
                "sealed anew: {} credentials, {} signing keys",
                done.credentials, done.signing_keys
            );
            if done.outrun > 0 {
                println!("changed by others meanwhile: {}; run it again", done.outrun);
                return Ok(Ending::Partly);
            }
            Ok(Ending::Whole)
        }
        Command::Drop { id } => {
            let id = KeyId::from(id);
            if let Err(needed) = desk.may_drop(&id).await? {
                return Err(format!("{needed}; nothing was changed").into());
            }
            match &kept.file {
                None => println!("nothing that it sealed is left: take it out of STEPUP_SECRET"),
                Some(file) => {
                    without(file, &kept.list, &id)?;
                    println!("it is out of {}", file.display());
                }
            }
            println!(
                "sessions that were not refreshed since another one is the newest end when the site starts"
            );
            Ok(Ending::Whole)
        }
    }
}

/// Replaces the file by one without the secret named `id`, whole or not at all.
fn without(file: &Path, list: &SecretList, id: &KeyId) -> Result<(), Box<dyn Error>> {
    let roots: Vec<Root> = list.roots()?.into_iter().filter(|root| root.id != *id).collect();
    let text = SecretList::new(roots).to_text();
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    // Only its owner may read what this makes.
    let mut new = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    new.write_all(text.expose().as_bytes())?;
    new.as_file().sync_all()?;
    // As those who start the site could read it before, they can now.
    let permissions = fs::metadata(file)?.permissions();
    fs::set_permissions(new.path(), permissions)?;
    new.persist(file)?;
    Ok(())
}
