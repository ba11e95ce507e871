import { api, explain, showTime, start } from "/assets/session.js";

const MAX_TEXT = 4096;
const STEPS = ["accepted", "sent", "delivered", "read"];
const NAMES = { accepted: "accepted", sending: "being sent", sent: "sent", delivered: "delivered", read: "read", failed: "failed", unknown: "not confirmed yet" };
const STORED = "sent-messages";
// Quick at first, when things happen, then patient; a message may be read days later.
const FIRST_PAUSE = 400;
const LONGEST_PAUSE = 15_000;
const GIVE_UP = 30 * 60_000;

const form = document.getElementById("send");
const to = document.getElementById("to");
const text = document.getElementById("text");
const count = document.getElementById("text-count");
const button = document.getElementById("send-button");
const problem = document.getElementById("send-error");
const channel = document.getElementById("channel");
const list = document.getElementById("sent");
const empty = document.getElementById("sent-empty");
const announce = document.getElementById("announce");
const template = document.getElementById("message-template");

let canSend = false;
let isSending = false;
// The same attempt keeps its key: sending again after a lost answer sends no second message.
let attempt = null;

const length = (value) => [...value].length;

function updateButton() {
  button.disabled = isSending || !canSend;
  button.textContent = isSending ? "Sending …" : "Send";
}

function updateCount() {
  const used = length(text.value);
  count.textContent = `${used.toLocaleString("en")} of ${MAX_TEXT.toLocaleString("en")} characters`;
  count.classList.toggle("over", used > MAX_TEXT);
}

function setError(field, message) {
  document.getElementById(`${field.id}-error`).textContent = message;
  if (message) field.setAttribute("aria-invalid", "true");
  else field.removeAttribute("aria-invalid");
}

function validate() {
  const digits = to.value.replace(/[\s().\-\u00a0]/g, "").replace(/^\+/, "");
  setError(to, /^\d{7,15}$/.test(digits) ? "" : "Enter a phone number with its country code, for example +14155550123.");
  const used = length(text.value);
  let message = "";
  if (text.value.trim() === "") message = "Write a message.";
  else if (used > MAX_TEXT) message = `The message is too long by ${(used - MAX_TEXT).toLocaleString("en")}; ${MAX_TEXT.toLocaleString("en")} characters fit.`;
  setError(text, message);
  return form.querySelector('[aria-invalid="true"]');
}

function newKey() {
  if (crypto.randomUUID) return crypto.randomUUID();
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function send(event) {
  event.preventDefault();
  problem.hidden = true;
  if (isSending || !canSend) return;
  const wrong = validate();
  if (wrong) {
    wrong.focus();
    return;
  }
  const body = { to: to.value.trim(), text: text.value };
  const content = JSON.stringify(body);
  if (attempt?.content !== content) attempt = { content, key: newKey() };
  isSending = true;
  updateButton();
  try {
    const accepted = await api("/api/messages/send", { method: "POST", body, headers: { "idempotency-key": attempt.key } });
    attempt = null;
    remember(accepted.message_id);
    show({ message_id: accepted.message_id, to: accepted.to, text: body.text, status: accepted.status, accepted_at: new Date().toISOString() });
    announce.textContent = `Message to ${accepted.to} accepted.`;
    text.value = "";
    updateCount();
    text.focus();
  } catch (error) {
    for (const { field, message } of error.fields) {
      const input = { to, text }[field];
      if (input) setError(input, `This ${message}.`);
    }
    explain(problem, error);
  } finally {
    isSending = false;
    updateButton();
  }
}

const shown = new Map();

function remembered() {
  try {
    const ids = JSON.parse(sessionStorage.getItem(STORED) ?? "[]");
    return Array.isArray(ids) ? ids : [];
  } catch {
    return [];
  }
}

function remember(id) {
  // Ids only: numbers and texts stay with the service.
  sessionStorage.setItem(STORED, JSON.stringify([id, ...remembered().filter((known) => known !== id)].slice(0, 50)));
}

function forget(id) {
  sessionStorage.setItem(STORED, JSON.stringify(remembered().filter((known) => known !== id)));
}

function show(message, atEnd = false) {
  const item = template.content.firstElementChild.cloneNode(true);
  shown.set(message.message_id, { item, status: null });
  if (atEnd) list.append(item);
  else list.prepend(item);
  empty.hidden = true;
  update(message, true);
  follow(message.message_id);
}

function reached(message) {
  const times = { accepted: message.accepted_at };
  for (const event of message.history ?? []) times[event.status] ??= event.at;
  const status = STEPS.indexOf(message.status);
  // A later step implies the earlier ones, also when Meta told them in another order or not at all.
  STEPS.slice(0, status + 1).forEach((step) => { times[step] ??= ""; });
  return times;
}

function update(message, isFirst = false) {
  const entry = shown.get(message.message_id);
  if (!entry) return;
  const { item } = entry;
  item.querySelector(".message-to").textContent = message.to;
  item.querySelector(".message-text").textContent = message.text ?? "";
  showTime(item.querySelector(".message-head time"), message.accepted_at, true);
  const times = reached(message);
  for (const step of item.querySelectorAll(".steps li")) {
    const time = times[step.dataset.step];
    step.classList.toggle("done", time !== undefined);
    showTime(step.querySelector("time"), time);
  }
  const note = item.querySelector(".message-note");
  item.classList.toggle("failed", message.status === "failed");
  if (message.status === "failed") {
    const next = [...item.querySelectorAll(".steps li")].find((step) => !step.classList.contains("done"));
    next?.classList.add("broken");
    const error = message.error ?? {};
    note.textContent = ["Not sent", error.title, error.details].filter(Boolean).join(": ");
  } else if (message.status === "unknown") {
    note.textContent = "WhatsApp’s answer was lost. The message is not sent again; its state is settled when WhatsApp reports on it.";
  } else {
    note.textContent = "";
  }
  if (!isFirst && entry.status !== message.status) {
    announce.textContent = `Message to ${message.to} ${NAMES[message.status] ?? message.status}.`;
  }
  entry.status = message.status;
}

const isFinal = (message) => message.status === "read" || message.status === "failed";
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const untilVisible = () => new Promise((resolve) => {
  if (!document.hidden) resolve();
  else document.addEventListener("visibilitychange", resolve, { once: true });
});

async function follow(id) {
  const begun = Date.now();
  let pause = FIRST_PAUSE;
  while (Date.now() - begun < GIVE_UP) {
    await sleep(pause);
    await untilVisible();
    try {
      const message = await api(`/api/messages/${encodeURIComponent(id)}`);
      if (message.status !== shown.get(id)?.status) pause = FIRST_PAUSE;
      update(message);
      if (isFinal(message)) return;
    } catch (error) {
      if (error.status === 404 || error.status === 400) {
        forget(id);
        shown.get(id)?.item.remove();
        shown.delete(id);
        empty.hidden = shown.size > 0;
        return;
      }
    }
    pause = Math.min(pause * 1.5, LONGEST_PAUSE);
  }
}

async function restore() {
  for (const id of remembered()) {
    try {
      show(await api(`/api/messages/${encodeURIComponent(id)}`), true);
    } catch (error) {
      if (error.status === 404 || error.status === 400) forget(id);
    }
  }
}

async function showChannel() {
  try {
    const status = await api("/api/agents/whatsapp/status");
    canSend = status.connected;
    channel.textContent = status.connected ? `Messages leave from ${status.phone_number} (${status.organization_name}).` : status.message;
    channel.className = status.connected ? "notice good" : "notice bad";
  } catch (error) {
    // Whether it works is for the service to say; the form stays usable.
    canSend = true;
    explain(channel, error);
    channel.className = "notice bad";
  }
  updateButton();
}

form.addEventListener("submit", send);
text.addEventListener("input", () => { updateCount(); setError(text, ""); });
to.addEventListener("input", () => setError(to, ""));
text.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});
updateCount();
updateButton();

const onProblem = (error) => explain(problem, error);
start(onProblem).catch(onProblem);
showChannel();
restore();
