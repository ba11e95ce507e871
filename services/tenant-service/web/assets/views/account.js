// The administrator's own account: sessions, password, second factor.

import { api, path } from "/assets/api.js";
import { action, announce, badge, explain, facts, h, problemPlace, time } from "/assets/dom.js";
import { form } from "/assets/form.js";
import { authenticator } from "/assets/views/sign_in.js";

export async function show({ again }) {
  const me = await api("/api/admin/me");
  const isEnrolled = me.totp_enrolled;
  return [
    h("section", { class: "card" }, h("h1", null, "Your account"),
      facts(["Name", me.name], ["E-mail", me.email], ["Second factor", isEnrolled ? badge("set up", "good") : badge("not set up", "warn")], ["Last sign-in", me.last_login_at ? time(me.last_login_at) : null])),
    h("section", { class: "card", "aria-labelledby": "sessions-title" }, h("h2", { id: "sessions-title" }, "Where you are signed in"), sessions()),
    h("section", { class: "card", "aria-labelledby": "password-title" }, h("h2", { id: "password-title" }, "Password"), password(isEnrolled, me.email)),
    h("section", { class: "card", "aria-labelledby": "factor-title" }, h("h2", { id: "factor-title" }, "Second factor"), factor(isEnrolled, again)),
  ];
}

function sessions() {
  const list = h("ul", { class: "plain-list" });
  const problem = problemPlace();
  const load = async () => {
    const found = await api("/api/admin/auth/sessions");
    list.replaceChildren(...found.sessions.map((session) => {
      const end = async () => {
        await api(path`/api/admin/auth/sessions/${session.session_id}`, { method: "DELETE" });
        announce("The session has ended.");
        await load();
      };
      const began = time(session.created_at);
      const button = action("End", "button quiet-button small-button", end, problem);
      button.setAttribute("aria-label", `End the session that began ${began.textContent}`);
      return h("li", null, h("span", null, "Since ", began, ", last used ", time(session.last_used_at), session.user_agent ? h("div", { class: "quiet small" }, session.user_agent) : ""), session.is_current ? badge("this one", "good") : button);
    }));
  };
  load().catch((error) => explain(problem, error));
  return h("div", null, problem, list);
}

const CODE = { name: "totp_code", label: "Code", inputmode: "numeric", autocomplete: "one-time-code", maxlength: 6, required: true, what: "the code that the app shows now", pattern: /^\d{6}$/, patternSays: "Enter the six digits that the app shows." };
const CURRENT = { name: "current_password", label: "Current password", type: "password", autocomplete: "current-password", required: true, what: "your current password" };

function password(isEnrolled, email) {
  const element = form({
    label: "Change password",
    reset: true,
    fields: [
      CURRENT,
      { name: "new_password", label: "New password", type: "password", autocomplete: "new-password", required: true, what: "a new password", hint: "15 characters or more. Other sessions end." },
      ...(isEnrolled ? [CODE] : []),
    ],
    submit: async (values) => (await api("/api/admin/me/password", { method: "POST", body: values })).message,
  });
  // So that password managers know whose password it is.
  element.prepend(h("input", { type: "text", name: "username", autocomplete: "username", value: email, hidden: true, "aria-label": "E-mail" }));
  return element;
}

function factor(isEnrolled, again) {
  if (!isEnrolled) {
    const place = h("div");
    const begin = h("button", { type: "button", class: "button quiet-button", onclick: () => {
      begin.hidden = true;
      place.append(authenticator(again));
    } }, "Set up");
    return h("div", null, h("p", null, "Add a code from an authenticator app to your password."), h("p", null, begin), place);
  }
  return h("div", null,
    h("p", null, "A code is asked at every sign-in."),
    h("details", null, h("summary", null, "Take it away, to set up another app"),
      form({
        label: "Take away",
        buttonClass: "button danger-quiet",
        fields: [{ ...CURRENT, name: "password" }, CODE],
        submit: async (values) => {
          await api("/api/admin/me/totp", { method: "DELETE", body: values });
          announce("The second factor is taken away.");
          await again();
        },
      })));
}
