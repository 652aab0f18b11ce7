// The part of the suite that runs inside the page: it starts the unmodified client as a site would,
// and hands its answers to the test as plain data. It decides nothing and changes nothing on the wire.

import * as SuperTokens from "supertokens-web-js";
import * as EmailPassword from "supertokens-web-js/recipe/emailpassword";
import * as EmailVerification from "supertokens-web-js/recipe/emailverification";
import * as MultiFactorAuth from "supertokens-web-js/recipe/multifactorauth";
import * as Passwordless from "supertokens-web-js/recipe/passwordless";
import * as Session from "supertokens-web-js/recipe/session";
import * as ThirdParty from "supertokens-web-js/recipe/thirdparty";

const recipes = { EmailPassword, EmailVerification, MultiFactorAuth, Passwordless, Session, ThirdParty };

// As in a site that has only the boolean claim: no refresh of its own, the server alone changes it.
const secondFactorClaim = new Session.BooleanClaim({ id: "2fa-completed", refresh: async () => {} });

window.suite = {
  events: [],

  start({ apiDomain, tokenTransferMethod, verifiesEmail }) {
    SuperTokens.init({
      appInfo: { appName: "stepup", apiDomain, apiBasePath: "/auth" },
      recipeList: [
        Session.init({
          tokenTransferMethod,
          onHandleEvent: (event) => window.suite.events.push(event.action),
        }),
        EmailPassword.init(),
        Passwordless.init(),
        ThirdParty.init(),
        MultiFactorAuth.init(),
        // Its claim would be asked of every page; a site without it leaves it out.
        ...(verifiesEmail ? [EmailVerification.init({ mode: "REQUIRED" })] : []),
      ],
    });
  },

  /** Calls one function of one recipe. What it throws is told apart, because sites do so too. */
  async call(recipe, name, input) {
    try {
      return { answer: withoutResponse(await recipes[recipe][name](input)) };
    } catch (thrown) {
      if (thrown?.isSuperTokensGeneralError === true) return { generalError: thrown.message };
      if (thrown instanceof Response) return { httpError: await plainResponse(thrown) };
      throw thrown;
    }
  },

  /** The application's own request; the client has wrapped `fetch`. */
  async fetch(url, init) {
    return plainResponse(await fetch(url, init));
  },

  /** The same by the older interface, which axios and many others ride on. */
  xhr(url) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open("GET", url);
      request.onload = () => resolve({ status: request.status, body: JSON.parse(request.responseText) });
      request.onerror = () => reject(new Error(`network error on ${url}`));
      request.send();
    });
  },

  secondFactorClaim: () => Session.getClaimValue({ claim: secondFactorClaim }),

  validateClaims: () => Session.validateClaims(),
};

function withoutResponse(answer) {
  if (answer === null || typeof answer !== "object") return answer;
  const { fetchResponse, ...rest } = answer;
  return rest;
}

async function plainResponse(response) {
  const text = await response.text();
  let body = text;
  try {
    body = JSON.parse(text);
  } catch {
    // Not JSON: the test sees the text.
  }
  return { status: response.status, headers: Object.fromEntries(response.headers), body };
}
