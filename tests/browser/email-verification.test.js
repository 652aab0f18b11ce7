// A verified address beside the second factor: by the unmodified client on a website of its own, then by hand on the demo's
// page, and the page that undoes an enrollment without script.

import { strict as assert } from "node:assert";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";

import { launchBrowser } from "./harness/browser.js";
import { newPerson } from "./harness/person.js";
import { Server } from "./harness/server.js";
import { Site } from "./harness/site.js";
import { Visitor } from "./harness/visitor.js";

const HOUR_S = 3600;
/** No case takes so long; this only ends one that hangs. */
const LIMIT = { timeout: 60_000 };
const REQUIRED = { STEPUP_EMAIL_VERIFICATION: "required" };

let browser;
before(async () => (browser = await launchBrowser()), LIMIT);
after(() => browser?.close(), LIMIT);

for (const transfer of ["cookie", "header"]) {
  describe(`web-js verifies an address, tokens by ${transfer}`, () => {
    let server, site, visitors;

    const scenario = (sentence, act) =>
      test(sentence, LIMIT, async (t) => {
        try {
          await act();
        } catch (error) {
          t.diagnostic(`the server's last lines:\n${server.log}`);
          throw error;
        }
      });

    const arrive = async () => {
      const pageUrl = `${site.origin}/`;
      const visitor = await Visitor.arrive({ browser, server, transfer, pageUrl, verifiesEmail: true });
      visitors.push(visitor);
      return visitor;
    };

    const signedUp = async () => {
      const [visitor, person] = [await arrive(), newPerson()];
      assert.equal((await visitor.tab.signUp(person.email, person.password)).status, "OK");
      return { visitor, tab: visitor.tab, person };
    };

    const complete = async (tab, phone) => {
      assert.equal((await tab.createCode(phone)).status, "OK");
      const [code] = await server.codes(phone, 1);
      assert.equal((await tab.consumeCode(code)).status, "OK");
    };

    const failed = async (tab) => {
      const answer = await tab.get("/api/secret");
      return answer.status === 403 ? answer.body.claimValidationErrors.map((error) => error.id) : answer.status;
    };

    /** The link, opened at the website that the visitor is at: the client reads the token from the address. */
    const open = async (visitor, link) => {
      assert.ok(link.startsWith(`${site.origin}/auth/verify-email?token=`), link);
      return visitor.openTab(`${site.origin}/${new URL(link).search}`);
    };

    before(async () => {
      visitors = [];
      site = await Site.start();
      server = await Server.start({ ...REQUIRED, STEPUP_WEBSITE_DOMAIN: site.origin });
    }, LIMIT);

    after(async () => {
      await server?.stop();
      await site?.stop();
    }, LIMIT);

    beforeEach(() => server.advance(3 * HOUR_S));

    afterEach(async () => {
      for (const visitor of visitors.splice(0)) await visitor.leave();
    });

    scenario("both claims are missing at first, and each is mended by itself", async () => {
      const { visitor, tab, person } = await signedUp();
      assert.deepEqual(await failed(tab), ["st-mfa", "2fa-completed", "st-ev"]);
      assert.deepEqual(await tab.call("EmailVerification", "isEmailVerified"), { status: "OK", isVerified: false });

      assert.equal((await tab.call("EmailVerification", "sendVerificationEmail")).status, "OK");
      const [{ link }] = await server.messages(person.email, 1);
      const opened = await open(visitor, link);
      assert.equal((await opened.call("EmailVerification", "verifyEmail", {})).status, "OK");
      assert.deepEqual(await failed(tab), ["st-mfa", "2fa-completed"]);

      await complete(tab, person.phone);
      assert.equal(await failed(tab), 200);
      const again = await tab.call("EmailVerification", "sendVerificationEmail");
      assert.equal(again.status, "EMAIL_ALREADY_VERIFIED_ERROR");
    });

    scenario("a link opened in another browser verifies, opens nothing there, and the first tab sees it", async () => {
      const { tab, person } = await signedUp();
      await complete(tab, person.phone);
      assert.equal((await tab.call("EmailVerification", "sendVerificationEmail")).status, "OK");
      const [{ link }] = await server.messages(person.email, 1);

      const elsewhere = await arrive();
      const opened = await open(elsewhere, link);
      assert.equal((await opened.call("EmailVerification", "verifyEmail", {})).status, "OK");
      assert.equal(await opened.hasSession(), false);
      assert.equal(
        (await opened.call("EmailVerification", "verifyEmail", {})).status,
        "EMAIL_VERIFICATION_INVALID_TOKEN_ERROR",
      );

      assert.deepEqual(await tab.call("EmailVerification", "isEmailVerified"), { status: "OK", isVerified: true });
      assert.equal(await failed(tab), 200);
    });
  });
}

describe("pages that links lead to", () => {
  let server;

  before(async () => (server = await Server.start(REQUIRED)), LIMIT);
  after(() => server?.stop(), LIMIT);
  beforeEach(() => server.advance(3 * HOUR_S));

  const visit = async (options) => {
    const context = await browser.newContext(options);
    return { context, page: await context.newPage() };
  };

  const post = (page, path, body) =>
    page.evaluate(
      async ([path, body]) => {
        const headers = { "content-type": "application/json", "st-auth-mode": "cookie", rid: "x" };
        const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
        return answer.json();
      },
      [path, body],
    );

  const signUp = async (page, person) => {
    await page.goto(`${server.origin}/`);
    const formFields = [
      { id: "email", value: person.email },
      { id: "password", value: person.password },
    ];
    assert.equal((await post(page, "/auth/signup", { formFields })).status, "OK");
  };

  test("the demo's page verifies when it is told to, and not before", LIMIT, async () => {
    const [{ context, page }, person] = [await visit(), newPerson()];
    await signUp(page, person);
    assert.equal((await post(page, "/auth/user/email/verify/token", {})).status, "OK");
    const [{ link }] = await server.messages(person.email, 1);
    await page.goto(link);
    assert.equal(new URL(page.url()).search, "", "the token is out of the address");
    const verified = () => page.evaluate(async () => (await (await fetch("/auth/user/email/verify")).json()).isVerified);
    assert.equal(await verified(), false);
    await page.getByRole("button", { name: "Confirm my address" }).click();
    await page.getByText("your address is confirmed").waitFor();
    assert.equal(await verified(), true);
    await context.close();
  });

  test("an enrollment is undone by a page without script", LIMIT, async () => {
    const [{ context, page }, person] = [await visit(), newPerson()];
    await signUp(page, person);
    // Where addresses are verified, only one that was gets a link that changes the account.
    assert.equal((await post(page, "/auth/user/email/verify/token", {})).status, "OK");
    const [mail] = await server.messages(person.email, 1);
    const token = new URL(mail.link).searchParams.get("token");
    assert.equal((await post(page, "/auth/user/email/verify", { method: "token", token })).status, "OK");
    const { deviceId, preAuthSessionId } = await post(page, "/auth/signinup/code", { phoneNumber: person.phone });
    const [userInputCode] = await server.codes(person.phone, 1);
    const consumed = await post(page, "/auth/signinup/code/consume", { deviceId, preAuthSessionId, userInputCode });
    assert.equal(consumed.status, "OK");
    const link = await server.undoLink(person.email);

    const bare = await visit({ javaScriptEnabled: false });
    await bare.page.goto(link);
    await bare.page.getByRole("button").click();
    await bare.page.getByRole("heading", { name: "It is undone" }).waitFor();
    await bare.context.close();
    assert.equal(await page.evaluate(async () => (await fetch("/api/me", { cache: "no-store" })).status), 401);
    await context.close();
  });
});
