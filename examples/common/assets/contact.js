// Sign-in by a code or a link. A link's secret is in the fragment; it is taken out of the address at once, and nothing is
// done with it until the person says so: mail scanners open links, people sign in.

const api = document.body.dataset.api;
const $ = (id) => document.getElementById(id);

const query = new URLSearchParams(location.search);
const opened = {
  preAuthSessionId: query.get("preAuthSessionId"),
  linkCode: location.hash.slice(1),
  tenantId: query.get("tenantId") ?? "public",
};
if (location.hash) history.replaceState(null, "", location.pathname);

// A link comes from anywhere: what is no tenant's id must not become a path.
const inTenant = /^[A-Za-z0-9-]{1,64}$/.test(opened.tenantId) ? `${api}/${opened.tenantId}` : api;

/** The message that was asked for here: its ids. */
let asked = JSON.parse(sessionStorage.getItem("stepup-demo-contact"));

async function send(path, body) {
  const headers = { rid: "passwordless", "fdi-version": "4.1", "st-auth-mode": "cookie", "content-type": "application/json" };
  try {
    const response = await fetch(path, { method: "POST", headers, cache: "no-store", body: JSON.stringify(body) });
    return await response.json();
  } catch {
    return { message: "The server cannot be reached. Please try again." };
  }
}

function say(id, text) {
  for (const other of ["notice", "problem"]) $(other).hidden = true;
  $(id).textContent = text;
  $(id).hidden = !text;
}

function show(name) {
  for (const id of ["ask", "answer", "wait", "opened"]) $(id).hidden = id !== name;
  ($(name).querySelector("input") ?? $("title")).focus();
}

function keep(next) {
  asked = next;
  if (next) sessionStorage.setItem("stepup-demo-contact", JSON.stringify(next));
  else sessionStorage.removeItem("stepup-demo-contact");
}

/** Shows where a message was asked for here, or the first form. */
function proceed() {
  if (!asked) return show("ask");
  $("sent").textContent = `We sent a code to ${asked.to}.`;
  show(asked.flowType === "MAGIC_LINK" ? "wait" : "answer");
}

const consume = async (body, base = api) => {
  const answer = await send(`${base}/signinup/code/consume`, body);
  switch (answer.status) {
    case "OK":
      keep(null);
      location.assign("/");
      return;
    case "INCORRECT_USER_INPUT_CODE_ERROR":
    case "EXPIRED_USER_INPUT_CODE_ERROR": {
      const left = answer.maximumCodeInputAttempts - answer.failedCodeInputAttemptCount;
      const why = answer.status.startsWith("EXPIRED") ? "That code is too old." : "That is not the code.";
      return say("problem", `${why} ${left} ${left === 1 ? "try is" : "tries are"} left.`);
    }
    case "RESTART_FLOW_ERROR":
      keep(null);
      show("ask");
      return say("problem", "This code or link works no more. Please ask for another one.");
    default:
      return say("problem", answer.reason ?? answer.message ?? "The server refused.");
  }
};

const on = (id, event, work) =>
  $(id).addEventListener(event, async (happened) => {
    happened.preventDefault();
    const control = happened.submitter ?? happened.currentTarget;
    if (control.getAttribute("aria-busy")) return;
    control.setAttribute("aria-busy", "true");
    await work().finally(() => control.removeAttribute("aria-busy"));
  });

on("ask", "submit", async () => {
  const contact = $("contact").value.trim();
  const answer = await send(`${api}/signinup/code`, contact.includes("@") ? { email: contact } : { phoneNumber: contact });
  if (answer.status !== "OK") return say("problem", answer.message ?? answer.reason ?? "The server refused.");
  say("notice", "");
  keep({ ...answer, to: contact });
  proceed();
});

on("answer", "submit", () => {
  const { deviceId, preAuthSessionId } = asked;
  return consume({ deviceId, preAuthSessionId, userInputCode: $("code").value.trim() });
});

on("resend", "click", async () => {
  const { deviceId, preAuthSessionId } = asked;
  const answer = await send(`${api}/signinup/code/resend`, { deviceId, preAuthSessionId });
  if (answer.status === "OK") say("notice", "Another one is on its way.");
  else say("problem", answer.message ?? "Please begin again.");
});

on("other", "click", async () => {
  keep(null);
  say("notice", "");
  show("ask");
});

on("enter", "click", () => consume(opened, inTenant));

/** Somebody may have been sent the link of another one's account: they are told whose it is before they are signed in. */
async function ask() {
  const { contact } = await send("/api/link-code", opened);
  $("who").textContent = contact ?? "";
  $("whose").hidden = !contact;
  show("opened");
}

on("show", "click", async () => {
  const { code } = await send("/api/link-code", opened);
  $("shown").textContent = code ? `${code} – type it in where you asked for it.` : "This link has no code, or works no more.";
  $("shown").hidden = false;
});

on("not-me", "click", async () => {
  show("ask");
  say("notice", "Nothing was done. Nobody gets in without the link or the code.");
});

if (opened.preAuthSessionId && opened.linkCode) ask();
else proceed();
