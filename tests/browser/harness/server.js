// A demo server of its own for each set-up: its own port, its own database, a clock that the tests move.

import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";

const START_LIMIT_MS = 30_000;
const DELIVERY_LIMIT_MS = 5_000;
const POLL_MS = 20;

export class Server {
  #child;
  #folder;
  #log;

  constructor(child, folder, log, port) {
    this.#child = child;
    this.#folder = folder;
    this.#log = log;
    // Sites are written with host names: cookies, CORS and the clients all go by them.
    this.origin = `http://localhost:${port}`;
  }

  /** Starts the binary that `STEPUP_DEMO` names, on whatever framework it is, with `env` on top of what every set-up needs. */
  static async start(env = {}) {
    const binary = process.env.STEPUP_DEMO;
    if (!binary) throw new Error("STEPUP_DEMO must name a demo server's binary");

    const folder = await mkdtemp(path.join(tmpdir(), "stepup-browser-"));
    const child = spawn(path.resolve(binary), {
      cwd: folder,
      env: {
        ...withoutStepup(process.env),
        STEPUP_LISTEN: "127.0.0.1:0",
        STEPUP_DATABASE_URL: `sqlite://${path.join(folder, "demo.sqlite")}?mode=rwc`,
        STEPUP_DEMO_CLOCK: "1",
        ...env,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    process.once("exit", () => child.kill("SIGKILL"));

    const log = [];
    createInterface({ input: child.stderr }).on("line", (line) => log.push(line));
    try {
      const port = await portOf(child, log);
      return new Server(child, folder, log, port);
    } catch (error) {
      child.kill("SIGKILL");
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  async stop() {
    const gone = this.#child.exitCode === null && new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGTERM");
    await gone;
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** The last lines that the server has logged, for a failing test to show. */
  get log() {
    return this.#log.slice(-20).join("\n");
  }

  /** Moves the server's clock. The browser's stays where it is, as on a device whose clock is wrong. */
  async advance(seconds) {
    await this.#json("/dev/clock", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ advanceSeconds: seconds }),
    });
  }

  /** Messages that were asked for, with a code or a link, to `contact` so far, oldest first. */
  async messagesTo(contact) {
    const outbox = await this.#json("/dev/outbox");
    const asked = outbox.filter(({ kind }) => kind !== "factor_added");
    return asked.filter((message) => message.to === contact && (message.code ?? message.link) !== null);
  }

  /** Codes of all messages to `contact`, oldest first, once there are `count` of them. */
  async codes(contact, count) {
    return (await this.messages(contact, count)).map((message) => message.code);
  }

  /**
   * All messages to `contact`, oldest first, once there are `count` of them. Delivery may end after the answer that
   * caused it, so this waits; it fails when the messages do not come, and when there are more.
   */
  async messages(contact, count) {
    const deadline = Date.now() + DELIVERY_LIMIT_MS;
    for (;;) {
      const messages = await this.messagesTo(contact);
      if (messages.length === count) return messages;
      if (messages.length > count || Date.now() > deadline) {
        throw new Error(`${messages.length} messages to ${contact} instead of ${count}`);
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** The link in the notice to `contact` that undoes the first second factor of its account. */
  async undoLink(contact) {
    const deadline = Date.now() + DELIVERY_LIMIT_MS;
    for (;;) {
      const outbox = await this.#json("/dev/outbox");
      const notice = outbox.findLast(({ kind, to }) => kind === "factor_added" && to === contact);
      if (notice?.link) return notice.link;
      if (Date.now() > deadline) throw new Error(`no link for ${contact}`);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** A refresh by somebody who is not the browser: the holder of a copied token, or a tab that lost its answer. */
  async refresh(transfer, refreshToken, userAgent) {
    const answer = await fetch(`${this.origin}/auth/session/refresh`, {
      method: "POST",
      headers: {
        rid: "session",
        "st-auth-mode": transfer,
        "user-agent": userAgent,
        ...(transfer === "header"
          ? { authorization: `Bearer ${refreshToken}` }
          : { cookie: `sRefreshToken=${refreshToken}` }),
      },
    });
    return { status: answer.status, frontToken: answer.headers.get("front-token"), body: await answer.json() };
  }

  async #json(route, init) {
    const answer = await fetch(this.origin + route, init);
    if (!answer.ok) throw new Error(`${route} answered ${answer.status}: ${await answer.text()}\n${this.log}`);
    return answer.json();
  }
}

// A developer's own settings must not decide what the suite sees.
function withoutStepup(env) {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith("STEPUP_")));
}

function portOf(child, log) {
  return new Promise((resolve, reject) => {
    const fail = (why) => reject(new Error(`the demo server ${why}\n${log.join("\n")}`));
    const limit = setTimeout(() => fail("did not say where it listens"), START_LIMIT_MS);
    child.once("error", (error) => fail(`could not be started: ${error.message}`));
    child.once("exit", (code) => fail(`ended with ${code} before it listened`));
    const lines = createInterface({ input: child.stdout });
    lines.once("line", (line) => {
      clearTimeout(limit);
      const port = /^listening on http:\/\/127\.0\.0\.1:(\d+)$/.exec(line)?.[1];
      if (port) resolve(Number(port));
      else fail(`began with "${line}"`);
    });
    // The messages on the console are read and dropped, or the pipe would fill up and stop the server.
    lines.on("line", () => {});
  });
}
