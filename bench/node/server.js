#!/usr/bin/env node
// supertokens-node on fastify, as its own documentation sets it up: a route that asks for a session. Verifying an access
// token takes the public keys of its core and nothing else of it, so a key set and a recorded form of token stand for the
// core. Prints the URL to ask and the header to send.
import { createServer } from "node:http";
import { generateKeyPairSync, randomUUID, sign } from "node:crypto";
import Fastify from "fastify";
import supertokens from "supertokens-node";
import Session from "supertokens-node/recipe/session/index.js";
import { verifySession } from "supertokens-node/recipe/session/framework/fastify/index.js";
import { errorHandler } from "supertokens-node/framework/fastify/index.js";

const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const kid = "d-1760000000000";
const keys = { keys: [{ ...publicKey.export({ format: "jwk" }), kid, alg: "RS256", use: "sig" }] };
const core = createServer((request, response) => {
    response.setHeader("content-type", "application/json");
    response.setHeader("cache-control", "max-age=3600");
    if (request.url.startsWith("/apiversion")) response.end(JSON.stringify({ versions: ["5.0", "5.1", "5.2", "5.3", "5.4"] }));
    else response.end(JSON.stringify(keys));
});
await new Promise((ready) => core.listen(0, "127.0.0.1", ready));

const app = Fastify();
const domain = "http://localhost:3000";
supertokens.init({
    framework: "fastify",
    supertokens: { connectionURI: `http://127.0.0.1:${core.address().port}` },
    appInfo: { appName: "bench", apiDomain: domain, websiteDomain: domain, apiBasePath: "/auth" },
    recipeList: [Session.init({ getTokenTransferMethod: () => "header" })],
});
app.setErrorHandler(errorHandler());
app.get("/", { preHandler: verifySession() }, async () => "hello");
const url = await app.listen({ port: 0, host: "127.0.0.1" });

const now = Math.floor(Date.now() / 1000);
const text = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const message = [
    text({ kid, typ: "JWT", version: "5", alg: "RS256" }),
    text({
        iat: now,
        exp: now + 86400,
        sub: randomUUID(),
        tId: "public",
        rsub: randomUUID(),
        sessionHandle: randomUUID(),
        refreshTokenHash1: "0".repeat(64),
        parentRefreshTokenHash1: null,
        antiCsrfToken: null,
        iss: `${domain}/auth`,
        "st-mfa": { c: { emailpassword: now, "otp-phone": now }, v: true },
    }),
].join(".");
const token = `${message}.${sign("sha256", Buffer.from(message), privateKey).toString("base64url")}`;
console.log(`${url}/`);
console.log(`authorization: Bearer ${token}`);
