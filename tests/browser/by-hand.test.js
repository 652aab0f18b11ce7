// The second factor by hand, through the unmodified client: a sign-in by code that completes the session of a password,
// instead of opening another one.

import { strict as assert } from "node:assert";
import { after, afterEach, before, describe, test } from "node:test";

import { launchBrowser } from "./harness/browser.js";
import { ByHand } from "./harness/by-hand.js";
import { newPerson, otherNumber, spelledDifferently } from "./harness/person.js";
import { GeneralError, HttpError, Visitor } from "./harness/visitor.js";

/** No case takes so long; this only ends one that hangs. */
const LIMIT = { timeout: 60_000 };

let browser;
before(async () => (browser = await launchBrowser()), LIMIT);
after(() => browser?.close(), LIMIT);

for (const transfer of ["cookie", "header"]) {
  describe(`web-js on the second factor by hand, tokens by ${transfer}`, () => {
    let server, visitors;

    const arrive = async () => {
      // Any document of the API's host will do: the client is put into the page.
      const pageUrl = `${server.origin}/auth/openapi.json`;
      const visitor = await Visitor.arrive({ browser, server, transfer, pageUrl });
      visitors.push(visitor);
      return visitor;
    };

    before(async () => {
      visitors = [];
      server = await ByHand.start();
    }, LIMIT);

    after(() => server?.stop(), LIMIT);

    afterEach(async () => {
      for (const visitor of visitors.splice(0)) await visitor.leave();
    });

    test("a code completes the session of the password, at sign-up and later, and keeps its user", LIMIT, async () => {
      const [{ tab }, person] = [await arrive(), newPerson()];
      const { user } = await tab.signUp(person.email, person.password);
      assert.equal(await tab.secondFactorClaim(), false);
      assert.equal((await tab.get("/api/secret")).status, 403);

      assert.equal((await tab.createCode(person.phone)).status, "OK");
      const code = await server.code(person.phone, 1);
      const wrong = await tab.consumeCode(code === "000000" ? "000001" : "000000");
      assert.equal(wrong.status, "INCORRECT_USER_INPUT_CODE_ERROR");
      assert.equal(await tab.secondFactorClaim(), false);
      const { sessionHandle } = await tab.payload();

      assert.equal((await tab.consumeCode(code)).status, "OK");
      assert.equal(await tab.secondFactorClaim(), true);
      assert.equal((await tab.payload()).sessionHandle, sessionHandle);
      assert.equal((await tab.payload()).phoneNumber, person.phone);
      assert.equal(await tab.call("Session", "getUserId"), user.id);
      assert.equal((await tab.get("/api/secret")).status, 200);
      await tab.page.reload();
      assert.equal(await tab.refresh(), true);
      assert.equal((await tab.get("/api/secret")).status, 200);

      await tab.signOut();
      assert.equal((await tab.signIn(person.email, person.password)).status, "OK");
      assert.equal(await tab.secondFactorClaim(), false);
      assert.equal((await tab.get("/api/secret")).status, 403);
      assert.equal((await tab.createCode(spelledDifferently(person.phone))).status, "OK");
      assert.equal((await tab.consumeCode(await server.code(person.phone, 2))).status, "OK");
      assert.equal(await tab.call("Session", "getUserId"), user.id);
      assert.equal((await tab.get("/api/secret")).status, 200);
    });

    test("whoever has the password cannot bring another number along", LIMIT, async () => {
      const [{ tab }, person] = [await arrive(), newPerson()];
      await tab.signUp(person.email, person.password);
      await tab.createCode(person.phone);
      assert.equal((await tab.consumeCode(await server.code(person.phone, 1))).status, "OK");

      const { tab: thief } = await arrive();
      assert.equal((await thief.signIn(person.email, person.password)).status, "OK");
      const sent = server.sent;
      await assert.rejects(thief.createCode(otherNumber()), GeneralError);
      assert.equal(server.sent, sent);
      assert.equal((await thief.get("/api/secret")).status, 403);
    });

    test("without a session a code opens none", LIMIT, async () => {
      const { tab } = await arrive();
      const sent = server.sent;
      await assert.rejects(tab.createCode(otherNumber()), (error) => error instanceof HttpError && error.status === 401);
      assert.equal(server.sent, sent);
      assert.equal(await tab.hasSession(), false);
    });
  });
}
