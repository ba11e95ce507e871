import { answer } from "/assets/answer.js";

// The session of this window. The refresh token lies in a cookie that no script can read; the
// access token lies in memory here and nowhere else.

// Renewed before it expires, so that no call is refused on the way.
const EARLY_MS = 30_000;

let token = null;
let expiresAt = 0;
let renewing = null;
let onSignedOut = () => {};
let onEnrolmentNeeded = () => {};

/** The page's own server side. */
export function ownServer(path, body) {
  return answer(fetch(path, {
    method: "POST",
    headers: { "x-portal-request": "1", "content-type": "application/json" },
    credentials: "same-origin",
    body: JSON.stringify(body ?? {}),
  }));
}

function keep(session) {
  token = session.accessToken;
  expiresAt = Date.now() + session.expiresIn * 1000;
  return session;
}

export function forget() {
  token = null;
  expiresAt = 0;
}

/** What to do when nobody is signed in any more, and when a second factor must be set up first. */
export function whenSignedOut(signedOut, enrolmentNeeded) {
  onSignedOut = signedOut;
  onEnrolmentNeeded = enrolmentNeeded;
}

export async function signIn(credentials) {
  return keep(await ownServer("/session/login", credentials));
}

export async function signOut() {
  try {
    await ownServer("/session/logout");
  } catch (error) {
    // A session that is over already is what was wanted.
    if (error.status !== 401 && error.status !== 403) throw error;
  }
  forget();
}

/** A fresh access token by the cookie. One window at a time: a refresh token is good for one use. */
export function renew() {
  const ask = async () => keep(await ownServer("/session/refresh"));
  renewing ??= (navigator.locks ? navigator.locks.request("admin-session", ask) : ask())
    .finally(() => { renewing = null; });
  return renewing;
}

async function accessToken() {
  if (!token || Date.now() >= expiresAt - EARLY_MS) await renew();
  return token;
}

/** Calls the API as the signed-in administrator; a token that was refused is renewed once. */
export async function api(path, { method = "GET", body, csv } = {}) {
  const type = csv !== undefined ? "text/csv" : "application/json";
  const send = async () => answer(fetch(path, {
    method,
    headers: {
      authorization: `Bearer ${await accessToken()}`,
      ...(body === undefined && csv === undefined ? {} : { "content-type": type }),
    },
    credentials: "omit",
    body: csv ?? (body === undefined ? undefined : JSON.stringify(body)),
  }));
  try {
    try {
      return await send();
    } catch (error) {
      if (error.status !== 401 || error.code === "INVALID_CREDENTIALS") throw error;
      token = null;
      return await send();
    }
  } catch (error) {
    if (error.status === 401 && error.code !== "INVALID_CREDENTIALS") {
      forget();
      onSignedOut(error);
    } else if (error.code === "TOTP_ENROLMENT_REQUIRED") {
      onEnrolmentNeeded();
    }
    throw error;
  }
}

/** A path of the API with its parts made safe. */
export function path(parts, ...values) {
  return parts.reduce((whole, part, index) => whole + encodeURIComponent(values[index - 1]) + part);
}
