//! The demo's page: what a person sees at `GET /`.
//!
//! One document rendered here, one style sheet and one script from `assets/`. Without script it still explains the demo and
//! gives the commands that do the same by curl; with script it walks the whole flow. The script builds no markup from text
//! and the policy in [`CSP`] allows nothing inline, so a value that slipped through unescaped could still run nothing.
//!
//! The page decides nothing about security. What it knows of the session it reads from `front-token`, as any frontend would.

mod contact;
mod password;
mod verify;

use std::fmt;

pub use contact::by_contact;
pub use password::new_password;
pub use verify::verify_email;

/// Renders the page.
///
/// Every value of `view` is escaped, so none can add markup.
#[must_use]
pub fn index(view: &PageView<'_>) -> String {
    format!(
        r##"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{name}</title>
<link rel="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24'%3E%3Crect width='24' height='24' rx='6' fill='%230e6a52'/%3E%3Cpath d='M4 18h5v-5h5V8h6' fill='none' stroke='%23fff' stroke-width='2.6'/%3E%3C/svg%3E">
<link rel="stylesheet" href="/assets/app.css">
<script type="module" src="/assets/app.js"></script>
</head>
<body data-api="{api_base}" data-origins="{website} {api}">
{header}
<main>
<div class="work">
{elsewhere}
<noscript><p class="notice">Scripts are switched off, so the forms are not shown. Everything they do is plain HTTP: the
commands for curl on this page do the same.</p></noscript>
<div id="app" hidden>
{flow}
{calls}
</div>
</div>
<div class="side">
{security}
{about}
</div>
</main>
{messages}
</body>
</html>
"##,
        name = Text(view.app_name),
        website = Text(view.website_origin),
        api = Text(view.api_origin),
        api_base = Text(view.api_base_path),
        header = header(view),
        elsewhere = elsewhere(view),
        flow = flow(view),
        calls = calls(view),
        security = security(),
        about = about(view),
        messages = if view.has_outbox { MESSAGES } else { "" },
    )
}

/// What the page has to know about the server that shows it.
#[derive(Debug, Clone)]
pub struct PageView<'a> {
    /// Name of the application, as its messages call it.
    pub app_name: &'a str,
    /// Name of the web framework that serves the page.
    pub framework: &'a str,
    /// Public origin of the website, `http://localhost:3000`; requests from any other are refused.
    pub website_origin: &'a str,
    /// Public origin of the API; the page calls the server it came from, the curl lines name this one.
    pub api_origin: &'a str,
    /// Where the protocol's endpoints begin: `/auth`.
    pub api_base_path: &'a str,
    /// Whether a code or a link to a contact signs in, so that the page leads there.
    pub by_contact: bool,
    /// Whether "Example" signs people in as well.
    pub by_provider: bool,
    /// Whether `GET /dev/outbox` answers, so that messages can be read in the browser.
    pub has_outbox: bool,
    /// Whether `POST /dev/clock` answers, so that time can be moved in the browser.
    pub has_clock: bool,
}

/// The file served at `path`, for example `/assets/app.css`: its content type and its bytes.
///
/// `None` for every other path; the answer is then 404.
#[must_use]
pub fn asset(path: &str) -> Option<(&'static str, &'static [u8])> {
    match path {
        "/assets/app.css" => Some(("text/css; charset=utf-8", include_bytes!("../assets/app.css"))),
        "/assets/app.js" => Some((
            "text/javascript; charset=utf-8",
            include_bytes!("../assets/app.js"),
        )),
        "/assets/contact.js" => Some((
            "text/javascript; charset=utf-8",
            include_bytes!("../assets/contact.js"),
        )),
        "/assets/verify.js" => Some((
            "text/javascript; charset=utf-8",
            include_bytes!("../assets/verify.js"),
        )),
        "/assets/password.js" => Some((
            "text/javascript; charset=utf-8",
            include_bytes!("../assets/password.js"),
        )),
        _ => None,
    }
}

/// Content type of [`index`].
pub const CONTENT_TYPE: &str = "text/html; charset=utf-8";

/// The page's content security policy: its own two files, its own server, and nothing inline.
///
/// `data:` images are there for the icon alone. Source: CSP Level 3; ASVS v5.0.0-3.4.3, -3.4.6.
pub const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Headers of the page and of its assets, names in lower case. The content type comes beside them.
///
/// `no-referrer` makes a browser send `Origin: null` with a form that is posted without script, which the server
/// refuses; requests of the script are not touched by it (Fetch standard, "append a request `Origin` header").
///
/// Source: ASVS v5.0.0-3.4.3 to -3.4.8.
pub const HEADERS: &[(&str, &str)] = &[
    ("content-security-policy", CSP),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    // The address of an asset does not change when the demo is rebuilt.
    ("cache-control", "no-cache"),
];

/// A text that may stand between tags and inside a quoted attribute.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
            let (plain, special) = rest.split_at(at);
            f.write_str(plain)?;
            let mut characters = special.chars();
            f.write_str(match characters.next() {
                Some('&') => "&amp;",
                Some('<') => "&lt;",
                Some('>') => "&gt;",
                Some('"') => "&quot;",
                _ => "&#39;",
            })?;
            rest = characters.as_str();
        }
        f.write_str(rest)
    }
}

fn header(view: &PageView<'_>) -> String {
    let messages = if view.has_outbox {
        r#"<button type="button" class="quiet" data-open="messages" aria-expanded="false" aria-controls="messages" hidden>Messages</button>"#
    } else {
        ""
    };
    format!(
        r#"<header>
<h1><svg viewBox="0 0 24 24" width="28" height="28" aria-hidden="true" focusable="false"><path d="M3 19h6v-6h6V7h6" fill="none" stroke="currentColor" stroke-width="3"/></svg>{name} <small>demo on {framework}</small></h1>
<p id="pill" class="pill"></p>
<div class="actions">{messages}
<button type="button" id="sign-out" class="quiet" hidden>Sign out</button></div>
</header>"#,
        name = Text(view.app_name),
        framework = Text(view.framework),
    )
}

/// Says where the page should have been opened: the server refuses what comes from another origin, and a person who
/// typed `127.0.0.1` for `localhost` would see nothing but refusals.
fn elsewhere(view: &PageView<'_>) -> String {
    let origin = Text(view.website_origin);
    // Never a link to a scheme that runs script, whatever was configured.
    let link = if view.website_origin.starts_with("http://") || view.website_origin.starts_with("https://") {
        format!(r#"<a href="{origin}">{origin}</a>"#)
    } else {
        format!("<code>{origin}</code>")
    };
    format!(
        r#"<p id="elsewhere" class="notice" hidden>This page was opened under another address than the server is configured
for, so the server will refuse its requests. Please open {link} instead.</p>"#
    )
}

fn flow(view: &PageView<'_>) -> String {
    let where_to_read = if view.has_outbox {
        r#"<p class="hint">In this demo nothing is really sent: the message is on the server’s console and under
<button type="button" class="link" data-open="messages" aria-expanded="false" aria-controls="messages">Messages</button>.</p>"#
    } else {
        ""
    };
    let by_contact = match view.by_contact {
        true => r#"<p class="hint"><a href="/auth/verify">Sign in by a code or a link instead</a></p>"#,
        false => "",
    };
    let by_provider = match view.by_provider {
        true => {
            r#"<p><button type="button" id="by-provider" class="quiet">Continue with Example</button></p>"#
        }
        false => "",
    };
    format!(
        r#"<section class="card flow" aria-label="Sign-in and second factor">
<ol class="stairs" aria-label="Progress">
<li>Password</li>
<li>Code</li>
<li>Inside</li>
</ol>
<p id="notice" class="notice" role="status" hidden></p>
<p id="problem" class="notice problem" role="alert" hidden></p>

<div data-step="loading" role="group" aria-labelledby="loading-title" data-stair="0">
<h2 id="loading-title" tabindex="-1">One moment</h2>
<p class="hint">Asking the server whether there is a session.</p>
</div>

<div data-step="offline" role="group" aria-labelledby="offline-title" data-stair="0" hidden>
<h2 id="offline-title" tabindex="-1">The server cannot be reached</h2>
<p>Is it still running? Nothing was lost: the session, if there is one, is kept by its cookies.</p>
<button type="button" id="retry">Try again</button>
</div>

<div data-step="door" role="group" aria-labelledby="door-title" data-stair="1" hidden>
<h2 id="door-title" tabindex="-1">First, a password</h2>
<div class="tabs" role="tablist" aria-label="Sign in or create an account">
<button type="button" role="tab" id="tab-up" aria-controls="panel-up" aria-selected="true">Create account</button>
<button type="button" role="tab" id="tab-in" aria-controls="panel-in" aria-selected="false" tabindex="-1">Sign in</button>
</div>
<div id="panel-up" role="tabpanel" aria-labelledby="tab-up">
<form id="sign-up" method="post" action="/" novalidate>
{up_email}
{up_password}
<button>Create account</button>
</form>
</div>
<div id="panel-in" role="tabpanel" aria-labelledby="tab-in" hidden>
<form id="sign-in" method="post" action="/" novalidate>
{in_email}
{in_password}
<button>Sign in</button>
</form>
<p class="hint"><a href="/auth/reset-password">Forgot your password?</a></p>
</div>
{by_provider}
{by_contact}
</div>

<div data-step="phone" role="group" aria-labelledby="phone-title" data-stair="2" hidden>
<h2 id="phone-title" tabindex="-1">Second, your phone</h2>
<p>The first factor is right, but it opens only half the door. Add a phone number: a code goes there at every sign-in.</p>
<form id="phone-form" method="post" action="/" novalidate>
{phone}
<button>Send the code</button>
</form>
<button type="button" id="to-mailbox" class="link" hidden>Use an e-mail address instead</button>
</div>

<div data-step="mailbox" role="group" aria-labelledby="mailbox-title" data-stair="2" hidden>
<h2 id="mailbox-title" tabindex="-1">Second, a mailbox</h2>
<p>The first factor is right, but it opens only half the door. Give an e-mail address: a code goes there at every sign-in.</p>
<form id="mailbox-form" method="post" action="/" novalidate>
{mailbox}
<button>Send the code</button>
</form>
<button type="button" id="to-phone" class="link" hidden>Use a phone instead</button>
</div>

<div data-step="send" role="group" aria-labelledby="send-title" data-stair="2" hidden>
<h2 id="send-title" tabindex="-1">Second, your phone</h2>
<p><span id="send-why"></span> The code goes to <b class="number"></b>.</p>
<div class="row"><button type="button" id="send-code">Send the code</button>
<button type="button" id="send-cancel" class="quiet" hidden>Not now</button></div>
<button type="button" id="send-other" class="link" hidden></button>
</div>

<div data-step="code" role="group" aria-labelledby="code-title" data-stair="2" hidden>
<h2 id="code-title" tabindex="-1">Enter the code</h2>
<p>It was sent to <b class="number"></b> and works for five minutes.</p>
{where_to_read}
<form id="code-form" method="post" action="/" novalidate>
{code}
<button>Confirm</button>
</form>
<div class="row links"><button type="button" id="resend" class="link">Send a new code</button>
<button type="button" id="other-number" class="link" hidden>Send it somewhere else</button>
<button type="button" id="code-cancel" class="link" hidden>Not now</button></div>
</div>

<div data-step="stuck" role="group" aria-labelledby="stuck-title" data-stair="2" hidden>
<h2 id="stuck-title" tabindex="-1">Please sign in again</h2>
<p id="stuck-why"></p>
<button type="button" id="again">Sign in again</button>
</div>

<div data-step="inside" role="group" aria-labelledby="inside-title" data-stair="3" hidden>
<h2 id="inside-title" tabindex="-1">You are in</h2>
<div id="vault" hidden>
<p>Both factors are proved, so the server hands out what is behind <code>Session&lt;Require2fa&gt;</code>:</p>
<p id="secret" class="secret"></p>
</div>
<p class="hint"><a href="/auth/reset-password#change">Change your password</a>, or
<a href="/auth/reset-password#contact">your e-mail address or phone</a></p>
</div>
</section>"#,
        up_email = Field {
            id: "up-email",
            label: "E-mail",
            kind: "email",
            autocomplete: "email",
            inputmode: "email",
            hint: ""
        },
        up_password = Field {
            id: "up-password",
            label: "Password",
            kind: "password",
            autocomplete: "new-password",
            inputmode: "",
            hint: "At least 8 characters. A few words in a row are fine."
        },
        in_email = Field {
            id: "in-email",
            label: "E-mail",
            kind: "email",
            autocomplete: "email",
            inputmode: "email",
            hint: ""
        },
        in_password = Field {
            id: "in-password",
            label: "Password",
            kind: "password",
            autocomplete: "current-password",
            inputmode: "",
            hint: ""
        },
        phone = Field {
            id: "phone",
            label: "Phone number",
            kind: "tel",
            autocomplete: "tel",
            inputmode: "tel",
            hint: "With the country code, for example +1 201 555 0123."
        },
        mailbox = Field {
            id: "mailbox",
            label: "E-mail address for codes",
            kind: "email",
            autocomplete: "email",
            inputmode: "email",
            hint: "Best not the one that you sign in with: whoever reads that mailbox may hold both factors."
        },
        code = Field {
            id: "code",
            label: "Code",
            kind: "text",
            autocomplete: "one-time-code",
            inputmode: "numeric",
            hint: ""
        },
    )
}

/// One input with all that belongs to it, so that none can be without label and place for its error.
struct Field {
    id: &'static str,
    label: &'static str,
    kind: &'static str,
    autocomplete: &'static str,
    inputmode: &'static str,
    hint: &'static str,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            id,
            label,
            kind,
            autocomplete,
            inputmode,
            hint,
        } = self;
        writeln!(f, r#"<div class="field"><label for="{id}">{label}</label>"#)?;
        let mut described = format!("{id}-error");
        if !hint.is_empty() {
            writeln!(f, r#"<p id="{id}-hint" class="hint">{hint}</p>"#)?;
            described.push_str(&format!(" {id}-hint"));
        }
        write!(
            f,
            r#"<div class="input"><input id="{id}" name="{id}" type="{kind}" autocomplete="{autocomplete}""#
        )?;
        if !inputmode.is_empty() {
            write!(f, r#" inputmode="{inputmode}""#)?;
        }
        write!(
            f,
            r#" aria-describedby="{described}" autocapitalize="none" spellcheck="false" required>"#
        )?;
        if *kind == "password" {
            write!(
                f,
                r#"<button type="button" data-reveal="{id}" aria-label="Show password">Show</button>"#
            )?;
        }
        write!(
            f,
            "</div>\n<p id=\"{id}-error\" class=\"error\" hidden></p></div>"
        )
    }
}

/// The guarded routes, callable in every state of the session: what a guard answers *before* the second factor is half of
/// what there is to see.
fn calls(view: &PageView<'_>) -> String {
    let clock = if view.has_clock {
        r#"<div class="clock"><div>The server’s clock<p id="clock-status" class="hint" role="status">five minutes on, a code has expired and a transfer asks again</p></div>
<button type="button" id="advance" class="quiet">+ 5 min</button></div>"#
    } else {
        ""
    };
    format!(
        r#"<section id="calls" class="card" aria-labelledby="calls-title" hidden>
<h2 id="calls-title">Call the guarded routes</h2>
<ul class="routes">
{me}
{secret}
{transfer}
{admin}
<li><form id="comment-form" method="post" action="/" novalidate>
<div><code>POST /api/comment</code><p class="hint">both factors, sent by this site</p></div>
<label for="comment" class="spoken">Text of the comment</label>
<input id="comment" name="comment" autocomplete="off" value="Hello from the demo" maxlength="200">
<button class="quiet" aria-label="Call POST /api/comment">Call</button></form></li>
</ul>
{clock}
<div id="answer" class="answer" role="status" hidden>
<p id="answer-meaning" tabindex="-1"><span id="answer-status" class="pill"></span> <span id="answer-text"></span></p>
<pre id="answer-body" tabindex="0" role="region" aria-label="Body of the answer"></pre>
</div>
</section>"#,
        me = Route("GET /api/me", "any session"),
        secret = Route("GET /api/secret", "both factors"),
        transfer = Route("POST /api/transfer", "both factors, the second within 5 minutes"),
        admin = Route("GET /api/admin", "both factors, and the role <code>admin</code>"),
    )
}

/// A route that can be called as it is, and what its guard asks for.
struct Route(&'static str, &'static str);

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(call, guard) = self;
        write!(
            f,
            r#"<li><div><code>{call}</code><p class="hint">{guard}</p></div>
<button type="button" class="quiet" data-call="{call}" aria-label="Call {call}">Call</button></li>"#
        )
    }
}

fn security() -> &'static str {
    r#"<section id="security" class="card" aria-labelledby="security-title" hidden>
<h2 id="security-title">Security</h2>
<dl>
<dt>Session</dt><dd id="s-handle" class="mono"></dd>
<dt>User</dt><dd id="s-user" class="mono"></dd>
<dt>Access token good until</dt><dd id="s-expires"></dd>
</dl>
<h3>Factors</h3>
<ul id="s-factors" class="factors"></ul>
<details><summary>Claims in the session</summary>
<pre id="s-claims" tabindex="0" role="region" aria-label="Claims in the session"></pre></details>
<div class="row"><button type="button" id="refresh" class="quiet">Refresh the session</button></div>
<p id="security-status" class="hint" role="status"></p>
</section>"#
}

fn about(view: &PageView<'_>) -> String {
    let api = Text(view.api_origin);
    let base = Text(view.api_base_path);
    let read = if view.has_outbox {
        format!("# read it\ncurl {api}/dev/outbox")
    } else {
        "# read it on your phone, or on the console".to_owned()
    };
    format!(
        r#"<section class="card about" aria-labelledby="about-title">
<h2 id="about-title">What this shows</h2>
<ol>
<li>A password alone makes a session whose second factor is open: the routes behind it answer 403.</li>
<li>A code by SMS completes the <em>same</em> session. From then on it goes to the stored number only.</li>
<li>A transfer wants the second factor not older than five minutes, or asks for it again.</li>
</ol>
<details open><summary>The same with curl</summary>
<pre tabindex="0" role="region" aria-label="Commands for curl"><code># 1. the first factor, kept in a cookie jar
curl -c jar {api}{base}/signup \
  -H 'st-auth-mode: cookie' --json '{up}'

# 2. the door is still closed: 403
curl -b jar {api}/api/secret

# 3. ask for a code
curl -b jar {api}{base}/signinup/code \
  --json '{ask}'
{read}

# 4. answer with it; the two ids are in the
#    answer to 3
curl -b jar -c jar \
  {api}{base}/signinup/code/consume \
  --json '{consume}'

# 5. the door is open
curl -b jar {api}/api/secret</code></pre></details>
</section>"#,
        up = Text(
            r#"{"formFields":[
{"id":"email","value":"ann@example.com"},
{"id":"password","value":"three blue boats"}
]}"#
        ),
        ask = Text(r#"{"phoneNumber":"+12015550123"}"#),
        consume = Text(
            r#"{"userInputCode":"000000",
"deviceId":"…","preAuthSessionId":"…"}"#
        ),
    )
}

/// The drawer with what the server would have sent: demo only, as the route behind it.
const MESSAGES: &str = r#"<aside id="messages" class="drawer" aria-labelledby="messages-title" hidden>
<div class="bar"><h2 id="messages-title" tabindex="-1">Messages</h2>
<div class="row"><button type="button" id="messages-load" class="quiet">Show messages</button>
<button type="button" id="messages-close" class="quiet">Close</button></div></div>
<p id="messages-status" class="hint" role="status">What the server would have sent to phones and mailboxes. Nothing is fetched until you ask.</p>
<ol id="messages-list"></ol>
</aside>"#;

#[cfg(test)]
mod tests;
