// A tenant's WhatsApp Business Account: what is there, by signup or by hand.

import { api, path } from "/assets/api.js";
import { action, announce, badge, confirm, facts, h, notice, problemPlace, time } from "/assets/dom.js";
import { form } from "/assets/form.js";
import { verdict } from "/assets/views/genesys.js";
import { signup } from "/assets/views/signup.js";
import { given } from "/assets/views/tenants.js";

const TOKENS = { valid: "good", invalid: "bad", unknown: "warn" };

const orNone = (error) => {
  if (error.status === 404) return null;
  throw error;
};

export async function whatsapp({ id, reload }) {
  const account = await api(path`/api/tenants/${id}/whatsapp`).catch(orNone);
  return [
    account ? present(id, account, reload) : notice("warn", h("p", null, "Not connected: nobody of this tenant can send.")),
    ...[await signup({ id, reload, isConnected: Boolean(account) })].flat(),
    h("details", null, h("summary", null, account ? "Replace by hand" : "Connect by hand"), manual(id, account, reload)),
  ];
}

function present(id, account, reload) {
  const problem = problemPlace();
  const checks = h("ul", { class: "steps", "aria-live": "polite" });
  const verify = async () => {
    const answer = await api(path`/api/tenants/${id}/whatsapp/verify`, { method: "POST", body: {} });
    checks.replaceChildren(...answer.checks.map((one) => verdict(one.check.replaceAll("_", " "), one.ok, one.message, one.code)));
    announce(answer.ok ? "Everything is fine." : "Something is not fine.");
  };
  const remove = async () => {
    if (!await confirm("Remove the WhatsApp configuration?", "Nobody of this tenant can send until it is connected again. At Meta nothing changes.", "Remove")) return;
    await api(path`/api/tenants/${id}/whatsapp`, { method: "DELETE" });
    announce("The configuration is removed.");
    await reload();
  };
  return h("div", null,
    facts(
      ["Number", h("strong", null, account.display_phone_number)],
      ["Number id", h("code", null, account.phone_number_id)],
      ["Account id (WABA)", h("code", null, account.waba_id)],
      ["Business id", account.business_id ? h("code", null, account.business_id) : null],
      ["Token", h("span", null, h("code", null, account.access_token), " ", badge(account.token_status, TOKENS[account.token_status]))],
      ["Token’s error at Meta", account.token_error_code],
      ["Quality", account.quality_rating],
      ["Messaging limit", account.messaging_limit],
      ["Changed", time(account.updated_at)]),
    checks, problem,
    h("p", { class: "row" }, action("Verify with Meta", "button quiet-button", verify, problem), action("Remove", "button danger-quiet", remove, problem)));
}

function manual(id, account, reload) {
  const DIGITS = { inputmode: "numeric", pattern: /^\d+$/, patternSays: "Enter digits only." };
  return form({
    label: "Save configuration",
    fields: [
      { name: "waba_id", label: "WhatsApp Business Account id", value: account?.waba_id, required: true, what: "the account’s id", ...DIGITS },
      { name: "phone_number_id", label: "Phone number id", value: account?.phone_number_id, required: true, what: "the number’s id", ...DIGITS },
      { name: "display_phone_number", label: "Phone number", type: "tel", value: account?.display_phone_number, required: true, what: "the phone number", placeholder: "+14155550123" },
      { name: "business_id", label: "Business id", value: account?.business_id, ...DIGITS },
      { name: "access_token", label: "Access token", type: "password", autocomplete: "new-password", required: true, what: "an access token", hint: "Of a system user, with whatsapp_business_messaging and whatsapp_business_management. It is stored sealed and never shown." },
    ],
    submit: async (values) => {
      await api(path`/api/tenants/${id}/whatsapp`, { method: "PUT", body: given(values) });
      await reload();
      return "The configuration is saved.";
    },
  });
}
