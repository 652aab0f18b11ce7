// The demo's client. It speaks the same endpoints as the frontend SDKs, by plain fetch and with cookies, and shows each
// answer it can get. It holds no token: cookies are HttpOnly, and what the session says is read from `front-token`.

const api = document.body.dataset.api;
const $ = (id) => document.getElementById(id);

/** What `front-token` said last: `{ userId, expires, claims }`, or null without a session. */
let session = null;
/** The code that was asked for: ids to answer it with, where it went, and when. Kept over a reload, so that it costs no second one. */
let challenge = null;
/** Second factors that this page can do: the step that asks for a contact, its field, and what the protocol calls it. */
const ways = {
  "otp-phone": { step: "phone", property: "phoneNumber", list: "phoneNumbers", title: "Second, your phone", name: "phone" },
  "otp-email": { step: "mailbox", property: "email", list: "emails", title: "Second, your mailbox", name: "e-mail address" },
};
/** Which of them will do now, which one is being used, and the stored contact of each, once the server told it. */
let offered = [];
let chosen = "otp-phone";
let stored = {};
/** Where the provider sends this browser back to. */
const callback = `${api}/callback/example`;
/** The call that was refused until the second factor is confirmed again. */
let pending = null;

// ---------------------------------------------------------------- talking to the server

class Unreachable extends Error {}
class Ended extends Error {}

/** One request. `rid` says whom it is for; it is also what proves that this page sent it, where the server asks for that. */
async function send(method, path, body, rid = "anti-csrf") {
  const headers = { rid, "st-auth-mode": "cookie" };
  if (path.startsWith(`${api}/`)) headers["fdi-version"] = "4.1";
  if (body !== undefined) headers["content-type"] = "application/json";
  let response;
  let text;
  try {
    const signal = AbortSignal.timeout(15_000);
    response = await fetch(path, { method, headers, signal, cache: "no-store", body: body && JSON.stringify(body) });
    text = await response.text();
  } catch {
    throw new Unreachable();
  }
  learn(response.headers.get("front-token"));
  const { status } = response;
  const wait = Number(response.headers.get("retry-after"));
  try {
    return { status, wait, body: JSON.parse(text) ?? {} };
  } catch {
    return { status, wait, body: { message: text || response.statusText } };
  }
}

/** A request of the session: an access token that ran out is refreshed once and the request repeated. */
async function call(method, path, body, rid) {
  let answer = await send(method, path, body, rid);
  if (answer.status === 401 && answer.body.message === "try refresh token") {
    // Repeated even if the refresh was refused: another tab may have been first, and the cookies are new by now.
    await refresh();
    answer = await send(method, path, body, rid);
  }
  if (answer.status === 401) throw new Ended();
  return answer;
}

let refreshing = null;
/** Requests that run out together share one refresh. */
function refresh() {
  refreshing ??= send("POST", `${api}/session/refresh`, undefined, "session").finally(() => (refreshing = null));
  return refreshing;
}

/** Takes in a `front-token`: base64 of UTF-8 JSON, or `remove`. */
function learn(token) {
  if (token === null) return;
  if (token === "remove") {
    session = null;
  } else {
    const bytes = Uint8Array.from(atob(token), (character) => character.charCodeAt(0));
    const { uid, ate, up } = JSON.parse(new TextDecoder().decode(bytes));
    session = { userId: uid, expires: ate, claims: up };
  }
  paint();
}

const isComplete = () => session?.claims["2fa-completed"]?.v === true;
const failedClaims = (answer) => (answer.body.claimValidationErrors ?? []).map((error) => error.id);

/** The sentence for an answer that has no place of its own on the page. */
function explain({ status, wait, body }) {
  if (status === 200 && (body.message || body.reason)) return [body.message ?? body.reason, inWords(wait)].join(" ").trim();
  if (status === 503) return "The server cannot answer just now, so it refuses. Please try again in a moment.";
  return `The server refused: ${body.message ?? body.status ?? "it gave no reason"} (HTTP ${status}).`;
}

/** "Later" is no answer for a person: says how long, where the server says it in `Retry-After` (seconds). */
function inWords(wait) {
  if (!wait) return "";
  const [count, unit] = wait < 90 ? [wait, "second"] : wait < 5400 ? [Math.ceil(wait / 60), "minute"] : [Math.ceil(wait / 3600), "hour"];
  return `The wait is ${count} ${unit}${count === 1 ? "" : "s"}.`;
}

// ---------------------------------------------------------------- steps

const titles = { door: "Sign in", phone: "Your phone", mailbox: "Your mailbox", send: "A code", code: "Enter the code", inside: "You are in" };
const appName = document.title;

/**
 * Shows one step and puts the focus where the person goes on: into its first field, else on its heading. Either way a
 * screen reader says where we are, because a step is a group that is named by its heading.
 */
function show(name, { problem = "", notice = "", focus = true } = {}) {
  let current;
  for (const step of document.querySelectorAll("[data-step]")) {
    step.hidden = step.dataset.step !== name;
    if (!step.hidden) current = step;
  }
  document.querySelectorAll(".stairs li").forEach((stair, index) => {
    const place = index + 1 - Number(current.dataset.stair);
    stair.className = place < 0 || name === "inside" ? "done" : "";
    if (place === 0) stair.setAttribute("aria-current", "step");
    else stair.removeAttribute("aria-current");
  });
  for (const contact of document.querySelectorAll(".number")) fillContact(contact);
  for (const field of current.querySelectorAll("input")) fieldError(field.id, "");
  document.body.dataset.at = name;
  document.title = titles[name] ? `${titles[name]} – ${appName}` : appName;
  say("notice", notice);
  say("problem", problem);
  if (name !== "code") clearInterval(ticking);
  paint();
  if (focus) ([...current.querySelectorAll("input")].find((field) => field.checkVisibility()) ?? current.querySelector("h2")).focus();
}

function say(id, text) {
  $(id).textContent = text;
  $(id).hidden = !text;
  // What was pressed may be far below on a small screen.
  if (text) $(id).scrollIntoView({ block: "nearest" });
}

function fieldError(id, text) {
  $(`${id}-error`).textContent = text;
  $(`${id}-error`).hidden = !text;
  if (text) $(id).setAttribute("aria-invalid", "true");
  else $(id).removeAttribute("aria-invalid");
}

/** Shows errors under their fields and goes to the first of them. */
function fieldErrors(errors) {
  for (const [id, text] of errors) fieldError(id, text);
  $(errors[0][0]).focus();
}

/** Whose contact it is is nobody's business who looks over a shoulder; a few characters tell two of them apart. */
function fillContact(element) {
  const contact = challenge?.contact ?? stored[chosen] ?? "";
  const isNumber = /^\+[\d\s().-]+$/.test(contact);
  const dots = (text) => Object.assign(document.createElement("span"), { textContent: text, ariaHidden: "true" });
  const spoken = (text) => Object.assign(document.createElement("span"), { textContent: text, className: "spoken" });
  const at = contact.lastIndexOf("@");
  // A server that masks contacts itself sends something else than digits, which is shown as it came.
  if (isNumber) element.replaceChildren(spoken("the number ending in "), dots("•••• ••"), contact.slice(-2));
  else if (at > 0 && !contact.includes("*")) element.replaceChildren(spoken("the address at "), dots(`${contact[0]}•••`), contact.slice(at));
  else element.textContent = contact || `your ${ways[chosen].name}`;
}

/** Runs what a button or a form does: once at a time, and with an answer for everything that can go wrong on the way. */
async function act(control, work) {
  if (control?.getAttribute("aria-busy")) return;
  control?.setAttribute("aria-busy", "true");
  if (control) for (const id of ["notice", "problem"]) say(id, "");
  try {
    await work();
  } catch (error) {
    if (error instanceof Ended) ended();
    else if (error instanceof Unreachable) unreachable();
    else {
      say("problem", "Something went wrong on this page. Reloading it is safe.");
      throw error;
    }
  } finally {
    control?.removeAttribute("aria-busy");
  }
}

function ended() {
  forget();
  chooseTab("in");
  show("door", { problem: "Your session has ended, or the browser did not keep its cookie. Please sign in again." });
}

function unreachable() {
  // What was typed is kept: only the very first question has no step to come back to.
  if (document.querySelector("[data-step='loading']").hidden) say("problem", "The server cannot be reached. Is it still running? Please try again.");
  else show("offline", { focus: false });
}

function forget() {
  session = pending = null;
  stored = {};
  keep(null);
  // Whoever sits here next is not shown what was typed.
  for (const form of document.forms) form.reset();
  paint();
}

// ---------------------------------------------------------------- the walk

async function start() {
  show("loading", { focus: false });
  if (location.pathname === callback) return comeBack();
  const { status, body } = await call("GET", "/api/optional");
  if (status !== 200) return show("offline", { problem: explain({ status, body }), focus: false });
  if (!body.userId) return show("door", { focus: false });
  const me = await call("GET", "/api/me");
  if (me.status !== 200) return show("offline", { problem: explain(me), focus: false });
  session = { userId: me.body.userId, expires: me.body.claims.exp * 1000, claims: me.body.claims };
  challenge = JSON.parse(sessionStorage.getItem("stepup-demo-challenge"));
  if (challenge?.handle !== handle()) keep(null);
  await proceed({ arrived: false });
}

const handle = () => session?.claims.sessionHandle;

function keep(next) {
  challenge = next;
  if (next) sessionStorage.setItem("stepup-demo-challenge", JSON.stringify(next));
  else sessionStorage.removeItem("stepup-demo-challenge");
}

/** Goes where the session's claims say. `arrived` is true when a password was given a moment ago. */
async function proceed({ arrived }) {
  if (isComplete()) return inside();
  const info = await factors();
  // For example an enrollment too long after the password: whoever found this browser open must not add a phone.
  if (info.body.status !== "OK") return stuck("Please sign in again", explain(info));
  const { next, alreadySetup, allowedToSetup } = info.body.factors;
  const due = next.length ? next : [...alreadySetup, ...allowedToSetup];
  offered = due.filter((id) => id in ways);
  if (!offered.length) {
    return stuck("Another factor is asked for", `The server accepts: ${due.join(", ") || "none that this account can use"}. This page can do codes only.`);
  }
  if (challenge) {
    chosen = challenge.way;
    return enterCode({ focus: arrived });
  }
  chosen = offered.find((id) => stored[id]) ?? offered[0];
  if (!stored[chosen]) return askForContact({ focus: arrived });
  // After a password the code is on its way at once. A reload must not cost a message, so it asks first.
  if (arrived) return askForCode(stored[chosen]);
  offerCode(`This account has a stored ${ways[chosen].name}, and only that one will do.`, { focus: false });
}

/** Asks where codes should go from now on; of several kinds of contacts the person may take another one. */
function askForContact(options) {
  for (const [button, id] of [["to-mailbox", "otp-email"], ["to-phone", "otp-phone"]]) $(button).hidden = !offered.includes(id);
  show(ways[chosen].step, options);
}

function switchTo(id) {
  chosen = id;
  askForContact();
}

/** Offers to send a code to the stored contact, or to the other one where there are two. */
function offerCode(why, options) {
  const other = offered.find((id) => id !== chosen && stored[id]);
  $("send-title").textContent = pending ? "Confirm that it is you" : ways[chosen].title;
  $("send-why").textContent = why;
  $("send-cancel").hidden = !pending;
  $("send-other").hidden = !other;
  $("send-other").textContent = other ? `Use the ${ways[other].name} instead` : "";
  show("send", options);
}

/** Asks which factors there are. This call also brings the claims up to date. */
async function factors() {
  const info = await call("PUT", `${api}/mfa/info`, {}, "multifactorauth");
  if (info.body.status === "OK") {
    for (const [id, { list }] of Object.entries(ways)) {
      const isSetUp = info.body.factors.alreadySetup.includes(id);
      stored[id] = (isSetUp && info.body[list][id]?.[0]) || null;
    }
    paintFactors(info.body);
  }
  return info;
}

function stuck(title, why) {
  $("stuck-title").textContent = title;
  $("stuck-why").textContent = why;
  show("stuck");
}

async function askForCode(contact) {
  const { property, step } = ways[chosen];
  const body = { [property]: contact, shouldTryLinkingWithSessionUser: true };
  const answer = await call("POST", `${api}/signinup/code`, body, "passwordless");
  if (answer.body.status === "OK") {
    const { deviceId, preAuthSessionId } = answer.body;
    keep({ deviceId, preAuthSessionId, contact, way: chosen, handle: handle(), at: Date.now(), sent: 1 });
    enterCode();
    loadMessagesSoon();
  } else if (stored[chosen]) {
    show("send", { problem: explain(answer) });
  } else {
    // Too long after the password no contact will do; then the way on is to sign in again, not to correct the field.
    const info = await factors();
    if (info.body.status !== "OK") return stuck("Please sign in again", explain(info));
    fieldErrors([[step, explain(answer)]]);
  }
}

function enterCode(options) {
  $("code").value = "";
  show("code", options);
  $("other-number").hidden = Boolean(stored[chosen]);
  $("code-cancel").hidden = !isComplete();
  countDown();
}

/** The gaps that the server keeps between two messages: pressing earlier would only be refused. */
const gaps = [15, 30, 60, 120, 240];
let ticking;
function countDown() {
  clearInterval(ticking);
  const tick = () => {
    const gap = gaps[Math.min(challenge.sent, gaps.length) - 1];
    const left = Math.ceil((challenge.at + gap * 1000 - Date.now()) / 1000);
    // Not `disabled`, which would drop the focus that a keyboard has there.
    $("resend").ariaDisabled = String(left > 0);
    $("resend").textContent = left > 0 ? `Send a new code in ${left} s` : "Send a new code";
    if (left <= 0) clearInterval(ticking);
  };
  ticking = setInterval(tick, 250);
  tick();
}

/** The server has forgotten this code, or its attempts are used up: only a new one helps. */
function restart() {
  keep(null);
  show(stored[chosen] ? "send" : ways[chosen].step, { problem: "That code cannot be used any more. Ask for a new one." });
}

async function resend() {
  if ($("resend").ariaDisabled === "true") return;
  const { deviceId, preAuthSessionId } = challenge;
  const body = { deviceId, preAuthSessionId, shouldTryLinkingWithSessionUser: true };
  const answer = await call("POST", `${api}/signinup/code/resend`, body, "passwordless");
  if (answer.body.status === "RESTART_FLOW_ERROR") return restart();
  if (answer.body.status !== "OK") return say("problem", explain(answer));
  keep({ ...challenge, at: Date.now(), sent: challenge.sent + 1 });
  countDown();
  fieldError("code", "");
  say("notice", "A new code is on its way. Wrong attempts still count.");
  $("code").focus();
  loadMessagesSoon();
}

async function confirmCode() {
  const userInputCode = $("code").value.replace(/\D/g, "");
  if (userInputCode.length < 6) return fieldErrors([["code", "Enter all the digits of the code."]]);
  const { deviceId, preAuthSessionId } = challenge;
  const body = { deviceId, preAuthSessionId, userInputCode, shouldTryLinkingWithSessionUser: true };
  const answer = await call("POST", `${api}/signinup/code/consume`, body, "passwordless");
  const { status, failedCodeInputAttemptCount: failed, maximumCodeInputAttempts: allowed } = answer.body;
  const left = allowed - failed === 1 ? "One attempt is left." : `${allowed - failed} attempts are left.`;
  $("code").select();
  if (status === "OK") {
    keep(null);
    await (pending ? repeat() : proceed({ arrived: true }));
  } else if (status === "INCORRECT_USER_INPUT_CODE_ERROR") {
    fieldErrors([["code", `That is not the code. ${left}`]]);
  } else if (status === "EXPIRED_USER_INPUT_CODE_ERROR") {
    fieldErrors([["code", `That code has expired. Send a new one. ${left}`]]);
  } else if (status === "RESTART_FLOW_ERROR") {
    restart();
  } else {
    say("problem", explain(answer));
  }
}

async function inside(options) {
  keep(null);
  pending = null;
  $("vault").hidden = $("answer").hidden = true;
  show("inside", options);
  await factors();
  const answer = await call("GET", "/api/secret");
  if (answer.status !== 200) return say("problem", explain(answer));
  $("secret").textContent = answer.body.secret;
  $("vault").hidden = false;
}

/** Step-up: the route wants a newer second factor than this session has. The refused call is made again afterwards. */
async function confirmAgain(refused) {
  await factors();
  // The session was completed by a factor that this page cannot ask for; the refusal itself is on show already.
  offered = Object.keys(ways).filter((id) => stored[id]);
  if (!offered.length) return;
  if (!stored[chosen]) chosen = offered[0];
  pending = refused;
  offerCode("A transfer asks for a second factor of the last five minutes; yours is older.");
}

async function repeat() {
  const [method, path, body] = pending;
  await inside({ focus: false });
  await tryRoute(method, path, body);
  $("answer-meaning").focus();
}

async function enter(path, ids) {
  const formFields = [["email", ids.email], ["password", ids.password]].map(([id, input]) => ({ id, value: $(input).value }));
  // Not `call`: a first factor acts on no session, it replaces whatever is there.
  const answer = await send("POST", `${api}${path}`, { formFields, shouldTryLinkingWithSessionUser: false }, "emailpassword");
  for (const id of Object.values(ids)) fieldError(id, "");
  const { status, formFields: wrong } = answer.body;
  if (status === "OK") {
    keep(null);
    pending = null;
    for (const form of [$("sign-up"), $("sign-in")]) form.reset();
    await proceed({ arrived: true });
  } else if (status === "FIELD_ERROR") {
    fieldErrors(wrong.map(({ id, error }) => [ids[id], error]));
  } else if (status === "WRONG_CREDENTIALS_ERROR") {
    // The server does not say which of the two is wrong, and neither may this page.
    fieldErrors([[ids.password, "The e-mail or the password is wrong."]]);
    $(ids.password).select();
  } else {
    say("problem", explain(answer));
  }
}

/** Goes to the provider. What has to be there when this browser is back is kept in this tab. */
async function leave() {
  const redirect = location.origin + callback;
  // What it is for is said here already, so that what comes back is good for nothing else.
  const query = new URLSearchParams({
    thirdPartyId: "example",
    redirectURIOnProviderDashboard: redirect,
    shouldTryLinkingWithSessionUser: "false",
  });
  const answer = await send("GET", `${api}/authorisationurl?${query}`, undefined, "thirdparty");
  if (answer.body.status !== "OK") return say("problem", explain(answer));
  const away = { redirect, state: crypto.randomUUID(), kept: answer.body.pkceCodeVerifier };
  sessionStorage.setItem("stepup-demo-provider", JSON.stringify(away));
  const url = new URL(answer.body.urlWithQueryParams);
  url.searchParams.set("state", away.state);
  location.assign(url);
}

/** Back from the provider: the code is taken out of the address at once, and spent. */
async function comeBack() {
  const params = Object.fromEntries(new URLSearchParams(location.search));
  // Whoever began it: an address is kept in the history, and told to whatever the page links to.
  history.replaceState(null, "", "/");
  const away = JSON.parse(sessionStorage.getItem("stepup-demo-provider"));
  sessionStorage.removeItem("stepup-demo-provider");
  if (!away) return start();
  // Somebody else's way back, opened here, would sign this browser in to their account.
  if (params.state !== away.state) return show("door", { problem: "This sign-in was not begun in this tab. Please try again." });
  const answer = await send("POST", `${api}/signinup`, {
    thirdPartyId: "example",
    redirectURIInfo: { redirectURIOnProviderDashboard: away.redirect, redirectURIQueryParams: params, pkceCodeVerifier: away.kept },
    shouldTryLinkingWithSessionUser: false,
  }, "thirdparty");
  switch (answer.body.status) {
    case "OK":
      keep(null);
      pending = null;
      return proceed({ arrived: true });
    case "NO_EMAIL_GIVEN_BY_PROVIDER":
      return show("door", { problem: "The provider tells no e-mail address, and one is needed here." });
    default:
      return show("door", { problem: answer.body.reason ?? explain(answer) });
  }
}

async function signOut() {
  try {
    const answer = await call("POST", `${api}/signout`, undefined, "session");
    if (answer.body.status !== "OK") return say("problem", explain(answer));
  } catch (error) {
    // A session that is gone already is signed out.
    if (!(error instanceof Ended)) throw error;
  }
  forget();
  $("answer").hidden = true;
  chooseTab("in");
  show("door", { notice: "You are signed out." });
}

// ---------------------------------------------------------------- the guarded routes

async function tryRoute(method, path, body) {
  const answer = await call(method, path, body);
  const failed = failedClaims(answer);
  const isStale = isComplete() && failed.length > 0 && failed.every((id) => id === "st-mfa");
  const meaning = answer.status === 200 ? "The guard lets this session pass."
    : isStale ? "The second factor is too old for this route."
    : failed.includes("2fa-completed") || failed.includes("st-mfa") ? "The second factor is missing, so the guard says which claims fail."
    : failed.length ? `The guard asks for a claim that this session does not have: ${failed.join(", ")}.`
    : explain(answer);
  // Beside the button that was pressed, wherever that is on a small screen.
  (document.querySelector(`[data-call="${method} ${path}"]`) ?? $("comment-form")).closest("li").append($("answer"));
  $("answer").hidden = false;
  $("answer-status").textContent = answer.status;
  $("answer-status").className = answer.status === 200 ? "pill good" : "pill bad";
  $("answer-text").textContent = meaning;
  $("answer-body").textContent = JSON.stringify(answer.body, null, "\t");
  if (isStale) await confirmAgain([method, path, body]);
}

async function advanceClock() {
  const answer = await call("POST", "/dev/clock", { advanceSeconds: 301 });
  say("clock-status", answer.status === 200 ? `It now says ${time(answer.body.now)}.` : explain(answer));
}

// ---------------------------------------------------------------- what the session looks like

const time = (milliseconds) => new Date(milliseconds).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const factorNames = { emailpassword: "Password", thirdparty: "Continued with a provider", "otp-phone": "Code by SMS", "otp-email": "Code by e-mail", totp: "Authenticator app", webauthn: "Passkey" };

function paint() {
  const state = !session ? "Signed out" : isComplete() ? "Both factors" : "One factor";
  $("pill").textContent = state;
  $("pill").className = `pill ${!session ? "" : isComplete() ? "good" : "half"}`;
  $("sign-out").hidden = $("calls").hidden = $("security").hidden = !session;
  if (!session) return;
  $("s-handle").textContent = handle();
  $("s-user").textContent = session.userId;
  $("s-expires").textContent = time(session.expires);
  $("s-claims").textContent = JSON.stringify(session.claims, null, "\t");
  paintFactors();
}

let known = [];
function paintFactors(info) {
  if (info) known = [...new Set([...info.factors.alreadySetup, ...info.factors.next])];
  const completed = session?.claims["st-mfa"]?.c ?? {};
  const ids = [...new Set([...Object.keys(completed), ...known])];
  $("s-factors").replaceChildren(...ids.map((id) => {
    const item = document.createElement("li");
    item.className = completed[id] ? "proved" : "";
    // Seconds here, milliseconds everywhere else: so the protocol has it.
    item.textContent = `${factorNames[id] ?? id}: ${completed[id] ? `proved at ${time(completed[id] * 1000)}` : "not yet in this session"}`;
    return item;
  }));
}

// ---------------------------------------------------------------- messages

async function loadMessages() {
  const answer = await send("GET", "/dev/outbox");
  if (answer.status !== 200) return say("messages-status", explain(answer));
  const newest = answer.body.slice(-12).reverse();
  say("messages-status", newest.length ? "Newest first. This list does not refresh itself." : "Nothing was sent yet.");
  $("messages-list").replaceChildren(...newest.map(messageItem));
  $("messages-load").textContent = "Refresh";
}

function messageItem({ channel, to, code, body, sentAt }) {
  const item = document.createElement("li");
  const part = (name, className, text) => item.append(Object.assign(document.createElement(name), { className, textContent: text }));
  part("p", "hint", `${channel === "sms" ? "SMS" : "E-mail"} to ${to}, ${time(sentAt)}`);
  part("p", "body", body);
  if (code) {
    // Shown by the style sheet only while there is a field to put it in.
    part("button", "quiet use", `Use ${code}`);
    item.lastChild.type = "button";
    item.lastChild.addEventListener("click", () => {
      toggleMessages(false);
      $("code").value = code;
      $("code").focus();
    });
  }
  return item;
}

/** Delivery runs beside the request, so an open drawer looks once, a moment later. */
function loadMessagesSoon() {
  if ($("messages") && !$("messages").hidden) setTimeout(() => act(null, loadMessages), 700);
}

let opener;
function toggleMessages(open) {
  $("messages").hidden = !open;
  for (const button of document.querySelectorAll("[data-open]")) button.setAttribute("aria-expanded", String(open));
  if (open) $("messages-title").focus();
  else opener?.focus();
}

// ---------------------------------------------------------------- wiring

function chooseTab(which, focus = false) {
  for (const side of ["up", "in"]) {
    const isChosen = side === which;
    $(`tab-${side}`).setAttribute("aria-selected", String(isChosen));
    $(`tab-${side}`).tabIndex = isChosen ? 0 : -1;
    $(`panel-${side}`).hidden = !isChosen;
  }
  if (!focus) return;
  say("problem", "");
  $(`tab-${which}`).focus();
}

const onClick = (id, work) => $(id)?.addEventListener("click", (event) => act(event.currentTarget, work));
const onSubmit = (id, work) => $(id).addEventListener("submit", (event) => {
  event.preventDefault();
  act(event.target.querySelector("button:not([type])"), work);
});

for (const [mine, other] of [["up", "in"], ["in", "up"]]) {
  $(`tab-${mine}`).addEventListener("click", () => chooseTab(mine, true));
  $(`tab-${mine}`).addEventListener("keydown", (event) => {
    if (["ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key)) chooseTab(other, true);
  });
}
for (const button of document.querySelectorAll("[data-reveal]")) {
  button.addEventListener("click", () => {
    const input = $(button.dataset.reveal);
    input.type = input.type === "password" ? "text" : "password";
    button.textContent = input.type === "password" ? "Show" : "Hide";
    button.ariaLabel = `${button.textContent} password`;
  });
}
for (const button of document.querySelectorAll("[data-open]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    opener = button;
    toggleMessages($("messages").hidden);
  });
}
for (const button of document.querySelectorAll("[data-call]")) {
  const [method, path] = button.dataset.call.split(" ");
  button.addEventListener("click", () => act(button, () => tryRoute(method, path, method === "POST" ? {} : undefined)));
}

onSubmit("sign-up", () => enter("/signup", { email: "up-email", password: "up-password" }));
onSubmit("sign-in", () => enter("/signin", { email: "in-email", password: "in-password" }));
onSubmit("phone-form", () => $("phone").value.trim() ? askForCode($("phone").value.trim()) : fieldErrors([["phone", "Enter a phone number."]]));
onSubmit("mailbox-form", () => $("mailbox").value.trim() ? askForCode($("mailbox").value.trim()) : fieldErrors([["mailbox", "Enter an e-mail address."]]));
onSubmit("code-form", confirmCode);
onSubmit("comment-form", () => tryRoute("POST", "/api/comment", { text: $("comment").value }));
onClick("by-provider", leave);
onClick("retry", start);
onClick("send-code", () => askForCode(stored[chosen]));
onClick("send-other", () => {
  chosen = offered.find((id) => id !== chosen && stored[id]);
  return askForCode(stored[chosen]);
});
onClick("to-mailbox", () => switchTo("otp-email"));
onClick("to-phone", () => switchTo("otp-phone"));
onClick("send-cancel", inside);
onClick("code-cancel", inside);
onClick("resend", resend);
onClick("other-number", () => {
  keep(null);
  askForContact();
});
onClick("again", signOut);
onClick("sign-out", signOut);
onClick("advance", advanceClock);
onClick("refresh", async () => {
  const answer = await refresh();
  if (answer.status === 401) throw new Ended();
  say("security-status", answer.status === 200 ? `New tokens at ${time(Date.now())}; the session is the same.` : explain(answer));
});
onClick("messages-load", loadMessages);
onClick("messages-close", () => toggleMessages(false));
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && $("messages") && !$("messages").hidden) toggleMessages(false);
});

$("elsewhere").hidden = document.body.dataset.origins.split(" ").includes(location.origin);
$("app").hidden = false;
act(null, start);
