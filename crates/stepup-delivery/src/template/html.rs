//! Mails as HTML: plain paragraphs, everything escaped, nothing loaded from anywhere.

use super::words::Words;
use super::{Values, fill_with};

/// A page with the paragraphs of `versions`, one language below the other.
pub(super) fn page(title: &str, versions: &[(&Words, Vec<&str>, Values<'_>)]) -> String {
    let tag = versions.first().map_or("en", |(words, ..)| words.tag);
    let parts: Vec<String> = versions.iter().map(part).collect();
    format!(
        "<!doctype html>\n<html lang=\"{tag}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{}</title>\n</head>\n\
         <body style=\"margin:0 auto;padding:1.5em;max-width:36em;font:16px/1.5 sans-serif\">\n{}</body>\n</html>\n",
        escape(title),
        parts.join("<hr>\n"),
    )
}

fn part((words, paragraphs, values): &(&Words, Vec<&str>, Values<'_>)) -> String {
    let paragraphs: String = paragraphs
        .iter()
        .map(|paragraph| {
            let written = fill_with(paragraph, escape, |name| marked(name, &values.plain(name)));
            format!("<p>{written}</p>\n")
        })
        .collect();
    format!("<div lang=\"{}\">\n{paragraphs}</div>\n", words.tag)
}

/// A value with what it looks like. The words of a link are where it leads, so that nobody has to trust another word for it.
fn marked(name: &str, value: &str) -> String {
    let value = escape(value);
    match name {
        "code" => format!("<strong style=\"font-size:1.4em;letter-spacing:.1em\">{value}</strong>"),
        "url" => format!("<a href=\"{value}\" style=\"word-break:break-all\">{value}</a>"),
        _ => value,
    }
}

/// Text as HTML, in an element and in a quoted attribute alike.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}
