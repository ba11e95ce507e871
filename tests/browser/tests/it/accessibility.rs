//! What can be told of a page's accessibility by looking at it: names, headings, references, contrast,
//! and whether it fits a narrow screen.

use crate::chrome::Chrome;

const CHECK: &str = r#"
const problems = [];
const seen = (element) => element.checkVisibility?.() ?? element.offsetParent !== null;
const what = (element) => element.outerHTML.slice(0, 160);
if (!document.documentElement.lang) problems.push("no language");
if (!document.title) problems.push("no title");
if (document.querySelectorAll("main").length !== 1) problems.push("not one main");
if ([...document.querySelectorAll("h1")].filter(seen).length !== 1) problems.push("not one h1");
let level = 0;
for (const heading of [...document.querySelectorAll("h1,h2,h3,h4")].filter(seen)) {
  const own = Number(heading.tagName[1]);
  if (own > level + 1) problems.push("skipped a level: " + what(heading));
  level = own;
}
const ids = new Set();
for (const element of document.querySelectorAll("[id]")) {
  if (ids.has(element.id)) problems.push("twice: " + element.id);
  ids.add(element.id);
}
for (const attribute of ["aria-describedby", "aria-labelledby", "for"]) {
  for (const element of document.querySelectorAll(`[${attribute}]`)) {
    for (const id of element.getAttribute(attribute).split(/\s+/)) {
      if (!ids.has(id)) problems.push(`${attribute} to nothing: ${what(element)}`);
    }
  }
}
for (const input of document.querySelectorAll("input, select, textarea")) {
  const label = [...(input.labels ?? [])].map((one) => one.textContent.trim()).join("");
  if (input.type !== "hidden" && !label && !input.getAttribute("aria-label")) problems.push("without label: " + what(input));
}
for (const element of document.querySelectorAll("button, a[href], summary, [role=img], [role=region]")) {
  const images = [...element.querySelectorAll("img")].map((image) => image.alt).join("");
  const name = element.getAttribute("aria-label") || element.textContent.trim() || images;
  if (!name) problems.push("without name: " + what(element));
}
for (const image of document.querySelectorAll("img")) {
  if (!image.hasAttribute("alt")) problems.push("without alt: " + what(image));
}
if (document.querySelector("[tabindex]:not([tabindex='0']):not([tabindex='-1'])")) problems.push("an order of its own");

const light = (rgb) => {
  const [r, g, b] = rgb.map((part) => part / 255).map((part) => part <= .04045 ? part / 12.92 : ((part + .055) / 1.055) ** 2.4);
  return .2126 * r + .7152 * g + .0722 * b;
};
const color = (text) => text.match(/[\d.]+/g).map(Number);
const ground = (element) => {
  for (let one = element; one; one = one.parentElement) {
    const [r, g, b, alpha = 1] = color(getComputedStyle(one).backgroundColor);
    if (alpha > .99) return [r, g, b];
  }
  return [255, 255, 255];
};
for (const element of document.querySelectorAll("body *")) {
  const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  if (!own || !seen(element) || element.closest("[aria-disabled], :disabled, .away, .skip, option")) continue;
  const ink = light(color(getComputedStyle(element).color).slice(0, 3));
  const paper = light(ground(element));
  const contrast = (Math.max(ink, paper) + .05) / (Math.min(ink, paper) + .05);
  if (contrast < 4.5) problems.push(`contrast ${contrast.toFixed(2)}: ${what(element)}`);
}
return problems;
"#;

/// Fails for a page that some people cannot use.
pub(crate) async fn check(chrome: &Chrome, page: &str) {
    let problems = chrome.run(CHECK).await;
    assert_eq!(problems, serde_json::json!([]), "{page}");
}

/// Fails for a page that does not fit 320 pixels, the width of WCAG's reflow.
pub(crate) async fn check_narrow(chrome: &Chrome, page: &str) {
    chrome.emulate_width(320).await;
    let width = chrome
        .run("return document.documentElement.scrollWidth")
        .await;
    chrome.emulate_width(0).await;
    assert!(width.as_u64().unwrap() <= 320, "{page} is {width} wide");
}
