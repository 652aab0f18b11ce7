// "Example": an OpenID provider that nobody here wrote, npm's oidc-provider, with its own pages for sign-in and consent.
//
// Imported by the browser suite; as a program, for tests in Rust, it takes the redirect URIs as arguments, prints one line of JSON,
// and ends with its standard input. Any password is right. Who may sign in is in `ACCOUNTS`.

import { createServer } from "node:http";
import { argv, stdin, stdout } from "node:process";
import { fileURLToPath } from "node:url";

import { exportJWK, generateKeyPair } from "jose";
import Provider from "oidc-provider";

/** What the site is registered as. */
export const CLIENT = { id: "example-site", secret: "example-secret-of-the-site" };

/** Two people whose address the provider verified, and one whose it did not. The key is the login and the subject. */
export const ACCOUNTS = {
  ann: { email: "ann@example.test", email_verified: true },
  ben: { email: "ben@example.test", email_verified: true },
  eve: { email: "eve@example.test", email_verified: false },
};

/** Starts it on a free port. The site's browsers come back to one of `redirectUris`. */
export async function startOpenIdProvider(redirectUris) {
  const server = createServer();
  await new Promise((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve));
  const issuer = `http://localhost:${server.address().port}`;
  const { privateKey } = await generateKeyPair("RS256", { extractable: true });

  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: CLIENT.id,
        client_name: "The site",
        client_secret: CLIENT.secret,
        redirect_uris: redirectUris,
        response_types: ["code"],
        grant_types: ["authorization_code"],
        token_endpoint_auth_method: "client_secret_post",
      },
    ],
    jwks: { keys: [{ ...(await exportJWK(privateKey)), alg: "RS256", use: "sig", kid: "example" }] },
    cookies: { keys: ["of this run alone"] },
    claims: { openid: ["sub"], email: ["email", "email_verified"] },
    features: { devInteractions: { enabled: true } },
    pkce: { required: () => true },
    findAccount: (_context, id) =>
      Object.hasOwn(ACCOUNTS, id) ? { accountId: id, claims: () => ({ sub: id, ...ACCOUNTS[id] }) } : undefined,
  });
  server.on("request", provider.callback());

  return {
    issuer,
    client: CLIENT,
    stop: () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  };
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const { issuer, client, stop } = await startOpenIdProvider(argv.slice(2));
  stdout.write(`${JSON.stringify({ issuer, client })}\n`);
  stdin.on("end", stop).resume();
}
