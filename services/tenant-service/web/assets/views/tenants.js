// The list of tenants, and making one.

import { api } from "/assets/api.js";
import { announce, badge, h, table, time } from "/assets/dom.js";
import { form } from "/assets/form.js";

const PAGE = 25;
const KINDS = { active: "good", suspended: "warn", deleted: "bad" };

export const statusBadge = (status) => badge(status, KINDS[status]);

function row(tenant) {
  return h("tr", null,
    h("td", null, h("a", { href: `/tenants/${encodeURIComponent(tenant.tenant_id)}` }, tenant.name), h("br"), h("code", { class: "quiet" }, tenant.tenant_id)),
    h("td", { class: "tight" }, statusBadge(tenant.status)),
    h("td", null, tenant.genesys_org_id ? h("code", null, tenant.genesys_org_id) : h("span", { class: "quiet" }, "none")),
    h("td", { class: "tight" }, tenant.whatsapp_configured ? badge("connected", "good") : badge("not connected")),
    h("td", { class: "tight" }, time(tenant.updated_at)));
}

/** Buttons to the pages before and after; `show` loads one. */
export function pager({ total, limit, offset }, show) {
  if (total <= limit && offset === 0) return h("p", { class: "quiet small" }, total === 1 ? "1 entry" : `${total.toLocaleString("en")} entries`);
  const last = Math.min(offset + limit, total);
  const button = (label, to, isThere) => h("button", { type: "button", class: "button quiet-button small-button", disabled: !isThere, onclick: () => show(to) }, label);
  return h("p", { class: "row" },
    button("Previous", Math.max(0, offset - limit), offset > 0),
    h("span", { class: "quiet small" }, `${(offset + 1).toLocaleString("en")}–${last.toLocaleString("en")} of ${total.toLocaleString("en")}`),
    button("Next", offset + limit, last < total));
}

export async function list({ go }) {
  const asked = new URLSearchParams(location.search);
  const q = asked.get("q") ?? "";
  const status = asked.get("status") ?? "";
  const offset = Math.max(0, Number.parseInt(asked.get("offset") ?? "0", 10) || 0);
  const address = (values) => {
    const query = new URLSearchParams(Object.entries(values).filter(([, value]) => value));
    return `/tenants${query.size ? `?${query}` : ""}`;
  };
  const query = new URLSearchParams({ limit: PAGE, offset });
  if (q) query.set("q", q);
  if (status) query.set("status", status);
  const found = await api(`/api/tenants?${query}`);
  const filter = form({
    label: "Search",
    fields: [
      { name: "q", label: "Name or id", type: "search", value: q, optional: false },
      { name: "status", label: "Status", type: "select", value: status, optional: false, options: [["", "all but deleted"], ["active", "active"], ["suspended", "suspended"], ["deleted", "deleted"]] },
    ],
    submit: async (values) => { go(address(values)); },
  });
  filter.classList.add("filters");
  filter.setAttribute("role", "search");
  return h("section", { class: "card" },
    h("div", { class: "head" }, h("h1", null, "Tenants"), h("a", { class: "button end", href: "/tenants/new" }, "New tenant")),
    filter,
    found.tenants.length > 0
      ? table("Tenants", ["Tenant", "Status", "Genesys organization", "WhatsApp", "Changed"], found.tenants.map(row))
      : h("p", { class: "quiet" }, q || status ? "No tenant fits." : "There is no tenant yet."),
    pager(found, (to) => go(address({ q, status, offset: to }))));
}

/** The fields that are about the Genesys organization. */
export const orgFields = (tenant = {}) => [
  { name: "genesys_org_id", label: "Genesys organization id", value: tenant.genesys_org_id, placeholder: "6f1d2c3b-4a5e-4f60-8a7b-9c0d1e2f3a4b", hint: "In Genesys Cloud under Admin, Organization Settings, Organization Details, Advanced." },
  { name: "genesys_region", label: "Genesys region", value: tenant.genesys_region, placeholder: "mypurecloud.com" },
];

/** Without what is empty. */
export const given = (values) => Object.fromEntries(Object.entries(values).filter(([, value]) => value !== ""));

export async function create({ go }) {
  return h("section", { class: "card" },
    h("h1", null, "New tenant"),
    form({
      label: "Create tenant",
      fields: [
        { name: "tenant_id", label: "Tenant id", required: true, what: "an id", hint: "Letters, digits, _ . and -. It never changes.", placeholder: "acme_corp" },
        { name: "name", label: "Name", required: true, what: "a name", placeholder: "Acme Corp" },
        ...orgFields(),
      ],
      extra: [h("a", { href: "/tenants" }, "Cancel")],
      submit: async (values) => {
        const tenant = await api("/api/tenants", { method: "POST", body: given(values) });
        announce(`${tenant.name} was created.`);
        go(`/tenants/${encodeURIComponent(tenant.tenant_id)}`);
      },
    }));
}
