// The demo's own page, used as a person would: by what is written on it. It has no client but its own script.

import { strict as assert } from "node:assert";
import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";

import { launchBrowser } from "./harness/browser.js";
import { newPerson } from "./harness/person.js";
import { Server } from "./harness/server.js";

const SCREENSHOTS = process.env.STEPUP_SCREENSHOTS ?? path.join(tmpdir(), "stepup-screenshots");
const LIMIT = { timeout: 60_000 };
/** How long a person waits for the page to change. */
const PATIENCE_MS = 15_000;
const HOUR_S = 3600;

describe("the demo's page", () => {
  let browser, server, context, page, complaints;

  before(async () => {
    await mkdir(SCREENSHOTS, { recursive: true });
    server = await Server.start();
    browser = await launchBrowser();
  }, LIMIT);

  after(async () => {
    await browser?.close();
    await server?.stop();
  }, LIMIT);

  beforeEach(async () => {
    await server.advance(3 * HOUR_S);
    context = await browser.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: "reduce" });
    page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    complaints = [];
    page.on("pageerror", (error) => complaints.push(error.message));
    page.on("console", (message) => {
      // The browser notes every 401 and 403 as a failed resource; those are answers here.
      if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) {
        complaints.push(message.text());
      }
    });
    await page.goto(server.origin);
    await page.getByRole("heading", { name: "First, a password" }).waitFor();
  });

  afterEach(async () => {
    await context?.close();
    // Neither a script error nor a breach of the page's own content policy.
    assert.deepEqual(complaints, []);
  });

  const walk = (sentence, act) =>
    test(sentence, LIMIT, async (t) => {
      try {
        await act();
      } catch (error) {
        await screenshot(`failed: ${sentence}`);
        t.diagnostic(`screenshots are in ${SCREENSHOTS}; the server's last lines:\n${server.log}`);
        throw error;
      }
    });

  const screenshot = (name) =>
    page.screenshot({ path: path.join(SCREENSHOTS, `${name.replaceAll(/[^\w-]+/g, "-")}.png`), fullPage: true });

  const button = (name) => page.getByRole("button", { name, exact: true });
  const isAt = (heading) => page.getByRole("heading", { name: heading }).waitFor();

  const signUp = async ({ email, password }) => {
    const form = page.getByRole("tabpanel", { name: "Create account" });
    await form.getByLabel("E-mail").fill(email);
    await form.getByLabel("Password", { exact: true }).fill(password);
    await form.getByRole("button", { name: "Create account" }).click();
  };

  const signIn = async ({ email, password }) => {
    await page.getByRole("tab", { name: "Sign in" }).click();
    const form = page.getByRole("tabpanel", { name: "Sign in" });
    await form.getByLabel("E-mail").fill(email);
    await form.getByLabel("Password", { exact: true }).fill(password);
    await form.getByRole("button", { name: "Sign in" }).click();
  };

  const givePhone = async (phone) => {
    await page.getByLabel("Phone number").fill(phone);
    await button("Send the code").click();
  };

  const giveCode = async (code) => {
    await page.getByLabel("Code", { exact: true }).fill(code);
    await button("Confirm").click();
  };

  const enrolled = async () => {
    const person = newPerson();
    await signUp(person);
    await givePhone(person.phone);
    await giveCode((await server.codes(person.phone, 1))[0]);
    await isAt("You are in");
    return person;
  };

  walk("a person signs up, adds a phone, gets in, and next time is asked for a code to that phone", async () => {
    await screenshot("1 first visit");
    const person = newPerson();
    await signUp(person);
    await isAt("Second, your phone");
    await page.getByText("One factor").waitFor();
    await screenshot("2 phone");

    await givePhone(person.phone);
    await isAt("Enter the code");
    const [code] = await server.codes(person.phone, 1);
    await screenshot("3 code");

    await giveCode(code);
    await isAt("You are in");
    await page.getByText("Both factors", { exact: true }).waitFor();
    await page.getByText("Both factors are proved").waitFor();
    await screenshot("4 inside");

    await button("Sign out").click();
    await page.getByText("You are signed out.").waitFor();
    await screenshot("5 signed out");

    // The phone is known now: no field for it, the code is on its way at once.
    await signIn(person);
    await isAt("Enter the code");
    assert.equal(await page.getByLabel("Phone number").isVisible(), false);
    assert.ok((await page.getByText("It was sent to").innerText()).includes(person.phone.slice(-2)));
    const [, again] = await server.codes(person.phone, 2);
    await screenshot("6 code again");
    await giveCode(again);
    await isAt("You are in");
    await page.getByText("Both factors are proved").waitFor();

    await page.reload();
    await isAt("You are in");
  });

  walk("the message can be read on the page itself", async () => {
    const person = newPerson();
    await signUp(person);
    await givePhone(person.phone);
    await isAt("Enter the code");
    const [code] = await server.codes(person.phone, 1);
    await page.getByRole("banner").getByRole("button", { name: "Messages" }).click();
    await button("Show messages").click();
    await screenshot("messages");
    await button(`Use ${code}`).click();
    await button("Confirm").click();
    await isAt("You are in");
  });

  walk("mistakes are told beside the field they were made in", async () => {
    await signUp({ email: "not-an-address", password: "short" });
    const form = page.getByRole("tabpanel", { name: "Create account" });
    await form.locator("[aria-invalid=true]").nth(1).waitFor();
    assert.equal(await form.getByLabel("E-mail").getAttribute("aria-invalid"), "true");
    assert.equal(await form.getByLabel("Password", { exact: true }).getAttribute("aria-invalid"), "true");
    await screenshot("mistake sign-up");

    await signIn(newPerson());
    await page.getByText("The e-mail or the password is wrong.").waitFor();
    await screenshot("mistake sign-in");
  });

  walk("wrong codes are counted, and the fifth one starts over", async () => {
    const person = newPerson();
    await signUp(person);
    await givePhone(person.phone);
    const [code] = await server.codes(person.phone, 1);
    const wrong = code === "000000" ? "000001" : "000000";
    for (const left of ["4 attempts are left.", "3 attempts are left.", "2 attempts are left.", "One attempt is left."]) {
      await giveCode(wrong);
      await page.getByText(left).waitFor();
    }
    await screenshot("mistake code");
    await giveCode(wrong);
    await page.getByRole("alert").getByText("Ask for a new one.").waitFor();
    await screenshot("start over");

    await server.advance(60);
    await givePhone(person.phone);
    await giveCode((await server.codes(person.phone, 2))[1]);
    await isAt("You are in");
  });

  walk("an interrupted sign-up goes on with the phone, and a number that is none is refused", async () => {
    const person = newPerson();
    await signUp(person);
    await isAt("Second, your phone");
    await button("Sign out").click();
    await signIn(person);
    await isAt("Second, your phone");

    await givePhone("12345");
    await page.locator("[aria-invalid=true]").waitFor();
    await screenshot("mistake phone");
    await givePhone(person.phone);
    await giveCode((await server.codes(person.phone, 1))[0]);
    await isAt("You are in");
  });

  walk("a transfer is refused once the second factor is five minutes old, and goes through after a new code", async () => {
    const person = await enrolled();
    await button("Call POST /api/transfer").click();
    await page.getByText("The guard lets this session pass.").waitFor();

    await button("+ 5 min").click();
    await page.getByText(/^It now says/).waitFor();
    await button("Call POST /api/transfer").click();
    await isAt("Confirm that it is you");
    await screenshot("step-up");
    await button("Send the code").click();
    await isAt("Enter the code");
    await giveCode((await server.codes(person.phone, 2))[1]);
    await page.getByText("The guard lets this session pass.").waitFor();
  });

  walk("where mailboxes are a second factor too, a person takes one, and next time gets a code there", async () => {
    const both = await Server.start({ STEPUP_SECOND_FACTORS: "otp-phone,otp-email" });
    try {
      await page.goto(both.origin);
      const person = newPerson();
      const mailbox = `codes-of-${person.email}`;
      await signUp(person);
      await isAt("Second, your phone");
      await button("Use an e-mail address instead").click();
      await isAt("Second, a mailbox");
      await page.getByText("Best not the one that you sign in with").waitFor();
      await screenshot("mailbox");
      await page.getByLabel("E-mail address for codes").fill(mailbox);
      await page.getByRole("group", { name: "Second, a mailbox" }).getByRole("button", { name: "Send the code" }).click();
      await isAt("Enter the code");
      assert.ok((await page.getByText("It was sent to").innerText()).includes("@example.com"));
      await giveCode((await both.codes(mailbox, 1))[0]);
      await isAt("You are in");
      await page.getByText("Code by e-mail: proved at").waitFor();
      await screenshot("mailbox inside");

      await both.advance(60);
      await button("Sign out").click();
      await signIn(person);
      await isAt("Enter the code");
      await giveCode((await both.codes(mailbox, 2))[1]);
      await isAt("You are in");
    } finally {
      await both.stop();
    }
  });

  walk("the flow can be walked on a small screen", async () => {
    await page.setViewportSize({ width: 360, height: 740 });
    await screenshot("small first visit");
    await enrolled();
    await screenshot("small inside");
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(overflow <= 0, "nothing is cut off to the right");
  });
});
