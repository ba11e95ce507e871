// Meta's Embedded Signup. Meta's window tells us two things in either order: a code, which lives for
// half a minute, and which account was picked. Both go to our server at once; every step after that
// happens there, has a verdict, and can be gone on from here, also by another administrator.

import { api, path } from "/assets/api.js";
import { action, announce, badge, confirm, h, problemPlace } from "/assets/dom.js";
import { form } from "/assets/form.js";
import { given } from "/assets/views/tenants.js";

const META_SDK = "https://connect.facebook.net";
// The code dies after 30 seconds; whoever has not told the account by then will not.
const PATIENCE_MS = 10_000;

const SIGNS = { done: ["✓", "good"], skipped: ["–", ""], failed: ["✗", "bad"], waiting: ["…", ""] };

const PIN = { name: "pin", label: "PIN of the number", inputmode: "numeric", maxlength: 6, pattern: /^\d{6}$/, patternSays: "Enter six digits.", hint: "Of its two-step verification. A number that has one needs that one; otherwise this becomes its PIN." };
const TEST = { name: "test_recipient", label: "Send a test message to", type: "tel", placeholder: "+14155550123" };

/** Which pages may tell us of a signup. */
function isMetas(origin, sdkOrigin) {
  if (sdkOrigin !== META_SDK) return origin === sdkOrigin;
  const url = URL.parse ? URL.parse(origin) : new URL(origin);
  return url?.protocol === "https:" && (url.hostname === "facebook.com" || url.hostname.endsWith(".facebook.com"));
}

let loading = null;

/** Meta's script, once; the policy of this page allows it alone. */
function loadSdk(settings) {
  loading ??= new Promise((resolve, reject) => {
    const script = h("script", { src: settings.sdk_url, crossorigin: "anonymous", async: true });
    script.addEventListener("load", () => {
      window.FB.init({ appId: settings.app_id, autoLogAppEvents: false, xfbml: false, version: settings.graph_version });
      resolve(window.FB);
    });
    script.addEventListener("error", () => {
      loading = null;
      script.remove();
      reject(new Error("Meta’s script could not be loaded. Check the connection, and whether something in the browser blocks it."));
    });
    document.head.append(script);
  });
  return loading;
}

/** Opens Meta's window; answers the code and what was picked. Null when it was closed. */
function askMeta(FB, settings) {
  const sdkOrigin = new URL(settings.sdk_url, location.origin).origin;
  return new Promise((resolve, reject) => {
    let code = null;
    let picked = null;
    let patience = null;
    const end = (finish) => {
      removeEventListener("message", listen);
      clearTimeout(patience);
      finish();
    };
    const both = () => {
      if (code && picked) end(() => resolve({ code, ...picked }));
      else if (code) patience ??= setTimeout(() => end(() => reject(new Error("Meta did not say which account was picked. Begin again."))), PATIENCE_MS);
    };
    const listen = (event) => {
      if (!isMetas(event.origin, sdkOrigin)) return;
      const told = parse(event.data);
      if (told?.type !== "WA_EMBEDDED_SIGNUP") return;
      if (told.event === "ERROR" || (told.event === "CANCEL" && told.data?.error_message)) {
        const { error_message: message = "Meta reported an error.", error_code: number } = told.data ?? {};
        end(() => reject(new Error(`Meta: ${message}${number ? ` (${number})` : ""}`)));
      } else if (told.event === "CANCEL") {
        end(() => resolve(null));
      } else if (String(told.event).startsWith("FINISH") && told.data?.waba_id) {
        const { waba_id, phone_number_id, business_id } = told.data;
        picked = Object.fromEntries(Object.entries({ waba_id, phone_number_id, business_id }).filter(([, value]) => value));
        both();
      }
    };
    addEventListener("message", listen);
    FB.login((response) => {
      code = response?.authResponse?.code ?? null;
      if (code) both();
      else if (!picked) end(() => resolve(null));
      else end(() => reject(new Error("Meta gave no code. Begin again.")));
    }, { config_id: settings.config_id, response_type: "code", override_default_response_type: true, extras: { setup: {}, sessionInfoVersion: "3" } });
  });
}

function parse(data) {
  if (typeof data !== "string") return data;
  try {
    return JSON.parse(data);
  } catch {
    return null;
  }
}

export async function signup({ id, reload, isConnected }) {
  const base = path`/api/tenants/${id}/whatsapp/signup`;
  const absent = (value) => (error) => {
    if (error.status === 404) return value;
    throw error;
  };
  const [settings, running] = await Promise.all([
    api(path`/api/tenants/${id}/whatsapp/signup-settings`).catch(absent({ available: false })),
    api(base).catch(absent(null)),
  ]);
  const again = () => connect({ base, settings, reload, isConnected: true });
  if (running?.next) return [progress(base, running, reload), running.next.action === "sign_up_again" && settings.available ? again() : ""];
  if (!settings.available) return h("p", { class: "quiet small" }, "Embedded Signup is not set up in this installation (settings meta.app_id and meta.config_id).");
  return connect({ base, settings, reload, isConnected });
}

/** The way into Meta's window, with what may be said beforehand. */
function connect({ base, settings, reload, isConnected }) {
  const place = h("div", { "aria-live": "polite" });
  // Loaded before the click: a window that opens later than its click is blocked.
  const ready = loadSdk(settings);
  ready.catch(() => {});
  const begin = async (values) => {
    const answer = await askMeta(await ready, settings);
    if (!answer) return "The signup was cancelled.";
    place.replaceChildren(h("p", { class: "quiet" }, "Setting up at Meta …"));
    try {
      const outcome = await api(base, { method: "POST", body: { ...answer, ...given(values) } });
      await show(outcome, reload);
    } catch (error) {
      place.replaceChildren();
      throw error;
    }
    return undefined;
  };
  const label = isConnected ? "Connect anew with Meta" : "Connect with Meta";
  return h("div", null,
    form({ label, buttonClass: isConnected ? "button quiet-button" : "button", fields: [], submit: begin }),
    h("details", null, h("summary", null, "With a PIN or a test message"),
      form({ label: `${label}, with these`, buttonClass: "button quiet-button", fields: [PIN, TEST], submit: begin })),
    place);
}

/** The section shows where the signup stands. */
async function show(outcome, reload) {
  await reload();
  announce(outcome.next ? "The signup needs something more." : "WhatsApp is connected.");
}

function step(one) {
  const [sign, kind] = SIGNS[one.status] ?? ["·", ""];
  return h("li", { class: kind, "data-step": one.step, "data-status": one.status },
    h("span", { class: "sign", "aria-hidden": "true" }, sign),
    h("span", null, h("strong", null, one.step.replaceAll("_", " ")), ` ${one.status.replaceAll("_", " ")}`,
      one.message ? h("span", { class: "small" }, ` ${one.message}`) : "",
      one.code ? h("span", { class: "small quiet" }, ` ${one.code}`) : ""));
}

/** Where a signup stands, and what goes on with it. */
function progress(base, signup, reload) {
  const problem = problemPlace();
  const place = h("div", { class: "notice", id: "signup" });
  const abandon = async () => {
    if (!await confirm("Give this signup up?", "What it has done so far at Meta stays there; here it is forgotten.", "Give up")) return;
    await api(base, { method: "DELETE" });
    announce("The signup is given up.");
    await reload();
  };
  const fields = new Set(signup.next?.fields ?? []);
  const numbers = signup.numbers ?? [];
  const giveUp = action("Give up", "button danger-quiet", abandon, problem);
  place.append(h("h3", null, "Signup with Meta ", badge(signup.status, "warn")), h("ol", { class: "steps" }, signup.steps.map(step)));
  if (signup.next?.action === "sign_up_again") {
    place.append(h("p", null, "This one cannot go on: its code or token is no longer good. Connect once more."), problem, h("p", null, giveUp));
    return place;
  }
  place.append(
    form({
      label: fields.size > 0 ? "Continue" : "Try again",
      fields: [
        fields.has("phone_number_id") && (numbers.length > 0
          ? { name: "phone_number_id", label: "Number", type: "select", optional: false, options: numbers.map((number) => [number.phone_number_id, [number.display_phone_number, number.verified_name].filter(Boolean).join(" · ")]) }
          : { name: "phone_number_id", label: "Phone number id", inputmode: "numeric", hint: "The account had no number. Add one at Meta, then go on." }),
        fields.has("pin") && PIN,
        TEST,
      ].filter(Boolean),
      submit: async (values) => {
        const outcome = await api(`${base}/continue`, { method: "POST", body: given(values) });
        await show(outcome, reload);
      },
      extra: [giveUp],
    }),
    problem);
  return place;
}

