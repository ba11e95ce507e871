// Signing in, and setting up the second factor where one is needed.

import { api, ownServer, renew, signIn } from "/assets/api.js";
import { announce, drawing, explain, h, notice, problemPlace } from "/assets/dom.js";
import { form } from "/assets/form.js";

export function show({ error, done }) {
  const place = problemPlace();
  if (error) explain(place, error);
  return h("section", { class: "card" },
    h("img", { class: "mark", src: "/assets/favicon.svg", alt: "", width: 48, height: 48 }),
    h("h1", null, "Administration"),
    h("p", { class: "quiet" }, "For platform administrators of Agent Portal."),
    place,
    form({
      label: "Sign in",
      buttonClass: "button",
      fields: [
        { name: "email", label: "E-mail", type: "email", autocomplete: "username", required: true, what: "your e-mail address" },
        { name: "password", label: "Password", type: "password", autocomplete: "current-password", required: true, what: "your password" },
        { name: "totp_code", label: "Code", inputmode: "numeric", autocomplete: "one-time-code", maxlength: 8, hint: "From your authenticator app, if you have set it up." },
      ],
      submit: async (values) => {
        place.hidden = true;
        const code = values.totp_code.replace(/\s/g, "");
        await done(await signIn({ email: values.email, password: values.password, ...(code ? { totp_code: code } : {}) }));
      },
    }));
}

/** The secret as text and as a drawing, and the first code as proof; `finished` comes after it. */
export function authenticator(finished) {
  const body = h("div", null, h("p", { class: "quiet" }, "…"));
  const problem = problemPlace();
  const begin = async () => {
    const { secret, otpauth_uri: uri } = await api("/api/admin/me/totp", { method: "POST", body: {} });
    const code = await ownServer("/session/qr", { text: uri }).catch(() => null);
    body.replaceChildren(
      h("p", null, "Scan this with an authenticator app, or enter the key by hand. Then enter the code that the app shows."),
      code ? drawing("QR code of the address below", code.size, code.path) : "",
      h("h2", null, "Key"),
      h("code", { class: "secret", id: "totp-secret" }, secret),
      h("details", null, h("summary", null, "Whole address"), h("code", { class: "secret" }, uri)),
      form({
        label: "Confirm",
        fields: [{ name: "totp_code", label: "Code", inputmode: "numeric", autocomplete: "one-time-code", required: true, maxlength: 8, what: "the code of six digits", pattern: /^\s*\d{3}\s?\d{3}\s*$/, patternSays: "Enter the six digits that the app shows." }],
        submit: async (values) => {
          await api("/api/admin/me/totp/confirm", { method: "POST", body: { totp_code: values.totp_code.replace(/\s/g, "") } });
          announce("The second factor is set up.");
          await finished();
        },
      }));
  };
  begin().catch((error) => {
    body.replaceChildren();
    explain(problem, error);
  });
  return h("div", null, problem, body);
}

export function enrol({ done, leave }) {
  return h("section", { class: "card" },
    h("h1", null, "Set up your second factor"),
    notice("", h("p", null, "Administrators sign in with a password and a code. Until this is set up, nothing else can be done.")),
    authenticator(async () => done(await renew())),
    h("p", null, h("button", { type: "button", class: "plain", onclick: leave }, "Sign out instead")));
}
