// A person with a browser of their own, who uses a site that was built on the unmodified client.

import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

/** The client and the suite's page part as one script. Bundled when first asked for, so that it is never stale. */
const bundle = (() => {
  let made;
  return () =>
    (made ??= build({
      entryPoints: [fileURLToPath(new URL("../client/main.js", import.meta.url))],
      bundle: true,
      format: "iife",
      write: false,
      logLevel: "error",
    }).then((result) => result.outputFiles[0].text));
})();

/** The client threw what it shows to its user: an answer with the status `GENERAL_ERROR`. */
export class GeneralError extends Error {
  name = "GeneralError";
}

/** The client threw the bare response: an answer with a status from 300 up. */
export class HttpError extends Error {
  name = "HttpError";

  constructor(response) {
    super(`HTTP ${response.status}: ${JSON.stringify(response.body)}`);
    this.status = response.status;
    this.body = response.body;
  }
}

export class Visitor {
  #context;
  #setup;

  constructor(context, setup) {
    this.#context = context;
    this.#setup = setup;
    this.transfer = setup.transfer;
    this.server = setup.server;
    this.api = setup.server.origin;
    this.refreshes = 0;
    context.on("request", (request) => {
      if (request.method() === "POST" && request.url() === `${this.api}/auth/session/refresh`) this.refreshes += 1;
    });
  }

  /** Opens the site in a fresh browser profile. `setup` is `{ browser, server, transfer, pageUrl, verifiesEmail? }`. */
  static async arrive(setup) {
    // The script is put into the page from outside and so needs no leave of the page's own content policy.
    const context = await setup.browser.newContext({ bypassCSP: true });
    const { server, transfer: tokenTransferMethod, verifiesEmail = false } = setup;
    const config = JSON.stringify({ apiDomain: server.origin, tokenTransferMethod, verifiesEmail });
    await context.addInitScript({
      content: `if (location.protocol === "http:") { ${await bundle()}; suite.start(${config}); }`,
    });
    const visitor = new Visitor(context, setup);
    visitor.tab = await visitor.openTab();
    return visitor;
  }

  async openTab(url = this.#setup.pageUrl) {
    const page = await this.#context.newPage();
    await page.goto(url);
    return new Tab(page, this);
  }

  async leave() {
    await this.#context.close();
  }

  /** How often the client asks for a refresh while `act` runs, in all tabs together. */
  async refreshesDuring(act) {
    const before = this.refreshes;
    await act();
    return this.refreshes - before;
  }

  /** Every cookie of the profile that has this name; one at most, unless something is wrong. */
  async cookie(name) {
    const found = (await this.#context.cookies()).filter((cookie) => cookie.name === name);
    assert.ok(found.length <= 1, `${found.length} cookies named ${name}`);
    return found[0];
  }

  async cookieNames() {
    return (await this.#context.cookies()).map((cookie) => cookie.name).sort();
  }

  get #refreshTokenName() {
    return this.transfer === "cookie" ? "sRefreshToken" : "st-refresh-token";
  }

  get #accessTokenName() {
    return this.transfer === "cookie" ? "sAccessToken" : "st-access-token";
  }

  async refreshToken() {
    return (await this.cookie(this.#refreshTokenName))?.value;
  }

  async accessToken() {
    return (await this.cookie(this.#accessTokenName))?.value;
  }

  /** Puts an older refresh token back where the newer one is, as a restored backup or a thief would. */
  async plantRefreshToken(value) {
    const present = await this.cookie(this.#refreshTokenName);
    await this.#context.addCookies([{ ...present, value }]);
    assert.equal(await this.refreshToken(), value);
  }
}

/** One page of a visitor. Tabs of one visitor share cookies and storage, and with them the session. */
export class Tab {
  constructor(page, visitor) {
    this.page = page;
    this.visitor = visitor;
  }

  /** Calls `recipe.name(input)` of the client and throws what it threw. */
  async call(recipe, name, input) {
    const outcome = await this.page.evaluate(([recipe, name, input]) => suite.call(recipe, name, input), [
      recipe,
      name,
      input,
    ]);
    if (outcome.generalError !== undefined) throw new GeneralError(outcome.generalError);
    if (outcome.httpError !== undefined) throw new HttpError(outcome.httpError);
    return outcome.answer;
  }

  signUp(email, password) {
    return this.call("EmailPassword", "signUp", { formFields: fields(email, password) });
  }

  signIn(email, password) {
    return this.call("EmailPassword", "signIn", { formFields: fields(email, password) });
  }

  signOut() {
    return this.call("Session", "signOut");
  }

  createCode(phoneNumber, flag) {
    const shouldTryLinkingWithSessionUser = flag;
    return this.call("Passwordless", "createCode", { phoneNumber, shouldTryLinkingWithSessionUser });
  }

  resendCode() {
    return this.call("Passwordless", "resendCode");
  }

  consumeCode(userInputCode) {
    return this.call("Passwordless", "consumeCode", { userInputCode });
  }

  mfaInfo() {
    return this.call("MultiFactorAuth", "resyncSessionAndFetchMFAInfo");
  }

  hasSession() {
    return this.call("Session", "doesSessionExist");
  }

  payload() {
    return this.call("Session", "getAccessTokenPayloadSecurely");
  }

  refresh() {
    return this.call("Session", "attemptRefreshingSession");
  }

  secondFactorClaim() {
    return this.page.evaluate(() => suite.secondFactorClaim());
  }

  failingClaims() {
    return this.page.evaluate(async () => (await suite.validateClaims()).map((error) => error.id));
  }

  events() {
    return this.page.evaluate(() => suite.events);
  }

  get(route) {
    return this.page.evaluate((url) => suite.fetch(url), this.visitor.api + route);
  }

  getByXhr(route) {
    return this.page.evaluate((url) => suite.xhr(url), this.visitor.api + route);
  }

  post(route, body) {
    const init = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
    return this.page.evaluate(([url, init]) => suite.fetch(url, init), [this.visitor.api + route, init]);
  }

  /** The same request `count` times at once: every second one by `XMLHttpRequest`. */
  getManyAtOnce(route, count) {
    return this.page.evaluate(
      ([url, count]) =>
        Promise.all(Array.from({ length: count }, (_, i) => (i % 2 ? suite.xhr(url) : suite.fetch(url)))),
      [this.visitor.api + route, count],
    );
  }

  /**
   * Runs `act` and gives the head of the answer that the page got meanwhile from `route`. Not its body: the client
   * leaves that of a refused refresh unread, and Chromium then may never call the answer finished.
   */
  async answerOf(route, act) {
    const [answer] = await Promise.all([
      this.page.waitForResponse((response) => response.url() === this.visitor.api + route),
      act(),
    ]);
    return { status: answer.status(), headers: await answer.allHeaders() };
  }
}

function fields(email, password) {
  return [
    { id: "email", value: email },
    { id: "password", value: password },
  ];
}
