// The Node service of docs/verify-elsewhere.md, as it is printed there, beside the demo server.

import { strict as assert } from "node:assert";
import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

import { newPerson } from "./harness/person.js";
import { Server } from "./harness/server.js";

const here = path.dirname(fileURLToPath(import.meta.url));
const LIMIT = { timeout: 60_000 };

/** The only block of JavaScript on the page. */
async function printed() {
  const page = await readFile(path.join(here, "../../docs/verify-elsewhere.md"), "utf8");
  const blocks = [...page.matchAll(/^```js\n(.*?)^```$/gms)].map((match) => match[1]);
  assert.equal(blocks.length, 1);
  return blocks[0];
}

function freePort() {
  return new Promise((resolve, reject) => {
    const socket = createServer().once("error", reject);
    socket.listen(0, "127.0.0.1", () => {
      const { port } = socket.address();
      socket.close(() => resolve(port));
    });
  });
}

/** Sends to the demo as a client that keeps its token by itself. */
async function post(server, route, body, token) {
  const answer = await fetch(`${server.origin}/auth${route}`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "st-auth-mode": "header",
      rid: "anti-csrf",
      ...(token && { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify(body),
  });
  const json = await answer.json();
  assert.equal(json.status, "OK", JSON.stringify(json));
  return { json, token: answer.headers.get("st-access-token") };
}

/** The tokens of somebody new: with the first factor alone, and with both. */
async function tokensOf(server) {
  const person = newPerson();
  const formFields = [
    { id: "email", value: person.email },
    { id: "password", value: person.password },
  ];
  const { token: half } = await post(server, "/signup", { formFields });
  const { json: code } = await post(server, "/signinup/code", { phoneNumber: person.phone }, half);
  const [userInputCode] = await server.codes(person.phone, 1);
  const { deviceId, preAuthSessionId } = code;
  const answer = { deviceId, preAuthSessionId, userInputCode };
  const { token: full } = await post(server, "/signinup/code/consume", answer, half);
  return { half, full };
}

describe("the Node service of the guide", () => {
  let server, folder, service, url, tokens;

  before(async () => {
    server = await Server.start();
    // Beside the packages, so that the import finds them.
    folder = await mkdtemp(path.join(here, "node_modules", ".stepup-guide-"));
    const file = path.join(folder, "service.mjs");
    await writeFile(file, await printed());
    const port = await freePort();
    url = `http://127.0.0.1:${port}/`;
    service = spawn(process.execPath, [file], {
      env: { PATH: process.env.PATH, ISSUER: `${server.origin}/auth`, PORT: String(port) },
      stdio: ["ignore", "ignore", "inherit"],
    });
    process.once("exit", () => service.kill("SIGKILL"));
    tokens = await tokensOf(server);
    for (let tries = 0; ; tries += 1) {
      const answered = await fetch(url).catch(() => null);
      if (answered) break;
      assert.ok(tries < 200 && service.exitCode === null, "the service does not listen");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }, LIMIT);

  after(async () => {
    service?.kill("SIGKILL");
    await server?.stop();
    if (folder) await rm(folder, { recursive: true, force: true });
  }, LIMIT);

  const statusOf = async (authorization) =>
    (await fetch(url, { headers: authorization ? { authorization } : {} })).status;

  test("lets in whoever has both factors", LIMIT, async () => {
    assert.equal(await statusOf(`Bearer ${tokens.full}`), 200);
    assert.equal(await statusOf(`bearer ${tokens.full}`), 200);
  });

  test("refuses a half-login by 403, which asks for the second factor", LIMIT, async () => {
    assert.equal(await statusOf(`Bearer ${tokens.half}`), 403);
  });

  test("refuses whatever the site did not sign", LIMIT, async () => {
    const [header, payload, signature] = tokens.full.split(".");
    const { kid } = JSON.parse(Buffer.from(header, "base64url"));
    const b64 = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const own = (alg) => b64({ kid, typ: "JWT", version: "5", alg });
    const claims = JSON.parse(Buffer.from(payload, "base64url"));
    const halfClaims = JSON.parse(Buffer.from(tokens.half.split(".")[1], "base64url"));
    const forged = [
      `${header}.${b64({ ...claims, sub: "somebody-else" })}.${signature}`,
      `${header}.${b64({ ...halfClaims, "st-mfa": claims["st-mfa"], "2fa-completed": claims["2fa-completed"] })}.${signature}`,
      `${header}.${payload}.`,
      `${own("none")}.${payload}.`,
      `${own("ES384")}.${payload}.${signature}`,
    ];
    const jwks = await (await fetch(`${server.origin}/auth/jwt/jwks.json`)).text();
    for (const secret of [jwks, JSON.stringify(JSON.parse(jwks).keys[0])]) {
      const message = `${own("HS256")}.${payload}`;
      forged.push(`${message}.${createHmac("sha256", secret).update(message).digest("base64url")}`);
    }
    for (const token of forged) assert.equal(await statusOf(`Bearer ${token}`), 401, token);
  });

  test("refuses the token of another site", LIMIT, async () => {
    const stranger = await Server.start();
    try {
      const { full } = await tokensOf(stranger);
      assert.equal(await statusOf(`Bearer ${full}`), 401);
    } finally {
      await stranger.stop();
    }
  });

  test("refuses whoever brings no token", LIMIT, async () => {
    for (const authorization of [undefined, "Bearer ", "Basic YTpi", `${tokens.full}`, `Bearer ${tokens.full} x`]) {
      assert.equal(await statusOf(authorization), 401, String(authorization));
    }
  });
});
