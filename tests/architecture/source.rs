//! Reads a source file as tokens: comments are gone, strings are one token each, brackets match.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// A source file.
#[derive(Debug)]
pub(crate) struct File {
    /// Its path from the root, with `/`.
    pub(crate) path: String,
    /// What is in it.
    pub(crate) text: String,
}

/// A path as it is written, `use` trees taken apart: `a::{b, c::*}` is `a::b` and `a::c::*`.
#[derive(Debug)]
pub(crate) struct Named {
    /// Its segments; one for a plain identifier.
    pub(crate) segments: Vec<String>,
    /// Inline modules around it, outermost first.
    pub(crate) inside: Vec<String>,
    /// Where it stands.
    pub(crate) line: usize,
}

/// Whether a walk enters what is compiled for tests only.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Tests {
    /// It does.
    Included,
    /// It does not.
    Left,
}

impl File {
    /// A file at `path`.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.replace('\\', "/"),
            text: text.to_owned(),
        }
    }

    /// The crate whose library source this is, and the path in its `src`.
    pub(crate) fn in_crate(&self) -> Option<(&str, &str)> {
        let (name, rest) = self.path.strip_prefix("crates/")?.split_once('/')?;
        Some((
            name,
            rest.strip_prefix("src/").filter(|rest| rest.ends_with(".rs"))?,
        ))
    }

    /// Whether it holds tests and nothing else, by its name.
    pub(crate) fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    /// Its tokens, at every depth.
    pub(crate) fn tokens(&self) -> Vec<TokenTree> {
        match self.text.parse::<TokenStream>() {
            Ok(stream) => stream.into_iter().collect(),
            Err(error) => panic!("{} is no Rust: {error}", self.path),
        }
    }

    /// All paths in it.
    pub(crate) fn names(&self, tests: Tests) -> Vec<Named> {
        let mut walk = Walk {
            tests,
            inside: Vec::new(),
            names: Vec::new(),
            strings: Vec::new(),
        };
        if !(tests == Tests::Left && self.is_test()) {
            walk.enter(&self.tokens());
        }
        walk.names
    }

    /// All string literals in it with their lines, documentation left out.
    pub(crate) fn strings(&self) -> Vec<(usize, String)> {
        let mut walk = Walk {
            tests: Tests::Included,
            inside: Vec::new(),
            names: Vec::new(),
            strings: Vec::new(),
        };
        walk.enter(&self.tokens());
        walk.strings
    }
}

/// Calls `visit` with each run of sibling tokens, the outermost first.
pub(crate) fn each_level(tokens: &[TokenTree], visit: &mut impl FnMut(&[TokenTree])) {
    visit(tokens);
    for token in tokens {
        if let TokenTree::Group(group) = token {
            each_level(&trees(group), visit);
        }
    }
}

/// The tokens in a group.
pub(crate) fn trees(group: &Group) -> Vec<TokenTree> {
    group.stream().into_iter().collect()
}

/// Whether `token` is the word `word`.
pub(crate) fn is_word(token: Option<&TokenTree>, word: &str) -> bool {
    matches!(token, Some(TokenTree::Ident(ident)) if ident == word)
}

/// Whether `token` is the mark `mark`.
pub(crate) fn is_mark(token: Option<&TokenTree>, mark: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == mark)
}

/// The group that `token` is, if it is one with `delimiter`.
pub(crate) fn group(token: Option<&TokenTree>, delimiter: Delimiter) -> Option<&Group> {
    match token {
        Some(TokenTree::Group(group)) if group.delimiter() == delimiter => Some(group),
        _ => None,
    }
}

/// The line of `token`.
pub(crate) fn line(token: Option<&TokenTree>) -> usize {
    token.map_or(0, |token| token.span().start().line)
}

struct Walk {
    tests: Tests,
    inside: Vec<String>,
    names: Vec<Named>,
    strings: Vec<(usize, String)>,
}

impl Walk {
    fn enter(&mut self, tokens: &[TokenTree]) {
        let mut rest = tokens;
        while let [first, after @ ..] = rest {
            rest = match first {
                TokenTree::Punct(mark) if mark.as_char() == '#' => match self.attribute(after) {
                    Some(after) => after,
                    None => return,
                },
                TokenTree::Ident(word) if word == "mod" => self.module(after),
                TokenTree::Ident(_) => self.path(&[], rest),
                TokenTree::Group(inner) => {
                    self.enter(&trees(inner));
                    after
                }
                TokenTree::Literal(literal) => {
                    self.strings.push((line(Some(first)), literal.to_string()));
                    after
                }
                TokenTree::Punct(_) => after,
            };
        }
    }

    /// What follows an attribute, of which `tokens` is the part behind `#`; with the item it stands at, if that is for
    /// tests only. None if all that follows is.
    fn attribute<'a>(&mut self, tokens: &'a [TokenTree]) -> Option<&'a [TokenTree]> {
        let is_inner = is_mark(tokens.first(), '!');
        let after = tokens.get(usize::from(is_inner)..).unwrap_or_default();
        let Some(inner) = group(after.first(), Delimiter::Bracket) else {
            return Some(tokens);
        };
        let after = after.get(1..).unwrap_or_default();
        let content = trees(inner);
        if is_word(content.first(), "doc") {
            return Some(after);
        }
        if self.tests == Tests::Left && inner.stream().to_string().replace(' ', "") == "cfg(test)" {
            if is_inner {
                return None;
            }
            let is_end = |token: &TokenTree| {
                is_mark(Some(token), ';')
                    || is_mark(Some(token), ',')
                    || group(Some(token), Delimiter::Brace).is_some()
            };
            let end = after.iter().position(is_end).map_or(after.len(), |end| end + 1);
            return after.get(end..);
        }
        self.enter(&content);
        Some(after)
    }

    /// What follows a module, of which `tokens` is the part behind `mod`.
    fn module<'a>(&mut self, tokens: &'a [TokenTree]) -> &'a [TokenTree] {
        if let [TokenTree::Ident(name), TokenTree::Group(body), after @ ..] = tokens {
            self.inside.push(name.to_string());
            self.enter(&trees(body));
            self.inside.pop();
            return after;
        }
        tokens
    }

    /// What follows the path at the start of `tokens`, whose first token is an identifier.
    fn path<'a>(&mut self, prefix: &[String], tokens: &'a [TokenTree]) -> &'a [TokenTree] {
        let at = line(tokens.first());
        let mut segments = prefix.to_vec();
        let mut rest = tokens;
        loop {
            match rest {
                [TokenTree::Ident(word), after @ ..] => {
                    segments.push(word.to_string());
                    rest = after;
                }
                [TokenTree::Punct(star), after @ ..] if star.as_char() == '*' => {
                    segments.push("*".to_owned());
                    rest = after;
                    break;
                }
                [TokenTree::Group(tree), after @ ..] if tree.delimiter() == Delimiter::Brace => {
                    self.branches(&segments, &trees(tree));
                    return after;
                }
                _ => break,
            }
            match rest {
                [TokenTree::Punct(a), TokenTree::Punct(b), after @ ..]
                    if a.as_char() == ':' && b.as_char() == ':' =>
                {
                    rest = after;
                }
                _ => break,
            }
        }
        self.names.push(Named {
            segments,
            inside: self.inside.clone(),
            line: at,
        });
        rest
    }

    fn branches(&mut self, prefix: &[String], tokens: &[TokenTree]) {
        for branch in tokens
            .split(|token| is_mark(Some(token), ','))
            .filter(|branch| !branch.is_empty())
        {
            self.path(prefix, branch);
        }
    }
}
