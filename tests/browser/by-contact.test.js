// Sign-in by a code and by a link, in the browser that asked and in another one: first by the unmodified client on a
// website of its own, then by hand on the demo's page.

import { strict as assert } from "node:assert";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";

import { launchBrowser } from "./harness/browser.js";
import { newPerson } from "./harness/person.js";
import { Server } from "./harness/server.js";
import { Site } from "./harness/site.js";
import { Visitor } from "./harness/visitor.js";

const HOUR_S = 3600;
/** Longer than a code or a link that signs in lives. */
const LIFE_S = 11 * 60;
/** No case takes so long; this only ends one that hangs. */
const LIMIT = { timeout: 60_000 };
/** How long a person waits for the page to change. */
const PATIENCE_MS = 15_000;
const FIRST_FACTORS = { STEPUP_FIRST_FACTORS: "emailpassword,otp-phone,otp-email,link-phone,link-email" };

let browser;
before(async () => (browser = await launchBrowser()), LIMIT);
after(() => browser?.close(), LIMIT);

for (const transfer of ["cookie", "header"]) {
  describe(`web-js signs in by a contact, tokens by ${transfer}`, () => {
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
      const visitor = await Visitor.arrive({ browser, server, transfer, pageUrl: `${site.origin}/` });
      visitors.push(visitor);
      return visitor;
    };

    /** Somebody who has asked for a message to `contact`, and the message. */
    const asked = async (contact) => {
      const visitor = await arrive();
      const answer = await visitor.tab.call("Passwordless", "createCode", contact);
      assert.equal(answer.status, "OK");
      assert.equal(answer.flowType, "USER_INPUT_CODE_AND_MAGIC_LINK");
      const [message] = await server.messages(contact.email ?? contact.phoneNumber, 1);
      return { visitor, message };
    };

    /** The way in by a link, as the page that it leads to takes it. */
    const enter = (tab) => tab.call("Passwordless", "consumeCode", {});

    before(async () => {
      visitors = [];
      site = await Site.start();
      server = await Server.start({ ...FIRST_FACTORS, STEPUP_WEBSITE_DOMAIN: site.origin });
    }, LIMIT);

    after(async () => {
      await server?.stop();
      await site?.stop();
    }, LIMIT);

    // All cases share one address. Hours between them keep them clear of each other's throttles.
    beforeEach(() => server.advance(3 * HOUR_S));

    afterEach(async () => {
      for (const visitor of visitors.splice(0)) await visitor.leave();
    });

    scenario("a code signs up and later in, by e-mail and by phone, and the second factor is still due", async () => {
      const person = newPerson();
      for (const contact of [{ email: person.email }, { phoneNumber: person.phone }]) {
        const { visitor, message } = await asked(contact);
        const first = await visitor.tab.consumeCode(message.code);
        assert.equal(first.status, "OK");
        assert.equal(first.createdNewRecipeUser, true);
        assert.equal(first.user.loginMethods[0].recipeId, "passwordless");
        assert.equal(await visitor.tab.hasSession(), true);
        assert.equal(await visitor.tab.call("Session", "getUserId"), first.user.id);
        assert.equal((await visitor.tab.payload())["2fa-completed"].v, false);

        await visitor.tab.signOut();
        await server.advance(3 * HOUR_S);
        assert.equal((await visitor.tab.call("Passwordless", "createCode", contact)).status, "OK");
        const address = contact.email ?? contact.phoneNumber;
        const again = await visitor.tab.consumeCode((await server.codes(address, 2)).at(-1));
        assert.equal(again.status, "OK");
        assert.equal(again.createdNewRecipeUser, false);
        assert.equal(again.user.id, first.user.id);
      }
    });

    scenario("a wrong code is counted, and the right one still signs in", async () => {
      const { visitor, message } = await asked({ email: newPerson().email });
      const wrong = message.code === "000000" ? "000001" : "000000";
      const answer = await visitor.tab.consumeCode(wrong);
      assert.equal(answer.status, "INCORRECT_USER_INPUT_CODE_ERROR");
      assert.equal(answer.failedCodeInputAttemptCount, 1);
      assert.equal(answer.maximumCodeInputAttempts, 5);
      assert.equal(await visitor.tab.hasSession(), false);
      assert.equal((await visitor.tab.consumeCode(message.code)).status, "OK");
      assert.equal(await visitor.tab.hasSession(), true);
    });

    scenario("a link signs in the browser that asked for it, once, and spends its code", async () => {
      const { visitor, message } = await asked({ email: newPerson().email });
      assert.ok(message.link.startsWith(`${site.origin}/auth/verify?`), message.link);
      const tab = await visitor.openTab(message.link);
      assert.equal(await tab.hasSession(), false, "opening it alone signs nobody in");
      assert.equal((await enter(tab)).status, "OK");
      assert.equal(await visitor.tab.hasSession(), true);

      await tab.signOut();
      const second = await visitor.openTab(message.link);
      assert.equal((await enter(second)).status, "RESTART_FLOW_ERROR");
      assert.equal(await second.hasSession(), false);
    });

    scenario("a link signs in the other browser that it is opened in, and not the one that asked", async () => {
      const { visitor, message } = await asked({ phoneNumber: newPerson().phone });
      const elsewhere = await arrive();
      const tab = await elsewhere.openTab(message.link);
      const { status, user } = await enter(tab);
      assert.equal(status, "OK");
      assert.equal(await tab.call("Session", "getUserId"), user.id);
      assert.equal(await visitor.tab.hasSession(), false);
      assert.equal((await visitor.tab.consumeCode(message.code)).status, "RESTART_FLOW_ERROR");
    });

    scenario("a link that is too old signs nobody in", async () => {
      const { visitor, message } = await asked({ email: newPerson().email });
      await server.advance(LIFE_S);
      const tab = await visitor.openTab(message.link);
      assert.equal((await enter(tab)).status, "RESTART_FLOW_ERROR");
      assert.equal(await tab.hasSession(), false);
    });
  });
}

describe("the demo's page for links", () => {
  let server, contexts, complaints;

  before(async () => {
    server = await Server.start(FIRST_FACTORS);
  }, LIMIT);
  after(() => server?.stop(), LIMIT);

  beforeEach(async () => {
    await server.advance(3 * HOUR_S);
    [contexts, complaints] = [[], []];
  });

  afterEach(async () => {
    for (const context of contexts) await context.close();
    // Neither a script error nor a breach of the page's own content policy.
    assert.deepEqual(complaints, []);
  });

  const open = async (url) => {
    const context = await browser.newContext();
    contexts.push(context);
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    page.on("pageerror", (error) => complaints.push(error.message));
    await page.goto(url);
    return page;
  };

  const ask = async (email) => {
    const page = await open(`${server.origin}/auth/verify`);
    await page.getByLabel("E-mail address or phone number").fill(email);
    await page.getByRole("button", { name: "Send me a message" }).click();
    await page.getByLabel("Code").waitFor();
    const [message] = await server.messages(email, 1);
    return { page, message };
  };

  const signedIn = async (page) => (await page.context().cookies()).some((cookie) => cookie.name === "sAccessToken");

  test("a link says whose it is and asks before it signs in, and leaves its secret out of the address", LIMIT, async () => {
    const { email } = newPerson();
    const { message } = await ask(email);
    const other = await open(message.link);
    const enter = other.getByRole("button", { name: "Sign in here" });
    await enter.waitFor();
    await other.getByText(email, { exact: true }).waitFor();
    assert.equal(other.url().includes("#"), false);
    assert.equal(await signedIn(other), false);
    await enter.click();
    await other.waitForURL(`${server.origin}/`);
    assert.equal(await signedIn(other), true);
  });

  test("another browser may show the code instead, which the one that asked then takes", LIMIT, async () => {
    const { page, message } = await ask(newPerson().email);
    const other = await open(message.link);
    await other.getByRole("button", { name: "Show the code instead" }).click();
    await other.getByText(message.code).waitFor();
    assert.equal(await signedIn(other), false);
    await page.getByLabel("Code").fill(message.code);
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await page.waitForURL(`${server.origin}/`);
    assert.equal(await signedIn(page), true);
    assert.equal(await signedIn(other), false);
  });

  test("a link that nobody asked for is left alone", LIMIT, async () => {
    const { page, message } = await ask(newPerson().email);
    const other = await open(message.link);
    await other.getByRole("button", { name: "That was not me" }).click();
    await other.getByText("Nothing was done.").waitFor();
    assert.equal(await signedIn(other), false);
    await page.getByLabel("Code").fill(message.code);
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await page.waitForURL(`${server.origin}/`);
  });
});
