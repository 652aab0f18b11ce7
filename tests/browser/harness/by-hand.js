// `examples/by-hand` on a free port, with a database of its own. Its codes are on its console.

import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";

const LIMIT_MS = 30_000;
const POLL_MS = 20;

export class ByHand {
  #child;
  #folder;
  #printed = [];
  #logged = [];

  constructor(child, folder) {
    this.#child = child;
    this.#folder = folder;
    createInterface({ input: child.stdout }).on("line", (line) => this.#printed.push(line));
    createInterface({ input: child.stderr }).on("line", (line) => this.#logged.push(line));
  }

  /** Starts the binary that `STEPUP_BY_HAND` names. */
  static async start() {
    const binary = process.env.STEPUP_BY_HAND;
    if (!binary) throw new Error("STEPUP_BY_HAND must name the binary of examples/by-hand");
    const folder = await mkdtemp(path.join(tmpdir(), "stepup-by-hand-"));
    const child = spawn(path.resolve(binary), {
      cwd: folder,
      env: { ...process.env, PORT: "0", DATABASE: "by-hand.sqlite" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    process.once("exit", () => child.kill("SIGKILL"));
    const server = new ByHand(child, folder);
    try {
      const [first] = await server.#until((lines) => (lines.length > 0 ? lines : undefined));
      server.origin = /^listening on (http:\/\/localhost:\d+)$/.exec(first)?.[1];
      if (!server.origin) throw new Error(`it began with "${first}"`);
      return server;
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  async stop() {
    const gone = this.#child.exitCode === null && new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGKILL");
    await gone;
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** The last of the codes to `phone`, once there are `count` of them. */
  code(phone, count) {
    return this.#until((lines) => {
      const codes = lines.flatMap((line, at) =>
        line === `--- SMS to ${phone}` ? (/\b\d{6}\b/.exec(lines[at + 1] ?? "") ?? []) : [],
      );
      return codes.length === count ? codes.at(-1) : undefined;
    });
  }

  /** How many messages have gone out. */
  get sent() {
    return this.#printed.filter((line) => line.startsWith("--- SMS to ")).length;
  }

  async #until(read) {
    const deadline = Date.now() + LIMIT_MS;
    for (;;) {
      const found = read(this.#printed);
      if (found !== undefined) return found;
      if (Date.now() > deadline || this.#child.exitCode !== null) {
        const log = this.#logged.slice(-20).join("\n");
        throw new Error(`examples/by-hand printed only:\n${this.#printed.join("\n")}\nand logged:\n${log}`);
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }
}
