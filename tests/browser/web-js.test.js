// The unmodified npm package supertokens-web-js in a real Chromium against the demo server: with the page on the
// API's own origin and on another one, with the tokens in cookies and in headers. All four see the same behavior.

import { strict as assert } from "node:assert";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";

import { launchBrowser } from "./harness/browser.js";
import { newPerson, otherNumber, spelledDifferently } from "./harness/person.js";
import { Server } from "./harness/server.js";
import { Site } from "./harness/site.js";
import { Visitor } from "./harness/visitor.js";

const HOUR_S = 3600;
/** Longer than a complete session's access token lives, the leeway included. */
const ACCESS_LIFE_S = 16 * 60;
/** The same for a session that still lacks its second factor. */
const HALF_LOGIN_ACCESS_LIFE_S = 5 * 60;
const RESEND_INTERVAL_S = 15;
/** A refresh token that was replaced longer ago than this is answered no more. */
const GRACE_S = 30;

/** No case takes so long; this only ends one that hangs. */
const LIMIT = { timeout: 60_000 };

let browser;
before(async () => (browser = await launchBrowser()), LIMIT);
after(() => browser?.close(), LIMIT);

for (const origins of ["one origin", "two origins"]) {
  for (const transfer of ["cookie", "header"]) {
    describe(`web-js on ${origins}, tokens by ${transfer}`, () => {
      let server, site, visitors;

      /** A case; where it fails, what the server had to say is shown with it. */
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
        // On one origin the page is any document of the API's host. No request is intercepted or faked: the
        // client is a script that the browser itself puts into the page.
        const pageUrl = origins === "one origin" ? `${server.origin}/healthz` : `${site.origin}/`;
        const visitor = await Visitor.arrive({ browser, server, transfer, pageUrl });
        visitors.push(visitor);
        return visitor;
      };

      /** Somebody who has just signed up: the first factor alone. */
      const signedUp = async () => {
        const [visitor, person] = [await arrive(), newPerson()];
        const { tab } = visitor;
        assert.equal((await tab.signUp(person.email, person.password)).status, "OK");
        return { visitor, tab, person };
      };

      /** Somebody whose session is complete, and who has a stored phone number. */
      const enrolled = async () => {
        const { visitor, tab, person } = await signedUp();
        await completeByPhone(tab, person.phone, 1);
        return { visitor, tab, person };
      };

      /** An enrolled person who has signed in again and not yet given the code. */
      const signedInAgain = async () => {
        const { visitor, tab, person } = await enrolled();
        await tab.signOut();
        assert.equal((await tab.signIn(person.email, person.password)).status, "OK");
        return { visitor, tab, person };
      };

      /** `count` messages have gone to `phone` when this one has arrived. */
      const completeByPhone = async (tab, phone, count) => {
        assert.equal((await tab.createCode(phone)).status, "OK");
        const code = (await server.codes(phone, count)).at(-1);
        assert.equal((await tab.consumeCode(code)).status, "OK");
      };

      before(async () => {
        visitors = [];
        if (origins === "two origins") site = await Site.start();
        server = await Server.start(site ? { STEPUP_WEBSITE_DOMAIN: site.origin } : {});
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

      scenario("a visitor without a session costs one refresh call, also over a reload and a second tab", async () => {
        const visitor = await arrive();
        const answer = await visitor.tab.answerOf("/auth/session/refresh", () => visitor.tab.get("/api/optional"));
        assert.equal(answer.status, 401);
        assert.equal(answer.headers["front-token"], "remove");

        assert.equal(await visitor.tab.hasSession(), false);
        assert.equal((await visitor.tab.get("/api/me")).status, 401);
        assert.equal((await visitor.tab.get("/api/optional")).body.userId, null);
        await visitor.tab.page.reload();
        assert.equal(await visitor.tab.hasSession(), false);
        const second = await visitor.openTab();
        assert.equal((await second.get("/api/secret")).status, 401);

        assert.equal(visitor.refreshes, 1);
      });

      scenario("a forgotten password is replaced by a link, which signs nobody in and leaves the second factor due", async () => {
        const { tab, person } = await enrolled();
        const ask = { formFields: [{ id: "email", value: person.email }] };
        assert.equal((await tab.call("EmailPassword", "sendPasswordResetEmail", ask)).status, "OK");
        const [message] = await server.messages(person.email, 1);
        const { origin, pathname, search } = new URL(message.link);
        assert.equal(`${origin}${pathname}`, `${(site ?? server).origin}/auth/reset-password`);

        // The demo's own page takes the token out of the address: on its origin the client is given another page.
        const elsewhere = await arrive();
        const page = await elsewhere.openTab(site ? message.link : `${server.origin}/healthz${search}`);
        const password = "another horse battery";
        const set = () => page.call("EmailPassword", "submitNewPassword", { formFields: [{ id: "password", value: password }] });
        assert.equal((await set()).status, "OK");
        assert.equal(await page.hasSession(), false);
        assert.equal((await set()).status, "RESET_PASSWORD_INVALID_TOKEN_ERROR");

        assert.equal((await tab.get("/api/secret")).status, 401);
        assert.equal((await page.signIn(person.email, person.password)).status, "WRONG_CREDENTIALS_ERROR");
        assert.equal((await page.signIn(person.email, password)).status, "OK");
        assert.equal((await page.get("/api/secret")).status, 403);
        await completeByPhone(page, person.phone, 2);
        assert.equal((await page.get("/api/secret")).status, 200);
      });

      scenario("sign-up makes a session whose claim is false", async () => {
        const [visitor, person] = [await arrive(), newPerson()];
        const { tab } = visitor;
        const { status, user } = await tab.signUp(person.email, person.password);
        assert.equal(status, "OK");
        assert.deepEqual(user.emails, [person.email]);
        assert.deepEqual(user.phoneNumbers, []);
        assert.equal(user.loginMethods.length, 1);
        assert.equal(user.loginMethods[0].recipeId, "emailpassword");

        assert.equal(await tab.hasSession(), true);
        assert.equal(await tab.call("Session", "getUserId"), user.id);
        assert.equal(await tab.secondFactorClaim(), false);
        assert.deepEqual(await tab.failingClaims(), ["st-mfa"]);
        const payload = await tab.payload();
        assert.equal(payload.sub, user.id);
        assert.equal(payload["st-mfa"].v, false);
        assert.deepEqual(Object.keys(payload["st-mfa"].c), ["emailpassword"]);
        assert.ok(!("phoneNumber" in payload));
        assert.deepEqual((await tab.events()).filter((event) => event === "SESSION_CREATED"), ["SESSION_CREATED"]);

        const me = await tab.get("/api/me");
        assert.equal(me.status, 200);
        assert.equal(me.body.userId, user.id);
        assert.equal(me.body.sessionHandle, payload.sessionHandle);
      });

      scenario("sign-up names a malformed address and a short password, and makes no session", async () => {
        const { tab } = await arrive();
        const answer = await tab.signUp("not-an-address", "short");
        assert.equal(answer.status, "FIELD_ERROR");
        assert.deepEqual(answer.formFields.map((field) => field.id).sort(), ["email", "password"]);
        for (const field of answer.formFields) assert.ok(field.error.length > 0);
        assert.equal(await tab.hasSession(), false);
      });

      scenario("a second sign-up with the same address is an error on the address field", async () => {
        const { person } = await signedUp();
        const { tab } = await arrive();
        const answer = await tab.signUp(person.email, "Another-Quarry-Thistle-94");
        assert.equal(answer.status, "FIELD_ERROR");
        assert.deepEqual(answer.formFields.map((field) => field.id), ["email"]);
        assert.equal(await tab.hasSession(), false);
      });

      scenario("the exists calls know the address, and not a number that only is a second factor", async () => {
        const { person } = await enrolled();
        const { tab } = await arrive();
        const emailExists = async (email) => (await tab.call("EmailPassword", "doesEmailExist", { email })).doesExist;
        assert.equal(await emailExists(person.email), true);
        assert.equal(await emailExists(newPerson().email), false);
        const { doesExist } = await tab.call("Passwordless", "doesPhoneNumberExist", { phoneNumber: person.phone });
        assert.equal(doesExist, false);
      });

      scenario("a wrong password and an unknown address are refused alike; the right password signs in", async () => {
        const { person } = await signedUp();
        const { tab } = await arrive();
        const wrong = await tab.signIn(person.email, `${person.password}x`);
        const unknown = await tab.signIn(newPerson().email, person.password);
        assert.deepEqual(wrong, { status: "WRONG_CREDENTIALS_ERROR" });
        assert.deepEqual(unknown, wrong);
        assert.equal(await tab.hasSession(), false);

        assert.equal((await tab.signIn(person.email, person.password)).status, "OK");
        assert.equal(await tab.hasSession(), true);
        assert.equal(await tab.secondFactorClaim(), false);
      });

      for (const flag of [true, undefined]) {
        const said = flag ? "with the linking flag" : "without the linking flag";
        scenario(`a code by phone turns the claim true on the same session, ${said}`, async () => {
          const { visitor, tab, person } = await signedUp();
          const before = await tab.payload();
          const refreshTokenBefore = await visitor.refreshToken();

          const refused = await tab.get("/api/secret");
          assert.equal(refused.status, 403);
          assert.equal(refused.body.message, "invalid claim");
          const failing = refused.body.claimValidationErrors;
          assert.deepEqual(failing.map((error) => error.id).sort(), ["2fa-completed", "st-mfa"]);
          assert.deepEqual(failing.find((error) => error.id === "2fa-completed").reason, {
            message: "wrong value",
            expectedValue: true,
            actualValue: false,
          });
          assert.ok((await tab.events()).includes("API_INVALID_CLAIM"));
          assert.equal((await tab.post("/api/comment", { text: "too early" })).status, 403);

          const created = await tab.createCode(person.phone, flag);
          assert.equal(created.status, "OK");
          assert.equal(created.flowType, "USER_INPUT_CODE");
          const [code] = await server.codes(person.phone, 1);
          assert.match(code, /^\d{6}$/);
          const consumed = await tab.consumeCode(code);
          assert.equal(consumed.status, "OK");
          assert.ok(consumed.user.phoneNumbers.includes(person.phone));

          const payload = await tab.payload();
          assert.equal(payload.sessionHandle, before.sessionHandle);
          assert.equal(payload.sub, before.sub);
          assert.equal(await tab.secondFactorClaim(), true);
          assert.equal(payload["st-mfa"].v, true);
          assert.deepEqual(Object.keys(payload["st-mfa"].c).sort(), ["emailpassword", "otp-phone"]);
          assert.deepEqual(await tab.failingClaims(), []);
          assert.ok((await tab.events()).includes("ACCESS_TOKEN_PAYLOAD_UPDATED"));
          // ASVS 7.2.4: the higher assurance comes with new tokens.
          assert.notEqual(await visitor.refreshToken(), refreshTokenBefore);

          const secret = await tab.get("/api/secret");
          assert.equal(secret.status, 200);
          assert.equal(secret.body.userId, before.sub);
          const comment = await tab.post("/api/comment", { text: "now" });
          assert.equal(comment.status, 200);
          assert.deepEqual(comment.body, { saved: true, text: "now" });
          // One was the visitor's, before the sign-up.
          assert.equal(visitor.refreshes, 1);
        });
      }

      scenario("the next sign-in carries the stored number and asks for a code to it", async () => {
        const { tab, person } = await signedInAgain();
        const payload = await tab.payload();
        assert.equal(payload.phoneNumber, person.phone);
        assert.equal(await tab.secondFactorClaim(), false);
        assert.equal((await tab.get("/api/secret")).status, 403);

        await completeByPhone(tab, payload.phoneNumber, 2);
        assert.equal(await tab.secondFactorClaim(), true);
        assert.equal((await tab.payload()).phoneNumber, person.phone);
        assert.equal((await tab.payload()).sessionHandle, payload.sessionHandle);
        assert.equal((await tab.get("/api/secret")).status, 200);
      });

      scenario("the stored number is known in any spelling", async () => {
        const { tab, person } = await signedInAgain();
        assert.equal((await tab.createCode(spelledDifferently(person.phone), true)).status, "OK");
        const [, code] = await server.codes(person.phone, 2);
        assert.equal((await tab.consumeCode(code)).status, "OK");
        assert.equal((await tab.get("/api/secret")).status, 200);
      });

      scenario("another number than the stored one is refused with a message, and nothing is sent to it", async () => {
        const { tab, person } = await signedInAgain();
        const other = otherNumber();
        for (const flag of [true, undefined]) {
          await assert.rejects(tab.createCode(other, flag), (error) => {
            assert.equal(error.name, "GeneralError");
            assert.ok(error.message.length > 0);
            assert.ok(!error.message.includes(person.phone.slice(-4)), "the stored number is not given away");
            return true;
          });
        }
        // Messages leave in order: once the allowed one is there, the refused ones would be too.
        await completeByPhone(tab, person.phone, 2);
        assert.deepEqual(await server.messagesTo(other), []);
      });

      scenario("an address instead of a number is a malformed request", async () => {
        const { tab, person } = await signedUp();
        const create = tab.call("Passwordless", "createCode", { email: person.email });
        await assert.rejects(create, { name: "HttpError", status: 400 });
      });

      scenario("a code is asked for in vain without a session", async () => {
        const { tab } = await arrive();
        const phone = otherNumber();
        for (const flag of [true, undefined]) {
          await assert.rejects(tab.createCode(phone, flag), { name: "HttpError", status: 401 });
        }
        const { tab: allowed, person } = await signedUp();
        await completeByPhone(allowed, person.phone, 1);
        assert.deepEqual(await server.messagesTo(phone), []);
      });

      scenario("a second message can be had after fifteen seconds, and not before", async () => {
        const { tab, person } = await signedUp();
        assert.equal((await tab.createCode(person.phone, true)).status, "OK");
        await assert.rejects(tab.resendCode(), { name: "GeneralError" });

        await server.advance(RESEND_INTERVAL_S + 1);
        assert.deepEqual(await tab.resendCode(), { status: "OK" });
        const codes = await server.codes(person.phone, 2);
        assert.equal((await tab.consumeCode(codes[1])).status, "OK");
        assert.equal(await tab.secondFactorClaim(), true);
      });

      scenario("the first code still works after a second message", async () => {
        const { tab, person } = await signedUp();
        await tab.createCode(person.phone, true);
        await server.advance(RESEND_INTERVAL_S + 1);
        await tab.resendCode();
        const [first] = await server.codes(person.phone, 2);
        assert.equal((await tab.consumeCode(first)).status, "OK");
      });

      scenario("a code works once", async () => {
        const { tab, person } = await signedUp();
        await tab.createCode(person.phone, true);
        const [code] = await server.codes(person.phone, 1);
        assert.equal((await tab.consumeCode(code)).status, "OK");
        assert.equal((await tab.consumeCode(code)).status, "RESTART_FLOW_ERROR");
        assert.equal((await tab.get("/api/secret")).status, 200);
      });

      scenario("the fifth wrong code restarts the flow, and the session lives on without its second factor", async () => {
        const { visitor, tab, person } = await signedUp();
        const { sessionHandle } = await tab.payload();
        const refreshToken = await visitor.refreshToken();
        await tab.createCode(person.phone, true);
        const [right] = await server.codes(person.phone, 1);
        const wrong = right === "000000" ? "000001" : "000000";

        for (const failed of [1, 2, 3, 4]) {
          assert.deepEqual(await tab.consumeCode(wrong), {
            status: "INCORRECT_USER_INPUT_CODE_ERROR",
            failedCodeInputAttemptCount: failed,
            maximumCodeInputAttempts: 5,
          });
        }
        assert.equal((await tab.consumeCode(wrong)).status, "RESTART_FLOW_ERROR");

        assert.equal(await tab.hasSession(), true);
        assert.equal(await tab.secondFactorClaim(), false);
        assert.equal((await tab.get("/api/secret")).status, 403);
        assert.equal((await tab.get("/api/me")).body.sessionHandle, sessionHandle);
        assert.equal(await visitor.refreshToken(), refreshToken);

        // Past the delay that five failures earn: the code that was right is dead, not merely slowed down.
        await server.advance(60);
        assert.equal((await tab.consumeCode(right)).status, "RESTART_FLOW_ERROR");
        assert.equal((await tab.createCode(person.phone, true)).status, "OK");
        const [, code] = await server.codes(person.phone, 2);
        // That one counted too: whoever tries is charged before anything is looked at.
        await assert.rejects(tab.consumeCode(code), { name: "GeneralError" });
        await server.advance(60);
        assert.equal((await tab.consumeCode(code)).status, "OK");
        assert.equal((await tab.payload()).sessionHandle, sessionHandle);
      });

      scenario("a reload comes back to the code that was asked for before it", async () => {
        const { tab, person } = await signedUp();
        await tab.createCode(person.phone, true);
        await tab.page.reload();
        assert.equal(await tab.hasSession(), true);
        const [code] = await server.codes(person.phone, 1);
        assert.equal((await tab.consumeCode(code)).status, "OK");
        assert.equal(await tab.secondFactorClaim(), true);
      });

      scenario("mfa/info tells what is next, what is set up, and the stored number", async () => {
        const { tab, person } = await signedUp();
        const fresh = await tab.mfaInfo();
        assert.equal(fresh.status, "OK");
        assert.deepEqual(fresh.factors.next, ["otp-phone"]);
        assert.deepEqual(fresh.factors.alreadySetup, ["emailpassword"]);
        assert.deepEqual(fresh.factors.allowedToSetup, ["otp-phone"]);
        assert.deepEqual(fresh.emails.emailpassword, [person.email]);
        assert.deepEqual(fresh.phoneNumbers["otp-phone"] ?? [], []);

        await completeByPhone(tab, person.phone, 1);
        const complete = await tab.mfaInfo();
        assert.deepEqual(complete.factors.next, []);
        assert.deepEqual(complete.factors.alreadySetup, ["emailpassword", "otp-phone"]);
        assert.equal(await tab.secondFactorClaim(), true);

        await tab.signOut();
        await tab.signIn(person.email, person.password);
        const again = await tab.mfaInfo();
        assert.deepEqual(again.factors.next, ["otp-phone"]);
        assert.deepEqual(again.factors.alreadySetup, ["emailpassword", "otp-phone"]);
        assert.deepEqual(again.factors.allowedToSetup, []);
        assert.deepEqual(again.phoneNumbers["otp-phone"], [person.phone]);
        assert.equal(await tab.secondFactorClaim(), false);
      });

      scenario("the payload that scripts see is the payload of the access token", async () => {
        const { visitor, tab } = await enrolled();
        const token = await visitor.accessToken();
        const jwtPayload = Buffer.from(token.split(".")[1], "base64url").toString();
        const frontToken = Buffer.from((await visitor.cookie("sFrontToken")).value, "base64").toString();
        const { uid, ate, up, ...rest } = JSON.parse(frontToken);
        assert.deepEqual(rest, {});
        // As text, because one server-side renderer compares the two as text.
        assert.equal(JSON.stringify(up), JSON.stringify(JSON.parse(jwtPayload)));
        assert.equal(uid, up.sub);
        assert.equal(ate, up.exp * 1000);
        assert.deepEqual(await tab.payload(), up);
      });

      scenario("requests in parallel at the end of the access token's life cause one refresh", async () => {
        const { visitor, tab } = await enrolled();
        const before = await tab.payload();
        await server.advance(ACCESS_LIFE_S);

        const refreshes = await visitor.refreshesDuring(async () => {
          const answers = await tab.getManyAtOnce("/api/secret", 8);
          assert.deepEqual(answers.map((answer) => answer.status), Array(8).fill(200));
        });
        assert.equal(refreshes, 1);

        const payload = await tab.payload();
        assert.equal(payload.sessionHandle, before.sessionHandle);
        assert.ok(payload.exp > before.exp);
        assert.equal(await tab.secondFactorClaim(), true);
        assert.deepEqual(payload["2fa-completed"], before["2fa-completed"]);
        assert.ok((await tab.events()).includes("REFRESH_SESSION"));
      });

      scenario("two tabs whose access token has ended cause one refresh between them", async () => {
        const { visitor, tab } = await enrolled();
        const second = await visitor.openTab();
        await server.advance(ACCESS_LIFE_S);

        const refreshes = await visitor.refreshesDuring(async () => {
          const answers = await Promise.all([tab, second].map((each) => each.getManyAtOnce("/api/secret", 4)));
          assert.deepEqual(answers.flat().map((answer) => answer.status), Array(8).fill(200));
        });
        assert.equal(refreshes, 1);
      });

      scenario("a session that lacks its second factor is refreshed too, and still lacks it", async () => {
        const { visitor, tab, person } = await signedInAgain();
        const before = await tab.payload();
        await server.advance(HALF_LOGIN_ACCESS_LIFE_S);

        const refreshes = await visitor.refreshesDuring(async () => {
          assert.equal((await tab.get("/api/secret")).status, 403);
        });
        assert.equal(refreshes, 1);
        const payload = await tab.payload();
        assert.equal(payload.sessionHandle, before.sessionHandle);
        assert.ok(payload.exp > before.exp);
        assert.equal(await tab.secondFactorClaim(), false);
        assert.equal(payload.phoneNumber, person.phone);
      });

      scenario("a refresh whose answer was lost can be repeated", async () => {
        const { visitor, tab } = await enrolled();
        const lost = await server.refresh(transfer, await visitor.refreshToken(), await userAgent(tab));
        assert.equal(lost.status, 200);

        assert.equal(await tab.refresh(), true);
        assert.equal((await tab.get("/api/secret")).status, 200);
        await server.advance(GRACE_S + 1);
        assert.equal(await tab.refresh(), true);
        assert.equal(await tab.hasSession(), true);
      });

      scenario("an old refresh token, presented after the grace, ends the session", async () => {
        const { visitor, tab } = await enrolled();
        const old = await visitor.refreshToken();
        await server.advance(ACCESS_LIFE_S);
        assert.equal((await tab.get("/api/secret")).status, 200);
        const current = await visitor.refreshToken();
        assert.notEqual(current, old);

        await server.advance(ACCESS_LIFE_S);
        await visitor.plantRefreshToken(old);
        await endsTheSession(visitor, tab, current, () => tab.get("/api/secret"));
      });

      scenario("a refresh token from before the last but one rotation ends the session at once", async () => {
        const { visitor, tab } = await enrolled();
        const old = await visitor.refreshToken();
        assert.equal(await tab.refresh(), true);
        assert.equal(await tab.refresh(), true);
        const current = await visitor.refreshToken();

        await visitor.plantRefreshToken(old);
        await endsTheSession(visitor, tab, current, () => tab.refresh());
      });

      /** `act` makes the client refresh with the old token, which must end the session on both sides. */
      const endsTheSession = async (visitor, tab, current, act) => {
        const answer = await tab.answerOf("/auth/session/refresh", act);
        assert.equal(answer.status, 401);
        assert.equal(answer.headers["front-token"], "remove");

        const refreshes = await visitor.refreshesDuring(async () => {
          assert.equal(await tab.hasSession(), false);
          assert.equal((await tab.get("/api/secret")).status, 401);
        });
        assert.equal(refreshes, 0);
        assert.ok((await tab.events()).includes("UNAUTHORISED"));
        await assertNoTokens(visitor);
        // Whoever holds the newest token is out as well: nobody can tell which of the two is the owner.
        assert.equal((await server.refresh(transfer, current, await userAgent(tab))).status, 401);
      };

      const assertNoTokens = async (visitor) => {
        const tokens = ["sAccessToken", "sFrontToken", "sRefreshToken", "st-access-token", "st-refresh-token"];
        const names = await visitor.cookieNames();
        assert.deepEqual(tokens.filter((name) => names.includes(name)), []);
      };

      for (const [when, present] of [
        ["a complete session", () => enrolled()],
        ["a session that lacks its second factor", () => signedUp()],
      ]) {
        scenario(`sign-out ends ${when} on both sides`, async () => {
          const { visitor, tab } = await present();
          const refreshToken = await visitor.refreshToken();
          await tab.signOut();

          assert.equal(await tab.hasSession(), false);
          assert.ok((await tab.events()).includes("SIGN_OUT"));
          await assertNoTokens(visitor);
          const refreshes = await visitor.refreshesDuring(async () => {
            assert.equal((await tab.get("/api/me")).status, 401);
          });
          assert.equal(refreshes, 0);
          assert.equal((await server.refresh(transfer, refreshToken, await userAgent(tab))).status, 401);
        });
      }

      if (transfer === "cookie") {
        scenario("the tokens are in cookies that no script can read", async () => {
          const { visitor, tab } = await enrolled();
          const access = await visitor.cookie("sAccessToken");
          const refresh = await visitor.cookie("sRefreshToken");
          const common = { domain: "localhost", httpOnly: true, secure: false, sameSite: "Lax" };
          assert.deepEqual(pick(access, Object.keys(common)), common);
          assert.deepEqual(pick(refresh, Object.keys(common)), common);
          assert.equal(access.path, "/");
          assert.equal(refresh.path, "/auth/session/refresh");
          // The access cookie outlives its token: its presence is what makes the client try a refresh.
          const now = Date.now() / 1000;
          assert.ok(access.expires > now + 300 * 24 * HOUR_S);
          assert.ok(refresh.expires > now);

          const seen = await tab.page.evaluate(() => document.cookie);
          assert.ok(!seen.includes("sAccessToken") && !seen.includes("sRefreshToken"));
          assert.ok(!(await visitor.cookieNames()).some((name) => /^st-(access|refresh)-token$/.test(name)));
        });

        scenario("the refresh cookie goes to the refresh endpoint alone", async () => {
          const { tab } = await enrolled();
          const [elsewhere] = await Promise.all([tab.page.waitForRequest("**/api/secret"), tab.get("/api/secret")]);
          assert.ok((await elsewhere.allHeaders()).cookie.includes("sAccessToken="));
          assert.ok(!(await elsewhere.allHeaders()).cookie.includes("sRefreshToken="));
          const [there] = await Promise.all([tab.page.waitForRequest("**/auth/session/refresh"), tab.refresh()]);
          assert.ok((await there.allHeaders()).cookie.includes("sRefreshToken="));
        });

        scenario("a page on another port of the same host can neither read an answer nor end the session", async () => {
          const { visitor, tab } = await enrolled();
          const stranger = await Site.start();
          try {
            // Cookies ignore the port, so the browser sends them; the server has to look at the origin.
            const other = await visitor.openTab(`${stranger.origin}/`);
            await assert.rejects(other.get("/api/secret"), /Failed to fetch/);
            await other.page.evaluate(
              (url) => window.__supertokensOriginalFetch(url, { method: "POST", mode: "no-cors", credentials: "include" }),
              `${server.origin}/auth/signout`,
            );
          } finally {
            await stranger.stop();
          }
          assert.equal((await tab.get("/api/secret")).status, 200);
          assert.equal(await tab.refresh(), true);
        });
      } else {
        scenario("the tokens are in the client's own keeping and in no cookie of the server's", async () => {
          const { visitor, tab } = await enrolled();
          assert.equal(await tab.call("Session", "getAccessToken"), await visitor.accessToken());
          const names = await visitor.cookieNames();
          assert.ok(!names.includes("sAccessToken") && !names.includes("sRefreshToken"));
        });
      }
    });
  }
}

/** The server tells a copied token from the browser's own by network and user agent; here both are the same. */
function userAgent(tab) {
  return tab.page.evaluate(() => navigator.userAgent);
}

function pick(object, keys) {
  return Object.fromEntries(keys.map((key) => [key, object[key]]));
}
