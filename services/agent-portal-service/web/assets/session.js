import { answer } from "/assets/answer.js";

// The session of this window. The refresh token lies in a cookie that no script can read; the
// access token lies in memory here and nowhere else.

const API = document.querySelector('meta[name="api-origin"]').content;
// Renewed before it expires, so that no call is refused on the way.
const EARLY_MS = 30_000;

let token = null;
let expiresAt = 0;
let renewing = null;

function ownServer(path) {
  return answer(fetch(path, { method: "POST", headers: { "x-portal-request": "1" }, credentials: "same-origin" }));
}

/** Back to the sign-in page; an ordinary missing session needs no explanation there. */
function leave(error) {
  forget();
  const target = new URL("/login", location.origin);
  if (error && error.code !== "SESSION_MISSING") {
    target.searchParams.set("error", error.code);
    if (error.requestId) target.searchParams.set("request", error.requestId);
  }
  location.replace(target);
}

function forget() {
  token = null;
  expiresAt = 0;
  sessionStorage.clear();
}

async function renew() {
  try {
    const fresh = await ownServer("/session/token");
    token = fresh.accessToken;
    expiresAt = Date.now() + fresh.expiresIn * 1000;
    return token;
  } catch (error) {
    if (error.status === 401 || error.status === 403) {
      leave(error);
      return new Promise(() => {});
    }
    throw error;
  }
}

function accessToken() {
  if (token && Date.now() < expiresAt - EARLY_MS) return Promise.resolve(token);
  renewing ??= renew().finally(() => { renewing = null; });
  return renewing;
}

/** Calls the API as the signed-in person; a token that was refused is renewed once. */
export async function api(path, { method = "GET", body, headers = {} } = {}) {
  const send = async () => answer(fetch(API + path, {
    method,
    headers: {
      authorization: `Bearer ${await accessToken()}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    },
    body: body === undefined ? undefined : JSON.stringify(body),
  }));
  try {
    return await send();
  } catch (error) {
    if (error.status !== 401) throw error;
    token = null;
    return send();
  }
}

async function signOut() {
  try {
    await ownServer("/session/end");
  } catch (error) {
    // A session that is over already is what was wanted.
    if (error.status !== 401 && error.status !== 403) throw error;
  }
  forget();
  location.replace("/login");
}

/** Fills in who is signed in and lets them sign out; gives the profile. */
export async function start(onProblem) {
  const button = document.getElementById("sign-out");
  button.addEventListener("click", async () => {
    button.disabled = true;
    await signOut().catch((error) => {
      button.disabled = false;
      onProblem(error);
    });
  });
  // A page from the browser's store would show a person who may have signed out since.
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  const profile = await api("/api/agents/profile");
  document.getElementById("who").textContent = `${profile.name}, ${profile.organization.tenant_name}`;
  return profile;
}

/** Leaves after every session was ended. */
export function signedOutEverywhere() {
  return signOut();
}

const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

/** A time for people, the exact one for machines. */
export function showTime(element, iso, withDate = false) {
  if (!iso) return;
  element.dateTime = iso;
  element.textContent = (withDate ? moment : clock).format(new Date(iso));
}

/** What went wrong, and how to ask about it. */
export function explain(element, error) {
  element.replaceChildren();
  const text = document.createElement("p");
  text.textContent = error.message;
  element.append(text);
  if (error.requestId) {
    const reference = document.createElement("p");
    reference.className = "small quiet";
    reference.textContent = `${error.code} · ${error.requestId}`;
    element.append(reference);
  }
  element.hidden = false;
}
