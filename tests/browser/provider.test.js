// Sign-in by a provider that nobody here wrote, by the unmodified client and by the demo's own page: to the provider, yes, and
// back; then the code by SMS, and what is behind both.

import { strict as assert } from "node:assert";
import { createServer } from "node:net";
import { after, afterEach, before, describe, test } from "node:test";

import { launchBrowser } from "./harness/browser.js";
import { startOpenIdProvider } from "./harness/openid-provider.js";
import { newPerson } from "./harness/person.js";
import { Server } from "./harness/server.js";
import { Site } from "./harness/site.js";
import { Visitor } from "./harness/visitor.js";

const LIMIT = { timeout: 60_000 };
const PATIENCE_MS = 15_000;
const HOUR_S = 3600;

/** The provider has to know where browsers come back to, and the server who the provider is: so the port comes first. */
const freePort = () =>
  new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject).listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });

/** A provider, and a server that knows it. `origin` is that of the pages, the server's own if none. */
async function startBoth(origin) {
  const port = await freePort();
  const callback = `${origin ?? `http://localhost:${port}`}/auth/callback/example`;
  const provider = await startOpenIdProvider([callback]);
  const server = await Server.start({
    STEPUP_LISTEN: `127.0.0.1:${port}`,
    STEPUP_OIDC_ISSUER: provider.issuer,
    STEPUP_OIDC_CLIENT_ID: provider.client.id,
    STEPUP_OIDC_CLIENT_SECRET: provider.client.secret,
    ...(origin && { STEPUP_WEBSITE_DOMAIN: origin }),
  });
  return { provider, server, callback };
}

/** Signs in on the provider's own pages, and agrees. */
async function agree(page, login, callback) {
  await page.locator("input[name=login]").fill(login);
  await page.locator("input[name=password]").fill("any password is right");
  await page.locator("[type=submit]").click();
  await page.locator("input[name=prompt][value=consent]").waitFor({ state: "attached" });
  const [back] = await Promise.all([
    page.waitForRequest((request) => request.url().startsWith(callback)),
    page.waitForURL(`${callback}**`),
    page.locator("[type=submit]").click(),
  ]);
  return back.url();
}

/** The same, for a client that reads the address: the demo's own page, where it is the one, has taken the code out of it. */
async function agreeAndKeep(page, login, callback) {
  const back = await agree(page, login, callback);
  await page.evaluate((address) => history.replaceState(null, "", address), back);
  return back;
}

let browser;
before(async () => (browser = await launchBrowser()), LIMIT);
after(() => browser?.close(), LIMIT);

for (const origins of ["one origin", "two origins"]) {
  for (const transfer of ["cookie", "header"]) {
    describe(`web-js and a provider on ${origins}, tokens by ${transfer}`, () => {
      let site, provider, server, callback;
      const visitors = [];

      before(async () => {
        site = origins === "two origins" ? await Site.start() : undefined;
        ({ provider, server, callback } = await startBoth(site?.origin));
      }, LIMIT);
      afterEach(() => Promise.all(visitors.splice(0).map((visitor) => visitor.leave())), LIMIT);
      after(async () => {
        await server?.stop();
        await provider?.stop();
        await site?.stop();
      }, LIMIT);

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
        const pageUrl = site ? `${site.origin}/` : `${server.origin}/healthz`;
        const visitor = await Visitor.arrive({ browser, server, transfer, pageUrl });
        visitors.push(visitor);
        return visitor.tab;
      };

      const leave = (tab) =>
        tab.call("ThirdParty", "getAuthorisationURLWithQueryParamsAndSetState", {
          thirdPartyId: "example",
          frontendRedirectURI: callback,
        });

      /** To the provider and back: what the client says. */
      const byProvider = async (tab, login) => {
        await tab.page.goto(await leave(tab));
        await agreeAndKeep(tab.page, login, callback);
        return tab.call("ThirdParty", "signInAndUp", {});
      };

      scenario("a provider, then the code by SMS, then what is behind both", async () => {
        const person = newPerson();
        const tab = await arrive();
        const answer = await byProvider(tab, "ann");
        assert.equal(answer.status, "OK");
        assert.equal(answer.createdNewRecipeUser, true);
        assert.deepEqual(answer.user.thirdParty, [{ id: "example", userId: "ann" }]);
        assert.deepEqual(answer.user.emails, ["ann@example.test"]);
        assert.equal(await tab.secondFactorClaim(), false);
        assert.equal((await tab.get("/api/secret")).status, 403);
        assert.equal((await tab.createCode(person.phone)).status, "OK");
        const code = (await server.codes(person.phone, 1)).at(-1);
        assert.equal((await tab.consumeCode(code)).status, "OK");
        assert.equal(await tab.secondFactorClaim(), true);
        assert.equal((await tab.get("/api/secret")).status, 200);

        // In another browser the provider alone is not enough.
        await server.advance(HOUR_S);
        const elsewhere = await arrive();
        const again = await byProvider(elsewhere, "ann");
        assert.equal(again.createdNewRecipeUser, false);
        assert.equal(again.user.id, answer.user.id);
        assert.equal(await elsewhere.secondFactorClaim(), false);
        assert.equal((await elsewhere.get("/api/secret")).status, 403);
        assert.equal((await elsewhere.createCode(person.phone)).status, "OK");
        const second = (await server.codes(person.phone, 2)).at(-1);
        assert.equal((await elsewhere.consumeCode(second)).status, "OK");
        assert.equal((await elsewhere.get("/api/secret")).status, 200);
      });

      scenario("the way back of somebody else opens nothing", async () => {
        const theirs = await arrive();
        await theirs.page.goto(await leave(theirs));
        const back = await agreeAndKeep(theirs.page, "ben", callback);
        const alices = await arrive();
        // Her client is under way itself, and made to take the foreign way back for its own.
        await leave(alices);
        await alices.page.goto(back);
        await alices.page.evaluate((address) => history.replaceState(null, "", address), back);
        const theirState = new URL(back).searchParams.get("state");
        await alices.page.evaluate((state) => {
          const key = Object.keys(sessionStorage).find((name) => name.includes("supertokens-oauth-state"));
          const kept = JSON.parse(sessionStorage.getItem(key));
          sessionStorage.setItem(key, JSON.stringify({ ...kept, stateForAuthProvider: state }));
        }, theirState);
        await assert.rejects(alices.call("ThirdParty", "signInAndUp", {}), { name: "GeneralError" });
        assert.equal(await alices.hasSession(), false);
        assert.equal((await theirs.call("ThirdParty", "signInAndUp", {})).status, "OK");
      });
    });
  }
}

describe("the demo's page and a provider", () => {
  let provider, server, callback, context;

  before(async () => ({ provider, server, callback } = await startBoth()), LIMIT);
  afterEach(() => context?.close(), LIMIT);
  after(async () => {
    await server?.stop();
    await provider?.stop();
  }, LIMIT);

  test("continue with Example, then the code, then inside", LIMIT, async () => {
    const complaints = [];
    context = await browser.newContext();
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    page.on("pageerror", (error) => complaints.push(error.message));
    await page.goto(server.origin);
    await page.getByRole("button", { name: "Continue with Example" }).click();
    await agree(page, "ann", callback);
    await page.getByRole("heading", { name: "Second, your phone" }).waitFor();
    assert.equal(new URL(page.url()).pathname, "/", "the code is out of the address");
    const { phone } = newPerson();
    await page.locator("#phone").fill(phone);
    await page.locator("#phone-form button").click();
    await page.getByRole("heading", { name: "Enter the code" }).waitFor();
    await page.locator("#code").fill((await server.codes(phone, 1)).at(-1));
    await page.locator("#code-form button:not([type])").click();
    await page.getByRole("heading", { name: "You are in" }).waitFor();
    assert.deepEqual(complaints, []);
  });

  test("a way back that was not begun in this tab opens nothing", LIMIT, async () => {
    context = await browser.newContext();
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    await page.goto(`${callback}?code=foreign&state=foreign`);
    await page.getByRole("heading", { name: "First, a password" }).waitFor();
    assert.equal(page.url(), `${server.origin}/`, "the code is out of the address");
    assert.deepEqual((await context.cookies()).map((cookie) => cookie.name), []);
  });
});
