//! The page at `/auth/verify`: sign-in by a code or a link. It is where links lead, so it asks before it does anything.

use super::{Field, PageView, Text};

/// Renders the page. What a link carries is read by the script, from the fragment, which reaches no server.
#[must_use]
pub fn by_contact(view: &PageView<'_>) -> String {
    let contact = Field {
        id: "contact",
        label: "E-mail address or phone number",
        kind: "text",
        autocomplete: "username",
        inputmode: "email",
        hint: "A number begins with + and the country.",
    };
    let code = Field {
        id: "code",
        label: "Code",
        kind: "text",
        autocomplete: "one-time-code",
        inputmode: "numeric",
        hint: "",
    };
    format!(
        r##"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Sign in – {name}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/assets/app.css">
<script type="module" src="/assets/contact.js"></script>
</head>
<body data-api="{api}">
<main>
<section class="card flow" aria-labelledby="title">
<h1 id="title" tabindex="-1">Sign in to {name}</h1>
<p id="notice" class="notice" role="status" hidden></p>
<p id="problem" class="notice problem" role="alert" hidden></p>
<noscript><p class="notice">Scripts are switched off, so the forms do nothing.</p></noscript>
<form id="ask" method="post" action="/" novalidate hidden>
{contact}
<button>Send me a message</button>
<p class="hint"><a href="/">Back to the password</a></p>
</form>
<form id="answer" method="post" action="/" novalidate hidden>
<p id="sent"></p>
{code}
<button>Sign in</button>
<div class="row links"><button type="button" id="resend" class="link">Send another one</button>
<button type="button" id="other" class="link">Use another contact</button></div>
</form>
<div id="wait" hidden><p>We sent you a link. Open it in this browser or in any other one: that one is then signed in.</p></div>
<div id="opened" hidden>
<p>Somebody asked for this link to sign in to {name}<span id="whose" hidden> as <b id="who"></b></span>. If it was you, and that is your account, go on; if not, close this page and nothing happens.</p>
<div class="row"><button type="button" id="enter">Sign in here</button>
<button type="button" id="show" class="quiet">Show the code instead</button>
<button type="button" id="not-me" class="quiet">That was not me</button></div>
<p id="shown" class="secret" hidden></p>
</div>
</section>
</main>
</body>
</html>
"##,
        name = Text(view.app_name),
        api = Text(view.api_base_path),
    )
}
