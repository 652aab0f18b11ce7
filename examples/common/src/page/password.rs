//! The page at `/auth/reset-password`: a forgotten password, a new one, and another contact. It is where the links of resets lead.

use super::{Field, PageView, Text};

/// Renders the page. The token of a link is read by the script, which takes it out of the address.
#[must_use]
pub fn new_password(view: &PageView<'_>) -> String {
    let field = |id, label, kind, autocomplete, hint| Field {
        id,
        label,
        kind,
        autocomplete,
        inputmode: if kind == "email" { "email" } else { "" },
        hint,
    };
    let rule = "At least 8 characters. A few words in a row are fine.";
    format!(
        r##"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Password – {name}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/assets/app.css">
<script type="module" src="/assets/password.js"></script>
</head>
<body data-api="{api}">
<main>
<section class="card flow" aria-labelledby="title">
<h1 id="title" tabindex="-1">Your {name} password</h1>
<p id="notice" class="notice" role="status" hidden></p>
<p id="problem" class="notice problem" role="alert" hidden></p>
<noscript><p class="notice">Scripts are switched off, so the forms do nothing.</p></noscript>
<form id="ask" method="post" action="/" novalidate hidden>
<p>Forgotten? A link that sets a new one goes to your mailbox.</p>
{email}
<button>Send me a link</button>
</form>
<form id="set" method="post" action="/" novalidate hidden>
<p>Choose a new password. Whoever is signed in to the account is signed out, and your second factor stays as it is.</p>
{password}
<button>Set the password</button>
</form>
<form id="change" method="post" action="/" novalidate hidden>
<p>You are signed in. A change signs you out everywhere but here.</p>
{current}
{next}
<button>Change the password</button>
</form>
<form id="contact" method="post" action="/" novalidate hidden>
<p>You are signed in. A code goes to the new address or number; until you enter it here, nothing changes.</p>
{contact}
<button>Send the code</button>
</form>
<form id="confirm" method="post" action="/" novalidate hidden>
<p>Enter the code. It puts the new address or number in the place of the old one, which is told.</p>
{code}
<button>Change it</button>
</form>
<p class="hint"><a href="/">Back to the first page</a></p>
</section>
</main>
</body>
</html>
"##,
        name = Text(view.app_name),
        api = Text(view.api_base_path),
        email = field("email", "E-mail", "email", "email", ""),
        password = field("password", "New password", "password", "new-password", rule),
        current = field("current", "Present password", "password", "current-password", ""),
        contact = field(
            "new-contact",
            "New e-mail address or phone number",
            "text",
            "off",
            ""
        ),
        code = field("contact-code", "Code", "text", "one-time-code", ""),
        next = field("next", "New password", "password", "new-password", rule),
    )
}
