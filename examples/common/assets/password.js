// A new password: by a link, or by the present one; and another contact. The token of a link is taken out of the address at once.

const api = document.body.dataset.api;
const $ = (id) => document.getElementById(id);

const query = new URLSearchParams(location.search);
const token = query.get("token");
const tenant = query.get("tenantId") ?? "public";
if (token) history.replaceState(null, "", location.pathname);

// A link comes from anywhere: what is no tenant's id must not become a path.
const inTenant = /^[A-Za-z0-9-]{1,64}$/.test(tenant) ? `${api}/${tenant}` : api;

async function send(path, body) {
  const headers = { rid: "emailpassword", "fdi-version": "4.1", "st-auth-mode": "cookie", "content-type": "application/json" };
  try {
    const response = await fetch(path, { method: "POST", headers, cache: "no-store", body: JSON.stringify(body) });
    return { code: response.status, ...(await response.json()) };
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
  for (const id of ["ask", "set", "change", "contact", "confirm"]) $(id).hidden = id !== name;
  ($(name)?.querySelector("input") ?? $("title")).focus();
}

const why = (answer) =>
  answer.formFields?.map((field) => field.error).join(" ") ?? answer.reason ?? answer.message ?? "The server refused.";

const refused = (answer) => {
  if (answer.code === 403) return "Please sign in again, with your second factor: it was given too long ago.";
  if (answer.code === 401) return "Please sign in first.";
  if (answer.status === "CONTACT_ALREADY_EXISTS_ERROR") return "Another account signs in with it.";
  if (["RESTART_FLOW_ERROR", "EXPIRED_USER_INPUT_CODE_ERROR"].includes(answer.status)) return "This code works no more. Please ask for another one.";
  return why(answer);
};

const on = (id, work) =>
  $(id).addEventListener("submit", async (happened) => {
    happened.preventDefault();
    const { submitter } = happened;
    if (submitter.getAttribute("aria-busy")) return;
    submitter.setAttribute("aria-busy", "true");
    await work().finally(() => submitter.removeAttribute("aria-busy"));
  });

on("ask", async () => {
  const formFields = [{ id: "email", value: $("email").value.trim() }];
  const answer = await send(`${api}/user/password/reset/token`, { formFields });
  if (answer.status !== "OK") return say("problem", why(answer));
  say("notice", "If this address has an account with a password, a link is on its way. It works for 30 minutes.");
});

on("set", async () => {
  const formFields = [{ id: "password", value: $("password").value }];
  const answer = await send(`${inTenant}/user/password/reset`, { method: "token", token, formFields });
  if (answer.status === "OK") {
    $("set").reset();
    show();
    return say("notice", "The password is set. Please sign in with it.");
  }
  if (answer.status === "RESET_PASSWORD_INVALID_TOKEN_ERROR") {
    show("ask");
    return say("problem", "This link works no more. Please ask for another one.");
  }
  say("problem", why(answer));
});

on("change", async () => {
  const body = { currentPassword: $("current").value, newPassword: $("next").value };
  const answer = await send(`${api}/password/change`, body);
  if (answer.status === "OK") {
    $("change").reset();
    return say("notice", "The password is changed. Other browsers are signed out.");
  }
  if (answer.status === "WRONG_CREDENTIALS_ERROR") return say("problem", "That is not the present password.");
  say("problem", refused(answer));
});

let deviceId;

on("contact", async () => {
  const contact = $("new-contact").value.trim();
  const answer = await send(`${api}/contact/change`, contact.includes("@") ? { email: contact } : { phoneNumber: contact });
  if (answer.status !== "OK") return say("problem", refused(answer));
  ({ deviceId } = answer);
  show("confirm");
  say("notice", "A code is on its way to the new one.");
});

on("confirm", async () => {
  const answer = await send(`${api}/contact/change/confirm`, { deviceId, userInputCode: $("contact-code").value.trim() });
  if (answer.status === "INCORRECT_USER_INPUT_CODE_ERROR") return say("problem", "That is not the code.");
  $("confirm").reset();
  show("contact");
  if (answer.status !== "OK") return say("problem", refused(answer));
  $("contact").reset();
  say("notice", "It is changed. Other browsers are signed out, and the old one is told.");
});

for (const button of document.querySelectorAll("[data-reveal]")) {
  const input = $(button.dataset.reveal);
  button.addEventListener("click", () => {
    input.type = input.type === "password" ? "text" : "password";
    button.textContent = input.type === "password" ? "Show" : "Hide";
    button.setAttribute("aria-label", `${button.textContent} password`);
  });
}

if (token) show("set");
else show({ "#change": "change", "#contact": "contact" }[location.hash] ?? "ask");
