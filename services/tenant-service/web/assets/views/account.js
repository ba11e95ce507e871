// The administrator's own account: sessions, password, second factor.

import { api, path } from "/assets/api.js";
import { action, announce, badge, explain, facts, h, problemPlace, time } from "/assets/dom.js";
import { form } from "/assets/form.js";
import { authenticator } from "/assets/views/sign_in.js";

export async function show({ again }) {
  const me = await api("/api/admin/me");
  const isEnrolled = me.totp_enrolled ?? me.totpEnrolled;
  return [
    h("section", { class: "card" }, h("h1", null, "Your account"),
      facts(["Name", me.name], ["E-mail", me.email], ["Second factor", isEnrolled ? badge("set up", "good") : badge("not set up", "warn")], ["Last sign-in", me.last_login_at ? time(me.last_login_at) : null])),
    h("section", { class: "card", "aria-labelledby": "sessions-title" }, h("h2", { id: "sessions-title" }, "Where you are signed in"), sessions()),
    h("section", { class: "card", "aria-labelledby": "password-title" }, h("h2", { id: "password-title" }, "Password"), password()),
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
      return h("li", null, h("span", null, "Since ", began, ", last used ", time(session.last_used_at)), session.is_current || session.current ? badge("this one", "good") : button);
    }));
  };
  load().catch((error) => explain(problem, error));
  return h("div", null, problem, list);
}

function password() {
  return form({
    label: "Change password",
    reset: true,
    fields: [
      { name: "current_password", label: "Current password", type: "password", autocomplete: "current-password", required: true, what: "your current password" },
      { name: "new_password", label: "New password", type: "password", autocomplete: "new-password", required: true, what: "a new password" },
    ],
    submit: async (values) => {
      await api("/api/admin/me/password", { method: "POST", body: values });
      return "The password is changed.";
    },
  });
}

function factor(isEnrolled, again) {
  const place = h("div");
  const begin = h("button", { type: "button", class: "button quiet-button", onclick: () => {
    begin.hidden = true;
    place.append(authenticator(again));
  } }, isEnrolled ? "Set up anew" : "Set up");
  return h("div", null, h("p", null, isEnrolled ? "A code is asked at every sign-in." : "Add a code from an authenticator app to your password."), h("p", null, begin), place);
}
