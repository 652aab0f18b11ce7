//! The page at `/auth/verify-email`: where the links lead that verify an address. It asks before it does anything.

use super::{PageView, Text};

/// Renders the page. The token is read by the script, from the query.
#[must_use]
pub fn verify_email(view: &PageView<'_>) -> String {
    format!(
        r##"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Your e-mail address – {name}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/assets/app.css">
<script type="module" src="/assets/verify.js"></script>
</head>
<body data-api="{api}">
<main>
<section class="card flow" aria-labelledby="title">
<h1 id="title" tabindex="-1">Your e-mail address at {name}</h1>
<p id="notice" class="notice" role="status" hidden></p>
<p id="problem" class="notice problem" role="alert" hidden></p>
<noscript><p class="notice">Scripts are switched off, so the button does nothing.</p></noscript>
<div id="ask">
<p>Somebody made an account at {name} with this address. If it was you, confirm it; if not, close this page and nothing happens.</p>
<div class="row"><button type="button" id="confirm">Confirm my address</button></div>
</div>
<p class="hint"><a href="/">To the demo</a></p>
</section>
</main>
</body>
</html>
"##,
        name = Text(view.app_name),
        api = Text(view.api_base_path),
    )
}
