//! Scopes: parts of an application that are guarded as a whole, by path.
//!
//! For frameworks whose routes cannot be wrapped, so that requests have to be judged before they are routed.

use std::fmt;

use stepup_core::require::{Requirement, rule_of};
use stepup_core::rule::Rule;

use crate::gate::Refused;
use crate::visit::Visit;

/// The scopes of an application.
#[derive(Debug, Default)]
pub struct Scopes(Vec<Scope>);

struct Scope {
    prefix: Vec<String>,
    rule: &'static Rule,
}

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
            rule: rule_of::<R>(),
        });
    }

    /// Whether a path might lead into a scope, for any reader of the path. `segments` are what the router compares: decoded.
    ///
    /// What stands behind a route may read more into the rest of a path than the router does: a folder of files steps up at
    /// `..`, from wherever it is mounted, or tells no cases apart. No browser sends such paths, so whoever does is asked for
    /// more rather than for less: in whichever way `..` could be read, it leads around no scope.
    pub fn hold<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> bool {
        let readings = readings(pieces(segments));
        self.0.iter().any(|scope| scope.holds(&readings))
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
        let readings = readings(pieces(segments));
        for scope in self.0.iter().filter(|scope| scope.holds(&readings)) {
            visit.meets(scope.rule).await?;
        }
        Ok(())
    }
}

impl Scope {
    fn holds(&self, readings: &Readings) -> bool {
        match readings {
            Readings::All(paths) => paths.iter().any(|path| path.starts_with(&self.prefix)),
            Readings::TooMany => true,
        }
    }
}

/// What a path may mean, once for each place at which a reader may begin to step up and down.
enum Readings {
    All(Vec<Vec<String>>),
    /// So many that nobody means any: such a path is within every scope.
    TooMany,
}

fn readings(pieces: Vec<String>) -> Readings {
    if !pieces.iter().any(|piece| is_step(piece)) {
        return Readings::All(vec![pieces]);
    }
    if pieces.len() > MOST_PIECES {
        return Readings::TooMany;
    }
    let starts = 0..=pieces.len();
    Readings::All(
        starts
            .map(|start| {
                let (mount, rest) = pieces.split_at(start);
                let mut below: Vec<&String> = Vec::new();
                for piece in rest {
                    match piece.as_str() {
                        "." => {}
                        ".." => drop(below.pop()),
                        _ => below.push(piece),
                    }
                }
                mount.iter().chain(below).cloned().collect()
            })
            .collect(),
    )
}

fn is_step(piece: &str) -> bool {
    piece == "." || piece == ".."
}

/// A path with steps in it is read in as many ways as it has pieces: that must cost nothing to speak of.
const MOST_PIECES: usize = 32;

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
    fn a_step_up_leads_into_a_scope_from_wherever_it_is_taken() {
        // A folder of files that is mounted at `/files` goes no higher than that.
        assert!(holds("/files/in", "/files/../in"));
        assert!(holds("/files/in", "/files/../../in") && holds("/files/in", "/files/out/../in"));
        assert!(holds("/a/b/in", "/a/b/../../../in"));
        // In no reading does this lead there.
        assert!(!holds("/in", "/out/../Cargo.toml") && !holds("/in", "/out/.."));
        assert!(!holds("/files/in", "/files/out/../out"));
    }

    #[test]
    fn a_path_of_many_steps_is_within_every_scope() {
        assert!(holds("/in", &"/a/..".repeat(100_000)));
        assert!(!holds("/in", &"/a".repeat(100_000)));
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
