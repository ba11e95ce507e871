// Forms: every input has a label, what the API refuses stands at its input, and nothing that was
// entered is lost when something goes wrong.

import { announce, explain, h, problemPlace } from "/assets/dom.js";

let count = 0;

function makeInput(field, id) {
  const shared = {
    id,
    name: field.name,
    required: field.required,
    autocomplete: field.autocomplete ?? "off",
    "aria-describedby": `${field.hint ? `${id}-hint ` : ""}${id}-error`,
  };
  if (field.type === "select") {
    const select = h("select", shared, field.options.map(([value, label]) => h("option", { value }, label)));
    select.value = field.value ?? field.options[0]?.[0] ?? "";
    return select;
  }
  if (field.type === "textarea") {
    return h("textarea", { ...shared, rows: field.rows ?? 6, spellcheck: "false", value: field.value ?? "" });
  }
  if (field.type === "checkbox") {
    const box = h("input", { ...shared, type: "checkbox" });
    box.checked = Boolean(field.value);
    return box;
  }
  return h("input", {
    ...shared,
    type: field.type ?? "text",
    inputmode: field.inputmode,
    placeholder: field.placeholder,
    maxlength: field.maxlength,
    min: field.min,
    max: field.max,
    spellcheck: "false",
    autocapitalize: "off",
    value: field.value ?? "",
  });
}

function row(field) {
  count += 1;
  const id = `${field.name}-${count}`;
  const input = makeInput(field, id);
  const error = h("span", { class: "error", id: `${id}-error` });
  const label = h("label", { for: id }, field.label, field.required ? "" : field.optional === false ? "" : h("span", { class: "quiet small" }, " (optional)"));
  const hint = field.hint ? h("span", { class: "small quiet", id: `${id}-hint` }, field.hint) : null;
  const isBox = field.type === "checkbox";
  input.addEventListener("input", () => setError(input, error, ""));
  return {
    field,
    input,
    error,
    element: h("p", { class: isBox ? "field box" : "field" }, isBox ? [input, label] : [label, input], hint, error),
  };
}

function setError(input, place, message) {
  place.textContent = message;
  if (message) input.setAttribute("aria-invalid", "true");
  else input.removeAttribute("aria-invalid");
}

function read({ field, input }) {
  if (field.type === "checkbox") return input.checked;
  if (field.type === "password" || field.type === "textarea") return input.value;
  return input.value.trim();
}

/** Everything wrong at once, before anything is sent. */
function check(rows) {
  for (const one of rows) {
    const value = read(one);
    let message = "";
    if (one.field.required && value === "") message = `Enter ${one.field.what ?? "a value"}.`;
    else if (one.field.pattern && value !== "" && !one.field.pattern.test(value)) message = one.field.patternSays;
    setError(one.input, one.error, message);
  }
  return rows.find((one) => one.input.hasAttribute("aria-invalid"));
}

/**
 * `fields`: {name, label, type?, value?, hint?, required?, options?, pattern?, patternSays?}.
 * `submit(values)` does it; what it answers is announced.
 */
export function form({ fields, submit, label, buttonClass = "button", reset = false, extra = [], wide = false }) {
  const rows = fields.map(row);
  const problem = problemPlace();
  const button = h("button", { type: "submit", class: buttonClass }, label);
  const element = h("form", { novalidate: true, class: wide ? "wide-form" : undefined },
    rows.map((one) => one.element), problem, h("p", { class: "row" }, button, extra));
  let isSending = false;
  element.addEventListener("submit", async (event) => {
    event.preventDefault();
    problem.hidden = true;
    if (isSending) return;
    const wrong = check(rows);
    if (wrong) {
      wrong.input.focus();
      return;
    }
    isSending = true;
    button.setAttribute("aria-disabled", "true");
    button.textContent = `${label} …`;
    try {
      const said = await submit(Object.fromEntries(rows.map((one) => [one.field.name, read(one)])));
      if (reset) element.reset();
      if (typeof said === "string") announce(said);
    } catch (error) {
      refuse(rows, problem, error);
    } finally {
      isSending = false;
      button.removeAttribute("aria-disabled");
      button.textContent = label;
    }
  });
  element.inputOf = (name) => rows.find((one) => one.field.name === name)?.input;
  return element;
}

function refuse(rows, problem, error) {
  let first = null;
  for (const one of error.fields ?? []) {
    // `numbers[0]` and the like belong to the input of the whole.
    const name = one.field.split(/[.[]/)[0];
    const known = rows.find((candidate) => candidate.field.name === name);
    if (!known) continue;
    one.shown = true;
    setError(known.input, known.error, `This ${one.message}.`);
    first ??= known.input;
  }
  explain(problem, error);
  first?.focus();
}
