// Genesys organizations of many tenants from a CSV file: first what would happen, then it happens.

import { api } from "/assets/api.js";
import { action, announce, badge, h, problemPlace, table } from "/assets/dom.js";
import { form } from "/assets/form.js";

const KINDS = { created: "good", set: "good", updated: "good", applied: "good", unchanged: "", ok: "good" };

export async function show() {
  const report = h("div", { "aria-live": "polite" });
  const entry = form({
    label: "Check",
    wide: true,
    fields: [{
      name: "csv", label: "CSV", type: "textarea", rows: 10, required: true, what: "lines of CSV",
      placeholder: "tenant_id,genesys_org_id,genesys_region\nacme_corp,6f1d2c3b-4a5e-4f60-8a7b-9c0d1e2f3a4b,mypurecloud.com",
      hint: "With a heading line. Checking changes nothing.",
    }],
    submit: async ({ csv }) => {
      const outcome = await api("/api/tenants/import?dry_run=true", { method: "POST", csv });
      showReport(report, outcome, csv);
      return "Checked; nothing is changed yet.";
    },
  });
  const area = entry.inputOf("csv");
  const file = h("input", { type: "file", id: "csv-file", accept: ".csv,text/csv", onchange: async () => {
    if (file.files[0]) area.value = await file.files[0].text();
  } });
  // A report is about the text that was checked.
  area.addEventListener("input", () => report.replaceChildren());
  return [
    h("section", { class: "card" },
      h("h1", null, "Import Genesys organizations"),
      h("p", { class: "field" }, h("label", { for: "csv-file" }, "File"), file),
      entry),
    report,
  ];
}

function showReport(place, outcome, csv) {
  const problem = problemPlace();
  const bad = outcome.rows.filter((row) => row.code).length;
  const good = outcome.rows.length - bad;
  const apply = async () => {
    const done = await api("/api/tenants/import?dry_run=false", { method: "POST", csv });
    showReport(place, done, csv);
    announce(done.applied ? "The import is done." : "Nothing was changed.");
  };
  place.replaceChildren(h("section", { class: "card", "aria-label": "Report" },
    h("h2", null, outcome.dry_run ? "What would happen" : "What happened"),
    h("p", null, `${good} of ${outcome.rows.length} lines ${outcome.dry_run ? "can be applied" : "were applied"}${bad ? `, ${bad} cannot` : ""}.`),
    table("Lines", ["Line", "Tenant", "Organization", "Result", ""], outcome.rows.map((row) => h("tr", null,
      h("td", null, String(row.line)),
      h("td", null, row.tenant_id ? h("code", null, row.tenant_id) : ""),
      h("td", null, row.genesys_org_id ? h("code", null, row.genesys_org_id) : ""),
      h("td", { class: "tight" }, badge(row.result.replaceAll("_", " "), row.code ? "bad" : KINDS[row.result])),
      h("td", null, row.message ?? "", row.code ? h("span", { class: "quiet small" }, ` ${row.code}`) : "")))),
    problem,
    outcome.dry_run && good > 0 && bad === 0 ? h("p", null, action("Apply", "button", apply, problem)) : "",
    outcome.dry_run && bad > 0 ? h("p", { class: "quiet" }, "Correct the lines above and check again: it is applied as a whole.") : ""));
}
