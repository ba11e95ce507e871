// A tenant's API keys. A key is shown once, when it is made.

import { api, path } from "/assets/api.js";
import { action, announce, badge, confirm, copy, h, problemPlace, table, time } from "/assets/dom.js";
import { form } from "/assets/form.js";

export const SCOPES = [
  ["messages:send", "send messages"],
  ["messages:read", "read messages"],
  ["templates:read", "read templates"],
];

export async function keys({ id, reload }) {
  const base = path`/api/tenants/${id}/api-keys`;
  const found = await api(base);
  const list = found.api_keys;
  const problem = problemPlace();
  const fresh = h("div", { "aria-live": "polite" });
  return [
    list.length > 0
      ? table("API keys", ["Name", "Key", "May", "Expires", "Last used", ""], list.map((key) => row(base, key, fresh, problem, reload)))
      : h("p", { class: "quiet" }, "There is no key. Keys let programs of this tenant call the API."),
    problem, fresh,
    h("details", null, h("summary", null, "New key"),
      form({
        label: "Create key",
        fields: [
          { name: "name", label: "Name", required: true, what: "a name", placeholder: "CRM" },
          ...SCOPES.map(([scope, text]) => ({ name: scope, label: `May ${text} (${scope})`, type: "checkbox", value: true, optional: false })),
          { name: "expires_in_days", label: "Expires in days", inputmode: "numeric", pattern: /^\d{1,4}$/, patternSays: "Enter a number of days." },
        ],
        submit: async (values) => {
          const scopes = SCOPES.map(([scope]) => scope).filter((scope) => values[scope]);
          const days = values.expires_in_days;
          const made = await api(base, { method: "POST", body: { name: values.name, scopes, ...(days ? { expires_in_days: Number(days) } : {}) } });
          reveal(fresh, made.key, reload);
          return "The key is made. Copy it now.";
        },
        reset: true,
      })),
  ];
}

function row(base, key, fresh, problem, reload) {
  const own = `${base}/${encodeURIComponent(key.key_id)}`;
  const isOver = key.status === "expired" || key.status === "revoked";
  const rotate = async () => {
    if (!await confirm(`Rotate “${key.name}”?`, "A new key is made. The old one works for an hour more, so that programs can change over.", "Rotate")) return;
    const made = await api(`${own}/rotate`, { method: "POST", body: { overlap_seconds: 3600 } });
    reveal(fresh, made.key, reload);
  };
  const revoke = async () => {
    if (!await confirm(`Revoke “${key.name}”?`, "Programs that use it are refused at once.", "Revoke")) return;
    await api(own, { method: "DELETE" });
    announce("The key is revoked.");
    await reload();
  };
  const label = (text, run, style) => {
    const button = action(text, `button small-button ${style}`, run, problem);
    button.setAttribute("aria-label", `${text} ${key.name}`);
    return button;
  };
  return h("tr", null,
    h("td", null, key.name, " ", key.status === "active" ? "" : badge(key.status, isOver ? "bad" : "warn")),
    h("td", null, h("code", null, `${key.prefix}…${key.last4}`)),
    h("td", null, key.scopes.join(", ")),
    h("td", { class: "tight" }, time(key.expires_at)),
    h("td", { class: "tight" }, time(key.last_used_at)),
    h("td", null, isOver ? "" : h("span", { class: "row" }, key.status === "active" ? label("Rotate", rotate, "quiet-button") : "", label("Revoke", revoke, "danger-quiet"))));
}

function reveal(place, key, reload) {
  const button = h("button", { type: "button", class: "button", onclick: (event) => copy(event.currentTarget, key) }, "Copy");
  place.replaceChildren(h("div", { class: "notice warn" },
    h("h3", null, "The new key"),
    h("p", null, "It is shown this once. Keep it where programs keep their secrets."),
    h("code", { class: "secret" }, key),
    h("p", { class: "row" }, button, h("button", { type: "button", class: "button quiet-button", onclick: reload }, "I have it"))));
  button.focus();
}
