//! Microsoft Entra, which was Azure Active Directory.

use crate::client::Client;
use crate::issuer::{Issuer, is_guid};
use crate::mapping::Mapping;
use crate::openid::{OpenId, of_issuer};
use crate::setup::Setup;

const HOST: &str = "https://login.microsoftonline.com";

/// Whose people may sign in, by the ids of their directories ("tenant id"): GUIDs in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Directories {
    /// Those of one directory.
    One(String),
    /// Those of several.
    Some(Vec<String>),
    /// Those of any organization. Anybody can make a directory, and write any address into it.
    Any,
}

/// Microsoft, `active-directory`. Each directory is an issuer of its own, and people are told apart by issuer and id.
///
/// Microsoft does not say whether an address is verified, and whoever administers a directory can write any: so none is, unless
/// the application's registration adds the optional claim `xms_edov`, by which Microsoft says that the directory owns the domain.
pub fn microsoft(directories: Directories, client: Client) -> Setup<OpenId> {
    let lower = |id: String| id.to_ascii_lowercase();
    let issuer = match directories {
        Directories::One(id) if is_guid(&lower(id.clone())) => {
            Issuer::Exact(format!("{HOST}/{}/v2.0", lower(id)))
        }
        // A domain would do for the address, but is not what the directory's tokens say; `build` refuses it.
        Directories::One(id) => many(Some(vec![id])),
        Directories::Some(ids) => many(Some(ids.into_iter().map(lower).collect())),
        Directories::Any => many(None),
    };
    of_issuer("active-directory", "Microsoft", issuer, client)
        .mapping(Mapping::new("sub").email("email").email_verified("xms_edov"))
        .without_user_info()
}

fn many(directories: Option<Vec<String>>) -> Issuer {
    Issuer::PerDirectory {
        base: format!("{HOST}/organizations/v2.0"),
        template: format!("{HOST}/{{tenantid}}/v2.0"),
        directories,
    }
}
