// Which role people get, by their roles in Genesys.

import { api, path } from "/assets/api.js";
import { announce, busy, explain, h, problemPlace, table } from "/assets/dom.js";

const ROLES = ["agent", "supervisor", "admin", "none"];
const SAYS = { none: "none (may not sign in)" };

const options = (roles = ROLES) => roles.map((role) => h("option", { value: role }, SAYS[role] ?? role));

function choice(label, value, roles) {
  const select = h("select", { "aria-label": label }, options(roles));
  select.value = value;
  return select;
}

export async function roles({ id }) {
  const base = path`/api/tenants/${id}/role-map`;
  const map = await api(base);
  const problem = problemPlace();
  const rows = h("tbody");
  const add = ({ genesys_role: name = "", portal_role: role = "agent" } = {}) => {
    const number = rows.children.length + 1;
    const input = h("input", { "aria-label": `Genesys role ${number}`, value: name, autocomplete: "off", spellcheck: "false" });
    const error = h("span", { class: "error" });
    const line = h("tr", null,
      h("td", null, input, error),
      h("td", null, choice(`Role here for Genesys role ${number}`, role)),
      h("td", null, h("button", { type: "button", class: "button quiet-button small-button", "aria-label": `Remove Genesys role ${number}`, onclick: () => { line.remove(); addButton.focus(); } }, "Remove")));
    rows.append(line);
    return input;
  };
  map.mappings.forEach(add);
  const addButton = h("button", { type: "button", class: "button quiet-button", onclick: () => add().focus() }, "Add a role");
  const unmapped = choice("", map.unmapped_role);
  unmapped.removeAttribute("aria-label");
  unmapped.id = "unmapped-role";
  const save = h("button", { type: "submit", class: "button" }, "Save roles");
  const form = h("form", { novalidate: true },
    h("p", { class: "quiet small" }, "By id or exact name, without regard to case. Of several, the highest counts."),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Roles of this tenant" },
      h("table", null, h("caption", { class: "away" }, "Roles of this tenant"), h("thead", null, h("tr", null, ["Role in Genesys", "Role here", ""].map((head) => h("th", { scope: "col" }, head)))), rows)),
    h("p", { class: "field" }, h("label", { for: unmapped.id }, "Everybody else"), unmapped),
    problem,
    h("p", { class: "row" }, save, addButton));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    busy(save, problem, async () => {
      const lines = [...rows.children];
      const mappings = lines.map((line) => ({ genesys_role: line.querySelector("input").value.trim(), portal_role: line.querySelector("select").value }));
      for (const line of lines) mark(line, "");
      try {
        await api(base, { method: "PUT", body: { unmapped_role: unmapped.value, mappings } });
        announce("The roles are saved.");
      } catch (error) {
        for (const one of error.fields ?? []) {
          const line = lines[Number(/^mappings\[(\d+)\]/.exec(one.field)?.[1])];
          if (!line) continue;
          one.shown = true;
          mark(line, `This ${one.message}.`);
        }
        rows.querySelector('[aria-invalid="true"]')?.focus();
        explain(problem, error);
      }
    });
  });
  return [form, defaults(map.defaults)];
}

function mark(line, message) {
  const input = line.querySelector("input");
  line.querySelector(".error").textContent = message;
  if (message) input.setAttribute("aria-invalid", "true");
  else input.removeAttribute("aria-invalid");
}

function defaults(list) {
  const pairs = Array.isArray(list)
    ? list.map((one) => [one.genesys_role, one.portal_role])
    : Object.entries(list ?? {}).flatMap(([role, names]) => [names].flat().map((name) => [name, role]));
  if (pairs.length === 0) return "";
  return h("details", null, h("summary", null, "What counts beside it (built in)"),
    table("Built-in roles", ["Role in Genesys", "Role here"], pairs.map(([name, role]) => h("tr", null, h("td", null, name), h("td", null, role)))));
}
