// Shows the three OpenAPI documents as one readable page. Text only goes in through textContent, so
// nothing in a document can become markup.

const SERVICES = ["tenant-service", "agent-portal-service", "outbound-message-service"];
const METHODS = ["get", "post", "put", "patch", "delete"];
// Deep enough to read a message body, short enough for types that contain themselves.
const MAX_DEPTH = 6;

function element(name, text, className) {
  const node = document.createElement(name);
  if (text !== undefined) node.textContent = text;
  if (className) node.className = className;
  return node;
}

function resolve(api, node) {
  let current = node;
  for (let hops = 0; current?.$ref && hops < 10; hops += 1) {
    current = current.$ref.replace(/^#\//, "").split("/")
      .reduce((at, key) => at?.[key.replaceAll("~1", "/").replaceAll("~0", "~")], api);
  }
  return current ?? {};
}

// A schema as an example-like shape: names with their types, "?" for what may be left out.
function shape(api, given, depth = 0) {
  const schema = resolve(api, given);
  if (depth > MAX_DEPTH) return "…";
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  for (const key of ["oneOf", "anyOf"]) {
    if (schema[key]) return [...new Set(schema[key].map((part) => shape(api, part, depth)))].join(" | ");
  }
  if (schema.allOf) return schema.allOf.map((part) => shape(api, part, depth)).join(" & ");
  const types = [schema.type ?? (schema.properties ? "object" : "any")].flat();
  return types.map((type) => {
    if (type === "array") return `[${shape(api, schema.items ?? {}, depth + 1)}]`;
    if (type === "object" && schema.properties) return objectShape(api, schema, depth);
    return schema.format && type !== "null" ? `${type} (${schema.format})` : type;
  }).join(" | ");
}

function objectShape(api, schema, depth) {
  const pad = "  ".repeat(depth + 1);
  const required = new Set(schema.required ?? []);
  const lines = Object.entries(schema.properties).map(([name, value]) =>
    `${pad}${name}${required.has(name) ? "" : "?"}: ${shape(api, value, depth + 1)}`);
  return `{\n${lines.join("\n")}\n${"  ".repeat(depth)}}`;
}

function parametersTable(api, parameters) {
  const table = element("table");
  const head = table.createTHead().insertRow();
  for (const title of ["Name", "In", "Type", "Meaning"]) {
    const cell = element("th", title);
    cell.scope = "col";
    head.append(cell);
  }
  const body = table.createTBody();
  for (const given of parameters) {
    const parameter = resolve(api, given);
    const row = body.insertRow();
    const name = row.insertCell();
    name.append(element("code", parameter.name + (parameter.required ? "" : "?")));
    row.insertCell().textContent = parameter.in;
    row.insertCell().textContent = shape(api, parameter.schema ?? {});
    row.insertCell().textContent = parameter.description ?? "";
  }
  return table;
}

function appendContent(target, api, content) {
  for (const [type, media] of Object.entries(content ?? {})) {
    target.append(element("p", type, "text"));
    if (media.schema) target.append(element("pre", shape(api, media.schema)));
  }
}

function operationView(api, path, method, operation, shared) {
  const view = element("details");
  const summary = element("summary");
  summary.append(element("span", method.toUpperCase(), "method"), element("code", path), " ",
    element("span", operation.summary ?? "", "text"));
  const body = element("div", undefined, "body");
  if (operation.description) body.append(element("p", operation.description));
  const parameters = [...shared, ...(operation.parameters ?? [])];
  if (parameters.length > 0) body.append(element("h4", "Parameters"), parametersTable(api, parameters));
  if (operation.requestBody) {
    body.append(element("h4", "Request body"));
    appendContent(body, api, resolve(api, operation.requestBody).content);
  }
  for (const [status, given] of Object.entries(operation.responses ?? {})) {
    const response = resolve(api, given);
    body.append(element("h4", `${status} ${response.description ?? ""}`));
    appendContent(body, api, response.content);
  }
  view.append(summary, body);
  view.dataset.search = `${method} ${path} ${operation.summary ?? ""} ${operation.operationId ?? ""}`.toLowerCase();
  return view;
}

function serviceView(name, api) {
  const section = element("section");
  section.id = name;
  section.append(element("h2", `${name} ${api.info?.version ?? ""}`));
  const source = element("a", "OpenAPI document");
  source.href = `/docs/${name}.json`;
  section.append(source);
  const groups = new Map();
  for (const [path, item] of Object.entries(api.paths ?? {})) {
    for (const method of METHODS.filter((verb) => item[verb])) {
      const operation = item[method];
      const tag = operation.tags?.[0] ?? "other";
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(operationView(api, path, method, operation, item.parameters ?? []));
    }
  }
  for (const [tag, views] of groups) section.append(element("h3", tag), ...views);
  return section;
}

async function load(name) {
  const response = await fetch(`/docs/${name}.json`);
  if (!response.ok) throw new Error(`answered ${response.status}`);
  return serviceView(name, await response.json());
}

function failedView(name, error) {
  const section = element("section");
  section.id = name;
  section.append(element("h2", name), element("p", `Its document could not be loaded: ${error.message}.`, "error"));
  return section;
}

function filter(words) {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const view of document.querySelectorAll("details")) {
    view.hidden = !wanted.every((word) => view.dataset.search.includes(word));
    if (!view.hidden) shown += 1;
  }
  document.getElementById("state").textContent = `${shown} operations.`;
}

const views = await Promise.all(SERVICES.map((name) => load(name).catch((error) => failedView(name, error))));
document.getElementById("main").append(...views);
const input = document.getElementById("filter");
input.addEventListener("input", () => filter(input.value));
filter(input.value);
// The sections are new, so the address's fragment has to be followed once more.
document.getElementById(location.hash.slice(1))?.scrollIntoView();
