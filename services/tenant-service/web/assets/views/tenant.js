// One tenant: everything about it on one page, in sections that stand for themselves.

import { api, path } from "/assets/api.js";
import { action, announce, confirm, explain, facts, h, problemPlace, time } from "/assets/dom.js";
import { form } from "/assets/form.js";
import { genesys } from "/assets/views/genesys.js";
import { keys } from "/assets/views/keys.js";
import { roles } from "/assets/views/roles.js";
import { statusBadge } from "/assets/views/tenants.js";
import { whatsapp } from "/assets/views/whatsapp.js";

const SECTIONS = [
  ["master", "Tenant", master],
  ["genesys", "Genesys Cloud", genesys],
  ["whatsapp", "WhatsApp", whatsapp],
  ["keys", "API keys", keys],
  ["roles", "Roles", roles],
  ["limits", "Limits and sync", limits],
];

export async function show({ values: [id], go, again }) {
  const tenant = await api(path`/api/tenants/${id}`);
  const context = { id: tenant.tenant_id, tenant, go, again };
  const isDeleted = tenant.status === "deleted";
  const shown = isDeleted ? SECTIONS.slice(0, 1) : SECTIONS;
  return [
    h("div", { class: "head" }, h("h1", null, tenant.name), statusBadge(tenant.status), h("a", { class: "end", href: `/audit?tenant_id=${encodeURIComponent(tenant.tenant_id)}` }, "Audit")),
    h("ul", { class: "jumps", "aria-label": "On this page" }, shown.map(([name, title]) => h("li", null, h("a", { href: `#${name}` }, title)))),
    ...shown.map(([name, title, fill]) => section(name, title, fill, context)),
  ];
}

/** A section loads by itself and can be loaded again by itself. */
function section(name, title, fill, context) {
  const body = h("div", { class: "stack" }, h("p", { class: "quiet" }, "…"));
  const heading = h("h2", { id: `${name}-title`, tabindex: "-1" }, title);
  const load = async () => {
    try {
      const content = [await fill({ ...context, reload: load })].flat();
      // What has the focus goes away: the section keeps it.
      const hadFocus = body.contains(document.activeElement);
      body.replaceChildren(...content);
      if (hadFocus) heading.focus();
    } catch (error) {
      if (error.status === 401) return;
      const problem = problemPlace();
      explain(problem, error);
      body.replaceChildren(problem, h("button", { type: "button", class: "button quiet-button", onclick: load }, "Try again"));
    }
  };
  load();
  return h("section", { class: "card", id: name, "aria-labelledby": `${name}-title` }, heading, body);
}

function master({ id, tenant, go, again }) {
  const problem = problemPlace();
  const change = async (status, said) => {
    await api(path`/api/tenants/${id}`, { method: "PATCH", body: { status } });
    announce(said);
    await again();
  };
  const suspend = async () => {
    const yes = await confirm(`Suspend ${tenant.name}?`, "Its people are signed out at once, nobody signs in, and its messages wait until you resume it.", "Suspend");
    if (yes) await change("suspended", "The tenant is suspended.");
  };
  const remove = async () => {
    const yes = await confirm(`Delete ${tenant.name}?`, "Sign-ins and sending end at once, for good. The data stays until it is erased.", "Delete");
    if (!yes) return;
    await api(path`/api/tenants/${id}`, { method: "DELETE" });
    announce("The tenant is deleted.");
    go("/tenants");
  };
  const about = facts(
    ["Id", h("code", null, tenant.tenant_id)],
    ["Created", time(tenant.created_at)],
    ["Changed", time(tenant.updated_at)],
    ["Deleted", tenant.deleted_at ? time(tenant.deleted_at) : null]);
  if (tenant.status === "deleted") return about;
  const rename = form({
    label: "Save name",
    fields: [{ name: "name", label: "Name", value: tenant.name, required: true, what: "a name" }],
    submit: async (values) => {
      await api(path`/api/tenants/${id}`, { method: "PATCH", body: values });
      await again();
      return "The name is saved.";
    },
  });
  return [
    h("div", { class: "two" }, rename, about),
    problem,
    h("p", { class: "row" },
      tenant.status === "active"
        ? action("Suspend", "button danger-quiet", suspend, problem)
        : action("Resume", "button", () => change("active", "The tenant is active again."), problem),
      action("Delete", "button danger-quiet", remove, problem)),
  ];
}

const number = (text) => (text === "" ? null : Number(text));
const DIGITS = { inputmode: "numeric", pattern: /^\d{1,7}$/, patternSays: "Enter a whole number." };

async function limits({ id }) {
  const tenant = await api(path`/api/tenants/${id}`);
  return form({
    label: "Save",
    fields: [
      { name: "rate_limit", label: "Requests a minute", value: tenant.rate_limit ?? "", hint: "Of all its people and keys together. Empty: the default of this installation.", ...DIGITS },
      { name: "user_sync_minutes", label: "Minutes between two syncs of its people", value: tenant.user_sync_minutes ?? "", hint: "0: never. Empty: the default of this installation.", ...DIGITS },
      { name: "allow_trustees", label: "People of trusted other organizations may sign in", type: "checkbox", value: tenant.allow_trustees, optional: false },
    ],
    submit: async (values) => {
      await api(path`/api/tenants/${id}`, {
        method: "PATCH",
        body: { rate_limit: number(values.rate_limit), user_sync_minutes: number(values.user_sync_minutes), allow_trustees: values.allow_trustees },
      });
      return "Saved.";
    },
  });
}
