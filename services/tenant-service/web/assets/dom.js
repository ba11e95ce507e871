// Elements. Texts become text nodes and never HTML.

const SVG = "http://www.w3.org/2000/svg";

function give(element, properties) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
}

export function h(tag, properties, ...children) {
  const element = document.createElement(tag);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  give(element, properties);
  return element;
}

/** A drawing of one path, with a name for those who do not see it. */
export function drawing(label, size, path) {
  const svg = document.createElementNS(SVG, "svg");
  give(svg, { class: "qr", role: "img", "aria-label": label, viewBox: `-4 -4 ${size + 8} ${size + 8}`, "shape-rendering": "crispEdges" });
  const modules = document.createElementNS(SVG, "path");
  modules.setAttribute("d", path);
  svg.append(modules);
  return svg;
}

/** Tells those who do not see the change. */
export function announce(text) {
  const place = document.getElementById("announce");
  place.textContent = "";
  // The same text twice would not be read again.
  setTimeout(() => { place.textContent = text; }, 50);
}

export function notice(kind, ...children) {
  return h("div", { class: `notice ${kind}`, role: kind === "bad" ? "alert" : "status" }, ...children);
}

/** What went wrong, and how to ask about it. */
export function explain(place, error) {
  const reference = [error.code, error.requestId].filter(Boolean).join(" · ");
  place.replaceChildren(
    h("p", null, error.message),
    ...(error.fields ?? []).filter((one) => !one.shown).map((one) => h("p", { class: "small" }, `${one.field} ${one.message}`)),
    error.requestId ? h("p", { class: "small quiet" }, reference) : "",
  );
  place.hidden = false;
}

const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** A time for people, the exact one for machines. */
export function time(iso) {
  if (!iso) return "–";
  return h("time", { datetime: iso, title: iso }, moment.format(new Date(iso)));
}

/** Pairs of a term and what it is. */
export function facts(...pairs) {
  const shown = pairs.filter(([, value]) => value !== undefined && value !== null && value !== "");
  return h("dl", null, shown.flatMap(([term, value]) => [h("dt", null, term), h("dd", null, value)]));
}

export function badge(text, kind) {
  return h("span", { class: `badge ${kind ?? ""}` }, text);
}

/** A table that scrolls by itself, also with the keyboard. */
export function table(caption, heads, rows) {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", null,
      h("caption", { class: "away" }, caption),
      h("thead", null, h("tr", null, heads.map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", null, rows)));
}

/** Runs an action of a button: once at a time, what fails goes to `place`. */
export async function busy(button, place, action) {
  if (button.getAttribute("aria-disabled") === "true") return undefined;
  const text = button.textContent;
  // Not `disabled`: the button would lose the focus.
  button.setAttribute("aria-disabled", "true");
  button.textContent = `${text} …`;
  place.hidden = true;
  try {
    return await action();
  } catch (error) {
    explain(place, error);
    return undefined;
  } finally {
    button.removeAttribute("aria-disabled");
    button.textContent = text;
  }
}

export const problemPlace = () => h("div", { class: "notice bad", role: "alert", hidden: true });

/** A button with an action and a place for its failure. */
export function action(label, style, run, place) {
  return h("button", { type: "button", class: style, onclick: (event) => busy(event.currentTarget, place, run) }, label);
}

/** Asks before something that cannot be taken back; answers true for yes. */
export function confirm(title, text, yes) {
  return new Promise((resolve) => {
    const titleId = `dialog-${Date.now()}`;
    const dialog = h("dialog", { "aria-labelledby": titleId },
      h("h2", { id: titleId }, title),
      h("p", null, text),
      h("p", { class: "row" },
        h("button", { type: "button", class: "button danger", onclick: () => dialog.close("yes") }, yes),
        h("button", { type: "button", class: "button quiet-button", autofocus: true, onclick: () => dialog.close("") }, "Cancel")));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

export async function copy(button, text) {
  try {
    await navigator.clipboard.writeText(text);
    announce("Copied.");
    button.textContent = "Copied";
  } catch {
    announce("The browser did not let us copy. Select the text and copy it.");
  }
}
