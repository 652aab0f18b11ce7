//! The type of a request's body, as far as the protocol tells types apart.

use http::header::{CONTENT_TYPE, HeaderMap};

/// What `Content-Type` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nothing.
    None,
    /// `application/json`, in UTF-8.
    Json,
    /// `application/x-www-form-urlencoded`: what one mobile client sends, empty, with a refresh.
    Form,
    /// Anything else, two of them, or JSON in another charset.
    Other,
}

/// Reads the type. Parameters other than `charset=utf-8` are no JSON that we know.
pub fn of(headers: &HeaderMap) -> Content {
    let mut lines = headers.get_all(CONTENT_TYPE).iter();
    let line = match (lines.next(), lines.next()) {
        (None, _) => return Content::None,
        (Some(line), None) => line,
        (Some(_), Some(_)) => return Content::Other,
    };
    let Ok(line) = line.to_str() else {
        return Content::Other;
    };
    let mut parts = line.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    if essence.eq_ignore_ascii_case("application/json") {
        if parts.filter(|part| !part.is_empty()).all(is_utf8) {
            Content::Json
        } else {
            Content::Other
        }
    } else if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        Content::Form
    } else {
        Content::Other
    }
}

fn is_utf8(parameter: &str) -> bool {
    parameter.split_once('=').is_some_and(|(name, value)| {
        name.eq_ignore_ascii_case("charset") && value.trim_matches('"').eq_ignore_ascii_case("utf-8")
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(lines: &[&'static str]) -> Content {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(CONTENT_TYPE, HeaderValue::from_static(line));
        }
        of(&headers)
    }

    #[test]
    fn json_is_json_in_utf8_only() {
        for line in [
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
            "application/json;",
        ] {
            assert_eq!(read(&[line]), Content::Json, "{line}");
        }
        for line in [
            "application/json; charset=utf-16",
            "application/json; profile=x",
            "application/jsonx",
            "application/problem+json",
            "text/plain; application/json",
            "text/json",
            "",
        ] {
            assert_eq!(read(&[line]), Content::Other, "{line}");
        }
    }

    #[test]
    fn two_types_are_none_that_we_know() {
        assert_eq!(read(&["application/json", "application/json"]), Content::Other);
    }

    #[test]
    fn absent_and_form_are_told_apart() {
        assert_eq!(read(&[]), Content::None);
        assert_eq!(
            read(&["application/x-www-form-urlencoded; charset=utf-8"]),
            Content::Form
        );
    }
}
