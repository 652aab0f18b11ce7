//! Method and path to endpoint.
//!
//! The path is compared as it was sent: nothing is decoded, joined or normalized, so that `%2e%2e`, `;a=b`, `//` and
//! other readings of one path are not ours, or unknown (threat A-INJ-11). Only one slash at the end is ignored.

use http::Method;

/// One endpoint of the table.
#[derive(Debug)]
pub struct Row<E> {
    /// The method.
    pub method: Method,
    /// The path below the base path, `/signinup/code`.
    pub path: &'static str,
    /// Whether a tenant's id may stand in front of the path.
    pub tenant: bool,
    /// What it asks of the caller.
    pub access: Access,
    /// What body it takes.
    pub body: Body,
    /// What answers.
    pub endpoint: E,
}

/// What an endpoint asks of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Nothing.
    Open,
    /// A live session; a first factor is enough.
    HalfLogin,
    /// A session that is complete in the eyes of policy, and has its second factor if the user has any.
    Complete,
    /// [`Access::Complete`], and the strongest factor of the account within the step-up age.
    Fresh,
}

/// What body an endpoint takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// It is not read, whatever its type: clients send it as JSON, as an empty form, or not at all.
    Ignored,
    /// A JSON object, of type `application/json`.
    Json,
    /// The same, or the same fields as a form without script sends them. For what needs no session: of a form nobody knows
    /// whose page it is on but by its origin.
    Form,
    /// A form that a page of another site sends by the user's browser. What takes one decides nothing by it.
    ForeignForm,
}

/// What a path is.
#[derive(Debug, PartialEq, Eq)]
pub enum Match<'t, 'p, E> {
    /// An endpoint of ours, in the named tenant, or in the one that needs no name.
    Found(&'t Row<E>, Option<&'p str>),
    /// A path of ours, with these methods only.
    WrongMethod(Vec<&'t Method>),
    /// Below the base path, but no path of ours.
    Unknown,
    /// Not below the base path: the application's.
    Elsewhere,
}

/// The longest tenant id in a path.
const MAX_TENANT: usize = 64;

/// Finds the endpoint. A row that matches without a tenant beats every reading with one, and a HEAD is answered by the
/// row of its GET.
pub fn find<'t, 'p, E>(table: &'t [Row<E>], base: &str, method: &Method, path: &'p str) -> Match<'t, 'p, E> {
    let below = match path.strip_prefix(base) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
        _ => return Match::Elsewhere,
    };
    let below = below.strip_suffix('/').unwrap_or(below);
    let exact = pick(table.iter().filter(|row| row.path == below), method, None);
    if !matches!(exact, Match::Unknown) {
        return exact;
    }
    let Some((tenant, rest)) = split_tenant(below).filter(|(tenant, _)| is_tenant(table, tenant)) else {
        return Match::Unknown;
    };
    pick(
        table.iter().filter(|row| row.tenant && row.path == rest),
        method,
        Some(tenant),
    )
}

/// Whether `text` can name a tenant in a path: letters, digits and hyphens, and not the first word of a path of ours.
pub fn is_tenant<E>(table: &[Row<E>], text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let is_path = |row: &Row<E>| row.path.split('/').nth(1) == Some(text);
    (1..=MAX_TENANT).contains(&text.len()) && text.bytes().all(plain) && !table.iter().any(is_path)
}

/// `/tenant/rest` as `tenant` and `/rest`.
fn split_tenant(below: &str) -> Option<(&str, &str)> {
    let inner = below.strip_prefix('/')?;
    let at = inner.find('/')?;
    inner.split_at_checked(at)
}

fn pick<'t, 'p, E>(
    rows: impl Iterator<Item = &'t Row<E>>,
    method: &Method,
    tenant: Option<&'p str>,
) -> Match<'t, 'p, E> {
    let mut others = Vec::new();
    for row in rows {
        if row.method == *method || (row.method == Method::GET && *method == Method::HEAD) {
            return Match::Found(row, tenant);
        }
        others.push(&row.method);
    }
    if others.is_empty() {
        Match::Unknown
    } else {
        Match::WrongMethod(others)
    }
}

impl<E> PartialEq for Row<E> {
    /// Rows are equal if they stand for the same method and path.
    fn eq(&self, other: &Self) -> bool {
        self.method == other.method && self.path == other.path
    }
}

impl<E> Eq for Row<E> {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn row(method: Method, path: &'static str, tenant: bool) -> Row<u8> {
        Row {
            method,
            path,
            tenant,
            access: Access::Open,
            body: Body::Ignored,
            endpoint: 0,
        }
    }

    static TABLE: [Row<u8>; 6] = [
        row(Method::POST, "/signin", true),
        row(Method::POST, "/session/refresh", false),
        row(Method::GET, "/emailpassword/email/exists", true),
        row(Method::POST, "/factor", true),
        row(Method::GET, "/factor", true),
        row(Method::GET, "/.well-known/openid-configuration", false),
    ];

    fn at(method: Method, path: &str) -> Option<(&'static str, Option<&str>)> {
        match find(&TABLE, "/auth", &method, path) {
            Match::Found(row, tenant) => Some((row.path, tenant)),
            _ => None,
        }
    }

    fn status(method: Method, path: &str) -> u16 {
        match find(&TABLE, "/auth", &method, path) {
            Match::Found(..) => 200,
            Match::WrongMethod(_) => 405,
            Match::Unknown => 404,
            Match::Elsewhere => 0,
        }
    }

    #[test]
    fn a_path_is_found_with_and_without_a_tenant() {
        assert_eq!(at(Method::POST, "/auth/signin"), Some(("/signin", None)));
        assert_eq!(at(Method::POST, "/auth/signin/"), Some(("/signin", None)));
        assert_eq!(
            at(Method::POST, "/auth/public/signin"),
            Some(("/signin", Some("public")))
        );
        assert_eq!(
            at(Method::POST, "/auth/t-1/signin/"),
            Some(("/signin", Some("t-1")))
        );
    }

    #[test]
    fn a_path_without_tenants_has_none() {
        assert_eq!(status(Method::POST, "/auth/t1/session/refresh"), 404);
    }

    #[test]
    fn a_path_without_tenant_beats_every_reading_with_one() {
        static TABLE: [Row<u8>; 2] = [row(Method::POST, "/b", true), row(Method::GET, "/a/b", false)];
        // `/a/b` is a path of ours, so `a` is no tenant, not even for another method.
        assert_eq!(
            find(&TABLE, "", &Method::POST, "/a/b"),
            Match::WrongMethod(vec![&Method::GET])
        );
    }

    #[test]
    fn first_words_of_paths_are_no_tenants() {
        for first in ["signin", "session", "emailpassword", "factor"] {
            assert_eq!(
                status(Method::POST, &format!("/auth/{first}/signin")),
                404,
                "{first}"
            );
        }
    }

    #[test]
    fn a_wrong_method_is_told_with_the_right_ones() {
        assert_eq!(
            find(&TABLE, "/auth", &Method::DELETE, "/auth/factor"),
            Match::WrongMethod(vec![&Method::POST, &Method::GET])
        );
        assert_eq!(status(Method::GET, "/auth/signin"), 405);
        assert_eq!(status(Method::HEAD, "/auth/signin"), 405);
        assert_eq!(status(Method::OPTIONS, "/auth/t1/signin"), 405);
        assert_eq!(status(Method::from_bytes(b"post").unwrap(), "/auth/signin"), 405);
    }

    #[test]
    fn a_head_is_answered_as_its_get() {
        assert_eq!(status(Method::HEAD, "/auth/emailpassword/email/exists"), 200);
    }

    #[test]
    fn other_readings_of_a_path_are_unknown_or_not_ours() {
        for path in [
            "/auth//signin",
            "/auth/signin//",
            "/auth/%73ignin",
            "/auth/signin%2f",
            "/auth/%2e%2e/auth/signin",
            "/auth/../auth/signin",
            "/auth/./signin",
            "/auth/signin;a=b",
            "/auth/signin%00",
            "/auth/SignIn",
            "/auth/t_1/signin",
            "/auth/t%31/signin",
            "/auth/t.1/signin",
            "/auth//t1/signin",
            "/auth/t1//signin",
            "/auth/t1/t2/signin",
            "/auth/ /signin",
            "/auth/",
            "/auth",
            "/auth/.well-known/signin",
        ] {
            assert_eq!(status(Method::POST, path), 404, "{path}");
        }
        for path in [
            "//auth/signin",
            "/Auth/signin",
            "/authx/signin",
            "/auth;x/signin",
            "/%61uth/signin",
            "/",
            "",
        ] {
            assert_eq!(status(Method::POST, path), 0, "{path}");
        }
    }

    #[test]
    fn a_tenant_id_is_bounded() {
        assert!(is_tenant(&TABLE, &"a".repeat(64)));
        assert!(!is_tenant(&TABLE, &"a".repeat(65)));
        assert!(!is_tenant(&TABLE, ""));
    }

    proptest! {
        #[test]
        fn whatever_is_found_was_written_out(path in "/auth(/[a-z./%;-]{0,8}){0,4}") {
            if let Match::Found(row, tenant) = find(&TABLE, "/auth", &Method::POST, &path) {
                let tenant = tenant.map(|tenant| format!("/{tenant}")).unwrap_or_default();
                prop_assert_eq!(path.strip_suffix('/').unwrap_or(&path), format!("/auth{tenant}{}", row.path));
            }
        }

        #[test]
        fn no_path_panics(path in "\\PC{0,40}", base in "(/[a-z]{0,4}){0,2}") {
            let _ = find(&TABLE, &base, &Method::GET, &path);
        }
    }
}
