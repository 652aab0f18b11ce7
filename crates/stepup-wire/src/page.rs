//! Pages of our own, for links whose website has none: they ask, and work without script.
//!
//! They are framed by nobody, load nothing, and post to themselves alone (ASVS v5.0.0-3.4.3, 3.4.6). What is put into one
//! is text, whatever it says.

use std::fmt::{self, Display};

use http::StatusCode;
use http::header::{CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY, X_FRAME_OPTIONS};

use crate::reply::Reply;

/// The type of a page.
pub(crate) const HTML: &str = "text/html; charset=utf-8";

/// The words of a page: its heading, and a paragraph each.
pub(crate) type Words = (&'static str, &'static [&'static str]);

/// What a page says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page<'a> {
    /// The name of the application.
    pub(crate) app: &'a str,
    /// What it is about, as a heading.
    pub(crate) title: &'a str,
    /// What it says, a paragraph each.
    pub(crate) says: &'a [&'a str],
    /// The token that the button sends, and what the button says; without it there is nothing to press.
    pub(crate) asks: Option<(&'a str, &'a str)>,
}

impl Page<'_> {
    /// The page as an answer.
    pub(crate) fn reply(&self) -> Reply {
        let header = |value: &'static str| HeaderValue::from_static(value);
        Reply::bytes(StatusCode::OK, self.to_string().into())
            .typed(header(HTML))
            .with_header(CONTENT_SECURITY_POLICY, header(POLICY))
            .with_header(X_FRAME_OPTIONS, header("DENY"))
            .with_header(REFERRER_POLICY, header("no-referrer"))
    }
}

const POLICY: &str = "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

impl Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (app, title) = (Text(self.app), Text(self.title));
        // To other sites it sends no referrer, which holds the token. To ourselves it has to: a browser that is told to send
        // none to anybody says of the form that it comes from nowhere, and what comes from nowhere is not believed (R-CSRF-1).
        write!(
            f,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"referrer\" content=\"same-origin\">\n\
             <meta name=\"robots\" content=\"noindex\">\n<title>{title} – {app}</title>\n</head>\n\
             <body>\n<main>\n<h1>{title}</h1>\n"
        )?;
        for paragraph in self.says {
            writeln!(f, "<p>{}</p>", Text(paragraph))?;
        }
        if let Some((token, button)) = self.asks {
            // Without an action it posts to where it came from, tenant and all; what the address says beside is not read.
            writeln!(
                f,
                "<form method=\"post\">\n<input type=\"hidden\" name=\"token\" value=\"{}\">\n<button>{}</button>\n</form>",
                Text(token),
                Text(button)
            )?;
        }
        f.write_str("</main>\n</body>\n</html>\n")
    }
}

/// Text, written so that it is nothing else.
struct Text<'a>(&'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.0.split_inclusive(['&', '<', '>', '"', '\'']) {
            let (text, last) = match part.char_indices().next_back() {
                Some((at, last)) => part
                    .split_at_checked(at)
                    .map_or((part, None), |(text, _)| (text, Some(last))),
                None => (part, None),
            };
            f.write_str(text)?;
            match last {
                Some('&') => f.write_str("&amp;")?,
                Some('<') => f.write_str("&lt;")?,
                Some('>') => f.write_str("&gt;")?,
                Some('"') => f.write_str("&quot;")?,
                Some('\'') => f.write_str("&#39;")?,
                Some(other) => write!(f, "{other}")?,
                None => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_into_a_page_is_text() {
        let odd = "\"><script>alert('x')</script>&amp;ä";
        let page = Page {
            app: odd,
            title: odd,
            says: &[odd],
            asks: Some((odd, odd)),
        }
        .to_string();
        let text = "&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;amp;ä";
        assert_eq!(page.matches(text).count(), 6, "{page}");
        assert!(!page.contains("<script") && !page.contains("alert('"));
    }

    #[test]
    fn a_page_without_a_question_has_no_form() {
        let page = Page {
            app: "Acme",
            title: "Done",
            says: &["It is done."],
            asks: None,
        };
        assert!(!page.to_string().contains("<form"));
    }
}
