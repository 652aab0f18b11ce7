//! Response headers: lists that are added to, and what keeps an answer out of caches.

use http::header::{AsHeaderName, CACHE_CONTROL, Entry, HeaderMap, HeaderName, HeaderValue, VARY};

/// Adds the comma-separated `items` to the list header `name`. What is there stays, in its spelling and order; an
/// item that is there is not repeated; a list that is `*` already holds everything.
pub(crate) fn extend_list(headers: &mut HeaderMap, name: HeaderName, items: HeaderValue) {
    let name = match headers.entry(name) {
        Entry::Vacant(vacant) => {
            vacant.insert(items);
            return;
        }
        Entry::Occupied(occupied) => occupied.key().clone(),
    };
    let missing: Vec<&str> = split(items.to_str().unwrap_or_default())
        .filter(|item| !list_has(headers, &name, item))
        .collect();
    if let Ok(value) = HeaderValue::from_str(&missing.join(", "))
        && !missing.is_empty()
    {
        headers.append(name, value);
    }
}

/// Whether a list header holds `item`, whatever its case, or `*`.
pub(crate) fn list_has(headers: &HeaderMap, name: impl AsHeaderName, item: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(split)
        .any(|present| present == "*" || present.eq_ignore_ascii_case(item))
}

/// Keeps an answer that depended on, or carries, a session out of every cache (ASVS v5.0.0-14.3.2, threat
/// A-COO-06). The application's own `Cache-Control` gives way: no setting of a route may publish a token.
pub(crate) fn keep_private(headers: &mut HeaderMap) {
    never_store(headers);
    extend_list(headers, VARY, BY_SESSION);
}

/// The same for who adds `Vary`.
pub(crate) fn never_store(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, const { HeaderValue::from_static("no-store") });
}

/// In [`VARY`]: an answer that depends on the session.
pub(crate) const BY_SESSION: HeaderValue = HeaderValue::from_static("Cookie, Authorization");

/// In [`VARY`]: an answer that names the origin of its request.
pub(crate) const BY_ORIGIN: HeaderValue = HeaderValue::from_static("Origin");

/// In [`VARY`]: both.
pub(crate) const BY_SESSION_AND_ORIGIN: HeaderValue =
    HeaderValue::from_static("Cookie, Authorization, Origin");

fn split(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vary(lines: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(VARY, HeaderValue::from_static(line));
        }
        headers
    }

    fn items(headers: &HeaderMap) -> Vec<&str> {
        headers
            .get_all(VARY)
            .iter()
            .flat_map(|line| split(line.to_str().unwrap()))
            .collect()
    }

    #[test]
    fn a_list_is_added_to_and_never_overwritten() {
        let mut headers = vary(&["accept, cookie"]);
        extend_list(&mut headers, VARY, BY_SESSION);
        assert_eq!(items(&headers), ["accept", "cookie", "Authorization"]);
        extend_list(&mut headers, VARY, BY_SESSION);
        assert_eq!(items(&headers), ["accept", "cookie", "Authorization"]);
    }

    #[test]
    fn a_list_of_everything_needs_no_addition() {
        let mut headers = vary(&["*"]);
        extend_list(&mut headers, VARY, BY_ORIGIN);
        assert_eq!(items(&headers), ["*"]);
    }

    #[test]
    fn a_private_answer_overrides_the_applications_cache_control() {
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=600"));
        keep_private(&mut headers);
        assert_eq!(
            headers.get_all(CACHE_CONTROL).iter().collect::<Vec<_>>(),
            ["no-store"]
        );
        assert_eq!(items(&headers), ["Cookie", "Authorization"]);
    }
}
