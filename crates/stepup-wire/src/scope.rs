//! Scopes: parts of an application that are guarded as a whole, by path.
//!
//! For frameworks whose routes cannot be wrapped, so that requests have to be judged before they are routed.

use std::fmt;
use std::pin::Pin;

use stepup_core::require::Requirement;

use crate::gate::Refused;
use crate::visit::Visit;

/// The scopes of an application.
#[derive(Debug, Default)]
pub struct Scopes(Vec<Scope>);

struct Scope {
    prefix: Vec<String>,
    judge: fn(&Visit) -> Judged<'_>,
}

type Judged<'a> = Pin<Box<dyn Future<Output = Result<(), Refused>> + Send + 'a>>;

impl Scopes {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks `R` of everything at and below `path`. What is no plain path, but a pattern or an address, is taken for `/`.
    pub fn add<R: Requirement>(&mut self, path: &str) {
        let is_plain = !path.contains(['<', '>', '{', '}', '*', '?', '#', '%', ':']);
        self.0.push(Scope {
            prefix: pieces(path.split('/').filter(|_| is_plain)),
            judge: |visit| Box::pin(async move { visit.session::<R>().await.map(drop) }),
        });
    }

    /// Whether a path might lead into a scope, for any reader of the path. `segments` are what the router compares: decoded.
    ///
    /// What stands behind a route may read more into the rest of a path than the router does: a folder of files steps up at
    /// `..`, or tells no cases apart. No browser sends such paths, so whoever does is asked for more rather than for less: a
    /// path with `.` or `..` in it is within every scope.
    pub fn hold<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> bool {
        let pieces = pieces(segments);
        self.0.iter().any(|scope| scope.holds(&pieces))
    }

    /// Asks of a request what the scopes ask that hold its path.
    ///
    /// # Errors
    /// [`Refused`]: the response to send.
    pub async fn judge<'a>(
        &self,
        segments: impl IntoIterator<Item = &'a str>,
        visit: &Visit,
    ) -> Result<(), Refused> {
        if self.0.is_empty() {
            return Ok(());
        }
        let pieces = pieces(segments);
        for scope in self.0.iter().filter(|scope| scope.holds(&pieces)) {
            (scope.judge)(visit).await?;
        }
        Ok(())
    }
}

impl Scope {
    fn holds(&self, pieces: &[String]) -> bool {
        pieces.starts_with(&self.prefix) || pieces.iter().any(|piece| piece == "." || piece == "..")
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.prefix.join("/"))
    }
}

/// Segments taken apart at slashes that were encoded, empty ones left out, without regard to case.
fn pieces<'a>(segments: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    segments
        .into_iter()
        .flat_map(|segment| segment.split(['/', '\\']))
        .filter(|piece| !piece.is_empty())
        .map(str::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use stepup_core::require::AnySession;

    use super::*;

    fn holds(scope: &str, path: &str) -> bool {
        let mut scopes = Scopes::new();
        scopes.add::<AnySession>(scope);
        let segments: Vec<String> = path
            .split('/')
            .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
            .collect();
        scopes.hold(segments.iter().map(String::as_str))
    }

    #[test]
    fn a_scope_holds_what_is_at_and_below_it() {
        for path in ["/in", "/in/", "/in/a", "/in/a/b"] {
            assert!(holds("/in", path) && holds("/in/", path), "{path}");
        }
        for path in ["/", "/out", "/inn", "/i/n", "/out/in", "/in%20/a", "/in."] {
            assert!(!holds("/in", path), "{path}");
        }
        assert!(holds("/", "/") && holds("/", "/anything"));
        assert!(holds("/a/b", "/a/b/c") && !holds("/a/b", "/a/c"));
    }

    #[test]
    fn no_spelling_leads_around_a_scope() {
        for path in [
            "//in/a",
            "/in//a",
            "///in",
            "/%69n/a",
            "/%49N/a",
            "/IN/a",
            "/in%2Fa",
            "/in%5Ca",
            "/%2Fin/a",
            "/./in/a",
            "/out/../in/a",
            "/out/%2e%2e/in/a",
            "/out/.%2E/in",
            "/out/..%2Fin/a",
            "/out/..%5cin/a",
            "/%2e/in",
            "/files/../../in",
        ] {
            assert!(holds("/in", path), "{path}");
        }
    }

    #[test]
    fn what_is_no_plain_path_guards_everything() {
        for scope in [
            "",
            "/in/<id>",
            "/in/{id}",
            "/in/*",
            "/in?a",
            "/in#a",
            "/%69n",
            "http://x/in",
        ] {
            assert!(holds(scope, "/out"), "{scope}");
        }
    }
}
