use std::collections::{BTreeMap, BTreeSet};

use super::*;

const SCRIPT: &str = include_str!("../../assets/app.js");
const STYLE: &str = include_str!("../../assets/app.css");

#[test]
fn no_value_of_the_view_can_add_markup() {
    let nasty = r#""'><script>alert(1)</script>&"#;
    let page = index(&PageView {
        app_name: nasty,
        framework: nasty,
        website_origin: nasty,
        api_origin: nasty,
        api_base_path: nasty,
        ..view()
    });
    assert!(!page.contains("<script>"));
    assert_eq!(
        tags(&page).len(),
        tags(&index(&PageView {
            website_origin: "x",
            ..view()
        }))
        .len()
    );
    assert!(page.contains("<title>&quot;&#39;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&amp;</title>"));
}

#[test]
fn plain_text_is_left_as_it_is() {
    assert_eq!(Text("Größe 5 – 東京").to_string(), "Größe 5 – 東京");
    assert_eq!(Text("").to_string(), "");
    assert_eq!(Text("a&&b").to_string(), "a&amp;&amp;b");
}

#[test]
fn only_a_web_origin_becomes_a_link() {
    let page = index(&PageView {
        website_origin: "javascript:alert(1)",
        ..view()
    });
    assert!(
        tags(&page)
            .iter()
            .all(|tag| !tag.value("href").starts_with("javascript:"))
    );
}

#[test]
fn the_policy_allows_nothing_inline_and_nothing_foreign() {
    assert!(CSP.starts_with("default-src 'none'; "));
    for directive in CSP
        .split("; ")
        .map(|directive| directive.split(' ').collect::<Vec<_>>())
    {
        let allowed: &[&str] = match directive[0] {
            "default-src" | "base-uri" | "frame-ancestors" => &["'none'"],
            "img-src" => &["'self'", "data:"],
            "script-src" | "style-src" | "connect-src" | "form-action" => &["'self'"],
            other => panic!("{other} is not a directive that this page needs"),
        };
        assert_eq!(&directive[1..], allowed);
    }
    assert!(HEADERS.contains(&("content-security-policy", CSP)));
    assert!(HEADERS.contains(&("x-content-type-options", "nosniff")));
    assert!(HEADERS.contains(&("referrer-policy", "no-referrer")));
}

#[test]
fn the_page_has_no_inline_script_style_or_handler() {
    for tag in tags(&page()) {
        assert_ne!(tag.name, "style");
        assert!(
            tag.name != "script" || tag.value("src") == "/assets/app.js",
            "{tag:?}"
        );
        for name in tag.attributes.keys() {
            assert!(name != "style" && !name.starts_with("on"), "{tag:?}");
        }
    }
    assert!(page().contains("src=\"/assets/app.js\"></script>"));
}

#[test]
fn the_script_never_makes_markup_or_code_from_text() {
    for sink in [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "Function(",
        ".style",
        "srcdoc",
        "DOMParser",
        "localStorage",
    ] {
        assert!(!SCRIPT.contains(sink), "{sink}");
    }
}

#[test]
fn everything_the_page_loads_is_an_asset() {
    for tag in tags(&page()) {
        let address = match tag.name.as_str() {
            "script" => tag.value("src"),
            "link" => tag.value("href"),
            _ => continue,
        };
        assert!(
            address.starts_with("data:image/") || asset(address).is_some(),
            "{tag:?}"
        );
    }
    assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
    assert!(!SCRIPT.contains("import ") && !SCRIPT.contains("import("));
}

#[test]
fn only_the_two_assets_are_served() {
    let (kind, bytes) = asset("/assets/app.css").unwrap();
    assert_eq!((kind, bytes), ("text/css; charset=utf-8", STYLE.as_bytes()));
    let (kind, bytes) = asset("/assets/app.js").unwrap();
    assert_eq!(
        (kind, bytes),
        ("text/javascript; charset=utf-8", SCRIPT.as_bytes())
    );
    for path in [
        "",
        "/",
        "/assets/",
        "/assets/app.css/",
        "/assets/../src/page.rs",
        "assets/app.js",
        "/assets/APP.JS",
    ] {
        assert!(asset(path).is_none(), "{path}");
    }
}

#[test]
fn every_input_has_a_label_and_says_what_a_browser_may_fill_in() {
    let tags = tags(&page());
    let labels: BTreeSet<_> = tags
        .iter()
        .filter(|tag| tag.name == "label")
        .map(|tag| tag.value("for"))
        .collect();
    let mut filled_in = BTreeSet::new();
    for input in tags.iter().filter(|tag| tag.name == "input") {
        assert!(labels.contains(input.value("id")), "{input:?}");
        filled_in.insert(input.value("autocomplete"));
    }
    let expected = [
        "current-password",
        "email",
        "new-password",
        "off",
        "one-time-code",
        "tel",
    ];
    assert_eq!(filled_in, BTreeSet::from(expected));
}

#[test]
fn ids_are_unique_and_every_reference_has_its_target() {
    let tags = tags(&page());
    let ids: Vec<_> = tags.iter().filter_map(|tag| tag.attributes.get("id")).collect();
    let unique: BTreeSet<_> = ids.iter().map(|id| id.as_str()).collect();
    assert_eq!(ids.len(), unique.len());
    for tag in &tags {
        for name in [
            "for",
            "aria-labelledby",
            "aria-describedby",
            "aria-controls",
            "data-open",
            "data-reveal",
        ] {
            for target in tag.value(name).split_whitespace() {
                assert!(unique.contains(target), "{tag:?}");
            }
        }
    }
}

#[test]
fn everything_the_script_asks_for_is_on_the_page() {
    let page = page();
    for id in SCRIPT
        .split("$(\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
    {
        assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
    }
    for step in SCRIPT
        .split("show(\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
    {
        assert!(page.contains(&format!("data-step=\"{step}\"")), "{step}");
    }
}

/// The focus goes into a step's field, past its heading, which is then heard as the name of the group.
#[test]
fn every_step_is_a_group_named_by_its_heading() {
    let page = page();
    let tags = tags(&page);
    for step in tags.iter().filter(|tag| tag.attributes.contains_key("data-step")) {
        assert_eq!(step.value("role"), "group");
        let heading = step.value("aria-labelledby");
        assert!(
            tags.iter()
                .any(|tag| tag.name == "h2" && tag.value("id") == heading),
            "{heading}"
        );
    }
}

#[test]
fn without_script_no_form_is_shown_and_none_puts_a_password_in_the_address() {
    let page = page();
    assert!(page.contains(r#"<div id="app" hidden>"#));
    assert!(page.contains("<noscript>") && page.contains("curl -b jar http://localhost:3000/api/secret"));
    let app = page.find(r#"<div id="app""#).unwrap();
    assert!(app < page.find("<form").unwrap());
    for form in tags(&page).iter().filter(|tag| tag.name == "form") {
        assert_eq!((form.value("method"), form.value("action")), ("post", "/"));
    }
}

#[test]
fn demo_tools_are_shown_only_where_their_routes_answer() {
    let bare = index(&PageView {
        has_outbox: false,
        has_clock: false,
        ..view()
    });
    for trace in ["/dev/outbox", "data-open", "id=\"messages\"", "id=\"advance\""] {
        assert!(!bare.contains(trace), "{trace}");
        assert!(page().contains(trace), "{trace}");
    }
}

#[test]
fn every_element_is_closed_where_it_belongs() {
    let page = page();
    let mut open = Vec::new();
    for tag in tags(&page) {
        match tag.name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop().as_deref(), Some(name)),
            None if ["meta", "link", "input", "path", "!doctype"].contains(&tag.name.as_str()) => {}
            None => open.push(tag.name),
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

fn view() -> PageView<'static> {
    PageView {
        app_name: "Acme",
        framework: "Axum",
        website_origin: "http://localhost:3000",
        api_origin: "http://localhost:3000",
        api_base_path: "/auth",
        by_contact: false,
        by_provider: false,
        has_outbox: true,
        has_clock: true,
    }
}

fn page() -> String {
    index(&view())
}

#[derive(Debug)]
struct Tag {
    name: String,
    attributes: BTreeMap<String, String>,
}

impl Tag {
    fn value(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

/// The tags of a document whose attribute values are all quoted with `"`, as this page's are.
fn tags(html: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        let mut quoted = false;
        let end = rest.find(|c| {
            quoted ^= c == '"';
            c == '>' && !quoted
        });
        let end = end.expect("a tag that is not closed");
        let inside = &rest[..end];
        rest = &rest[end + 1..];
        let (name, mut attributes) = inside.split_once(char::is_whitespace).unwrap_or((inside, ""));
        let mut found = BTreeMap::new();
        while !attributes.trim().is_empty() {
            attributes = attributes.trim_start();
            let stop = attributes.find(['=', ' ', '\n', '/']).unwrap_or(attributes.len());
            let (key, after) = attributes.split_at(stop);
            let (value, after) = match after.strip_prefix("=\"") {
                Some(quoted) => quoted.split_once('"').expect("a value that is not closed"),
                None => ("", after.trim_start_matches('/')),
            };
            found.insert(key.to_owned(), value.to_owned());
            attributes = after;
        }
        tags.push(Tag {
            name: name.to_lowercase(),
            attributes: found,
        });
    }
    tags
}
