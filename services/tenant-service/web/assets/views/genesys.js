// A tenant's Genesys organization, and the OAuth clients that we use there.

import { api, path } from "/assets/api.js";
import { action, announce, badge, confirm, facts, h, problemPlace, time } from "/assets/dom.js";
import { form } from "/assets/form.js";
import { given, orgFields } from "/assets/views/tenants.js";

const GRANTS = [
  ["authorization_code", "People sign in (authorization code)"],
  ["client_credentials", "People are synced (client credentials)"],
];

export async function genesys({ id, reload }) {
  const [tenant, { credentials }] = await Promise.all([
    api(path`/api/tenants/${id}`),
    api(path`/api/tenants/${id}/genesys/credentials`).catch((error) => {
      if (error.status === 404) return { credentials: [] };
      throw error;
    }),
  ]);
  const org = form({
    label: "Save organization",
    fields: orgFields(tenant),
    submit: async (values) => {
      await api(path`/api/tenants/${id}/genesys-org`, {
        method: "PUT",
        body: { genesys_org_id: values.genesys_org_id || null, genesys_region: values.genesys_region || null },
      });
      return "The organization is saved.";
    },
  });
  return [
    org,
    h("h3", null, "OAuth clients of this organization"),
    h("p", { class: "quiet small" }, "Without one of its own, people sign in with this installation’s client."),
    ...GRANTS.map(([grant, title]) => client(id, tenant, grant, title, credentials.find((one) => one.grant_type === grant), reload)),
    credentials.length > 0 ? verification(id, reload) : "",
  ];
}

function client(id, tenant, grant, title, known, reload) {
  const problem = problemPlace();
  const remove = async () => {
    if (!await confirm("Remove this client?", "The secret is forgotten. What needs it stops working.", "Remove")) return;
    await api(`${path`/api/tenants/${id}/genesys/credentials`}?grant_type=${grant}`, { method: "DELETE" });
    announce("The client is removed.");
    await reload();
  };
  const write = form({
    label: known ? "Replace" : "Save client",
    fields: [
      { name: "region", label: "Region", value: known?.region ?? tenant.genesys_region ?? "", required: true, what: "a region" },
      { name: "client_id", label: "Client id", value: known?.client_id ?? "", required: true, what: "the client’s id" },
      { name: "client_secret", label: "Client secret", type: "password", autocomplete: "new-password", hint: known?.client_secret ? `Now ${known.client_secret}. It is never shown.` : "It is stored sealed and never shown." },
    ],
    submit: async (values) => {
      await api(path`/api/tenants/${id}/genesys/credentials`, { method: "PUT", body: { ...given(values), grant_type: grant } });
      await reload();
      return "The client is saved.";
    },
  });
  return h("details", { open: Boolean(known?.last_error) },
    h("summary", null, title, " ", known ? state(known) : badge("none")),
    known ? facts(["Client id", h("code", null, known.client_id)], ["Region", known.region], ["Verified", time(known.verified_at)], ["Last error", known.last_error]) : "",
    write, problem,
    known ? h("p", null, action("Remove", "button danger-quiet small-button", remove, problem)) : "");
}

function state(known) {
  if (known.last_error) return badge("does not work", "bad");
  return known.verified_at ? badge("verified", "good") : badge("not verified", "warn");
}

function verification(id) {
  const problem = problemPlace();
  const results = h("ul", { class: "steps", "aria-live": "polite" });
  const verify = async () => {
    const answer = await api(path`/api/tenants/${id}/genesys/credentials/verify`, { method: "POST", body: {} });
    results.replaceChildren(...answer.results.map((one) => verdict(GRANTS.find(([grant]) => grant === one.grant_type)?.[1] ?? one.grant_type, one.ok, one.message, one.code)));
  };
  return h("div", null, results, problem, h("p", null, action("Verify with Genesys", "button quiet-button", verify, problem)));
}

/** One line of a check: what, whether, and why not. */
export function verdict(what, isOk, message, code) {
  return h("li", { class: isOk ? "good" : "bad" },
    h("span", { class: "sign", "aria-hidden": "true" }, isOk ? "✓" : "✗"),
    h("span", null, h("strong", null, what), isOk ? ": fine" : ": not fine", message ? h("span", { class: "small" }, ` ${message}`) : "", !isOk && code ? h("span", { class: "small quiet" }, ` ${code}`) : ""));
}
