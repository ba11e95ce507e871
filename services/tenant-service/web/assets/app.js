// The frame around the pages: who is signed in, what the address shows, and where the focus goes.

import { renew, signOut, whenSignedOut } from "/assets/api.js";
import { announce, explain, h, problemPlace } from "/assets/dom.js";
import * as account from "/assets/views/account.js";
import * as audit from "/assets/views/audit.js";
import * as importing from "/assets/views/import.js";
import * as signIn from "/assets/views/sign_in.js";
import * as tenant from "/assets/views/tenant.js";
import * as tenants from "/assets/views/tenants.js";

const main = document.getElementById("main");
const bar = document.getElementById("bar");
const who = document.getElementById("who");

const PAGES = [
  [/^\/tenants$/, "Tenants", tenants.list],
  [/^\/tenants\/new$/, "New tenant", tenants.create],
  [/^\/tenants\/([^/]+)$/, "Tenant", tenant.show],
  [/^\/import$/, "Import", importing.show],
  [/^\/audit$/, "Audit", audit.show],
  [/^\/account$/, "Account", account.show],
];

let admin = null;
// What a slow page brings after another was asked for is not shown.
let turn = 0;

function find(path) {
  for (const [pattern, title, view] of PAGES) {
    const match = pattern.exec(path);
    if (match) return { title, view, values: match.slice(1).map(decodeURIComponent) };
  }
  return null;
}

function frame(isSignedIn) {
  bar.hidden = !isSignedIn;
  document.body.classList.toggle("center", !isSignedIn);
  for (const link of bar.querySelectorAll("nav a")) {
    const isHere = location.pathname === link.pathname || location.pathname.startsWith(`${link.pathname}/`);
    if (isHere) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function put(title, content, focus) {
  document.title = `${title} · Agent Portal administration`;
  main.replaceChildren(...[content].flat());
  main.removeAttribute("aria-busy");
  if (!focus) return;
  const heading = main.querySelector("[autofocus], h1");
  if (!heading) return;
  if (heading.tagName === "H1") heading.tabIndex = -1;
  heading.focus();
}

export async function show(focus = true) {
  turn += 1;
  const mine = turn;
  if (location.pathname === "/" || location.pathname === "/login") history.replaceState(null, "", "/tenants");
  const page = find(location.pathname);
  frame(true);
  if (!page) {
    put("Not found", h("section", { class: "card" }, h("h1", null, "Not found"), h("p", null, "There is nothing at this address. ", h("a", { href: "/tenants" }, "To the tenants"))), focus);
    return;
  }
  main.setAttribute("aria-busy", "true");
  try {
    const content = await page.view({ values: page.values, go, again: () => show(false), admin });
    if (mine === turn) put(page.title, content, focus);
  } catch (error) {
    if (mine !== turn || error.status === 401 || error.code === "TOTP_ENROLMENT_REQUIRED") return;
    const problem = problemPlace();
    explain(problem, error);
    const again = h("button", { type: "button", class: "button quiet-button", onclick: () => show() }, "Try again");
    put(page.title, h("section", { class: "card" }, h("h1", null, page.title), problem, again), focus);
  }
}

/** To another page of ours. */
export function go(path) {
  history.pushState(null, "", path);
  scrollTo(0, 0);
  show();
}

function showSignIn(error, focus = true) {
  turn += 1;
  admin = null;
  who.textContent = "";
  frame(false);
  put("Sign in", signIn.show({ error, done: enter }), focus);
}

function showEnrolment() {
  turn += 1;
  frame(false);
  put("Second factor", signIn.enrol({ done: enter, leave }), true);
}

/** After a sign-in or a renewal: the page of the address, unless a second factor comes first. */
async function enter(session, focus = true) {
  admin = session.admin ?? admin;
  who.textContent = admin?.name ?? admin?.email ?? "";
  if (session.totpRequired && session.totpEnrolled === false) showEnrolment();
  else await show(focus);
}

async function leave() {
  await signOut();
  history.replaceState(null, "", "/login");
  showSignIn(null);
  announce("You are signed out.");
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href]");
  if (!link || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  if (link.origin !== location.origin || link.target || link.hash || link.hasAttribute("download")) return;
  event.preventDefault();
  go(link.pathname + link.search);
});
addEventListener("popstate", () => { if (admin || !bar.hidden) show(); });
// A page from the browser's store would show what somebody saw who may have signed out since.
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

const signOutButton = document.getElementById("sign-out");
signOutButton.addEventListener("click", async () => {
  signOutButton.disabled = true;
  try {
    await leave();
  } catch (error) {
    const problem = problemPlace();
    explain(problem, error);
    main.prepend(problem);
  } finally {
    signOutButton.disabled = false;
  }
});

whenSignedOut((error) => showSignIn(error), showEnrolment);

renew().then((session) => enter(session, false)).catch((error) => {
  // An ordinary missing session needs no explanation.
  showSignIn(error.status === 401 ? null : error, false);
});
