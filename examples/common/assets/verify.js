// Verifies an address by the token in the link. It is taken out of the address bar at once, and nothing is done with it until
// the person says so: mail scanners open links.

const api = document.body.dataset.api;
const $ = (id) => document.getElementById(id);

const query = new URLSearchParams(location.search);
const token = query.get("token") ?? "";
const tenant = query.get("tenantId") ?? "public";
history.replaceState(null, "", location.pathname);

// A link comes from anywhere: what is no tenant's id must not become a path.
const base = /^[A-Za-z0-9-]{1,64}$/.test(tenant) ? `${api}/${tenant}` : api;

function say(id, text) {
  for (const other of ["notice", "problem"]) $(other).hidden = true;
  $(id).textContent = text;
  $(id).hidden = false;
}

async function verify() {
  const headers = { rid: "emailverification", "fdi-version": "4.1", "st-auth-mode": "cookie", "content-type": "application/json" };
  const body = JSON.stringify({ method: "token", token });
  const send = () => fetch(`${base}/user/email/verify`, { method: "POST", headers, cache: "no-store", body });
  try {
    let response = await send();
    if (response.status === 401) {
      // An old access token, or a session that is over: with a new one, or without any.
      await fetch(`${api}/session/refresh`, { method: "POST", headers: { rid: "session", "st-auth-mode": "cookie" } });
      response = await send();
    }
    return await response.json();
  } catch {
    return { message: "The server cannot be reached. Please try again." };
  }
}

$("confirm").addEventListener("click", async () => {
  $("confirm").disabled = true;
  const answer = await verify();
  $("confirm").disabled = false;
  switch (answer.status) {
    case "OK":
      $("ask").hidden = true;
      return say("notice", "Thank you: your address is confirmed.");
    case "EMAIL_VERIFICATION_INVALID_TOKEN_ERROR":
      return say("problem", "This link does not work any more. Sign in and ask for another one.");
    default:
      return say("problem", answer.message ?? "Something went wrong. Please try again.");
  }
});
