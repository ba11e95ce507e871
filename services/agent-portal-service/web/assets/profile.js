import { api, explain, showTime, signedOutEverywhere, start } from "/assets/session.js";

const ROLES = { agent: "Agent", supervisor: "Supervisor", admin: "Administrator" };
const TOKENS = { valid: "working", invalid: "refused by Meta: tell your administrator", unknown: "not used yet" };

const sessions = document.getElementById("sessions");
const problem = document.getElementById("sessions-error");
const announce = document.getElementById("announce");

function fill(list, rows) {
  list.replaceChildren();
  for (const [name, value, isTime] of rows) {
    if (value === null || value === undefined || value === "") continue;
    const term = document.createElement("dt");
    const detail = document.createElement("dd");
    term.textContent = name;
    if (isTime) {
      const time = document.createElement("time");
      showTime(time, value, true);
      detail.append(time);
    } else {
      detail.textContent = value;
    }
    list.append(term, detail);
  }
}

function showProfile(profile) {
  fill(document.getElementById("me"), [
    ["Name", profile.name],
    ["E-mail", profile.email],
    ["Role", ROLES[profile.role] ?? profile.role],
    ["Organization", profile.organization.tenant_name],
    ["Known since", profile.created_at, true],
    ["Last sign-in", profile.last_login_at, true],
  ]);
}

function showWhatsApp(status) {
  document.getElementById("whatsapp-note").textContent = status.connected ? status.note : status.message;
  if (!status.connected) return;
  fill(document.getElementById("whatsapp"), [
    ["Number", status.phone_number],
    ["Account", status.waba_id],
    ["Quality", status.quality_rating],
    ["Limit", status.messaging_limit],
    ["Access", TOKENS[status.token_status] ?? status.token_status],
    ["Connected since", status.created_at, true],
  ]);
}

function describe(session) {
  const item = document.createElement("li");
  const about = document.createElement("div");
  const agent = document.createElement("div");
  agent.textContent = session.is_current ? `${session.user_agent ?? "This browser"} (this window)` : session.user_agent ?? "Another browser";
  const used = document.createElement("div");
  used.className = "small quiet";
  used.append("Last used ");
  const time = document.createElement("time");
  showTime(time, session.last_used_at, true);
  used.append(time);
  about.append(agent, used);
  item.append(about);
  if (!session.is_current) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "plain";
    button.textContent = "End";
    button.setAttribute("aria-label", `End the session of ${agent.textContent}`);
    button.addEventListener("click", () => endSession(session, button));
    item.append(button);
  }
  return item;
}

async function endSession(session, button) {
  button.disabled = true;
  problem.hidden = true;
  try {
    await api(`/api/agents/auth/sessions/${encodeURIComponent(session.session_id)}`, { method: "DELETE" });
    announce.textContent = "The session has ended.";
  } catch (error) {
    if (error.status !== 404) {
      button.disabled = false;
      explain(problem, error);
      return;
    }
  }
  await showSessions();
}

async function showSessions() {
  const found = await api("/api/agents/auth/sessions");
  sessions.replaceChildren(...found.sessions.map(describe));
}

document.getElementById("sign-out-all").addEventListener("click", async (event) => {
  event.target.disabled = true;
  problem.hidden = true;
  try {
    await api("/api/agents/auth/logout-all", { method: "POST" });
    await signedOutEverywhere();
  } catch (error) {
    event.target.disabled = false;
    explain(problem, error);
  }
});

const onProblem = (error) => explain(document.getElementById("me-error"), error);
start(onProblem).then(showProfile).catch(onProblem);
api("/api/agents/whatsapp/status").then(showWhatsApp).catch((error) => {
  document.getElementById("whatsapp-note").textContent = error.message;
});
showSessions().catch((error) => explain(problem, error));
