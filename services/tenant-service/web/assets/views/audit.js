// Who did what: the audit log, newest first.

import { api } from "/assets/api.js";
import { badge, h, table, time } from "/assets/dom.js";
import { form } from "/assets/form.js";

const FILTERS = ["tenant_id", "action", "actor", "outcome", "since", "until"];

export async function show({ go }) {
  const asked = new URLSearchParams(location.search);
  const values = Object.fromEntries(FILTERS.map((name) => [name, asked.get(name) ?? ""]));
  const cursor = asked.get("cursor");
  const address = (wanted) => {
    const query = new URLSearchParams(Object.entries(wanted).filter(([, value]) => value));
    return `/audit${query.size ? `?${query}` : ""}`;
  };
  const query = new URLSearchParams(cursor ? { cursor } : {});
  for (const [name, value] of Object.entries(values)) {
    if (value) query.set(name, name === "since" || name === "until" ? new Date(value).toISOString() : value);
  }
  const found = await api(`/api/admin/audit?${query}`);
  const { entries } = found;
  const filter = form({
    label: "Filter",
    fields: [
      { name: "tenant_id", label: "Tenant id", value: values.tenant_id, optional: false },
      { name: "action", label: "Action", value: values.action, optional: false, placeholder: "tenant.suspend" },
      { name: "actor", label: "Actor’s id", value: values.actor, optional: false },
      { name: "outcome", label: "Outcome", type: "select", value: values.outcome, optional: false, options: [["", "any"], ["succeeded", "succeeded"], ["refused", "refused"], ["failed", "failed"]] },
      { name: "since", label: "From", type: "datetime-local", value: values.since, optional: false },
      { name: "until", label: "Before", type: "datetime-local", value: values.until, optional: false },
    ],
    submit: async (wanted) => { go(address(wanted)); },
  });
  filter.classList.add("filters");
  filter.setAttribute("role", "search");
  return h("section", { class: "card" },
    h("h1", null, "Audit"),
    filter,
    entries.length > 0
      ? table("Audit log", ["When", "Action", "Tenant", "Who", "Outcome", "Details"], entries.map(row))
      : h("p", { class: "quiet" }, "No entry fits."),
    h("p", { class: "row" },
      cursor ? h("a", { href: address(values) }, "Newest") : "",
      found.next_cursor ? h("a", { href: address({ ...values, cursor: found.next_cursor }) }, "Older") : ""));
}

function row(entry) {
  const details = entry.details && Object.keys(entry.details).length > 0
    ? h("details", null, h("summary", null, "show"), h("code", null, JSON.stringify(entry.details)))
    : "";
  return h("tr", null,
    h("td", { class: "tight" }, time(entry.occurred_at)),
    h("td", null, h("code", null, entry.action), entry.target ? h("div", { class: "quiet small" }, entry.target) : ""),
    h("td", null, entry.tenant_id ? h("a", { href: `/tenants/${encodeURIComponent(entry.tenant_id)}` }, entry.tenant_id) : ""),
    h("td", null, entry.actor_kind?.replaceAll("_", " ") ?? "", entry.actor_id ? h("div", { class: "quiet small" }, entry.actor_id) : ""),
    h("td", null, badge(entry.outcome, { succeeded: "good", refused: "warn", failed: "bad" }[entry.outcome])),
    h("td", null, details));
}
