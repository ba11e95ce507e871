//! The browser's side of Embedded Signup: a stand-in of Meta's JavaScript SDK, and the window in
//! which a person picks an account.

use std::sync::Arc;

use serde_json::{Value, json};
use url::Url;

use super::seed;
use super::signup::make_code;
use super::world::{Waba, both_scopes};
use crate::genesys::pages::{escape, frame};
use crate::http::{Call, Reply};
use crate::state::State;

/// `sdk.js`.
pub(crate) fn sdk() -> Reply {
    let mut reply = Reply::empty(200)
        .with("content-type", "application/x-javascript; charset=utf-8")
        .with("access-control-allow-origin", "*");
    reply.body = include_bytes!("sdk.js").as_slice().into();
    reply
}

/// The window: asked with GET it shows what can be picked, with POST it ends.
pub(crate) fn page(state: &Arc<State>, call: &Call) -> Reply {
    let origin = call.query("origin").and_then(|text| {
        let url = Url::parse(text).ok()?;
        matches!(url.scheme(), "http" | "https").then(|| url.origin().ascii_serialization())
    });
    let Some(origin) = origin else {
        return refusal("The window was not opened by the SDK.");
    };
    if call.query("app_id") != Some(seed::APP_ID) {
        return refusal("Invalid App ID: The provided app ID does not look like a valid app ID.");
    }
    if call.query("config_id").is_none_or(str::is_empty) {
        return refusal("A config_id of Facebook Login for Business is needed.");
    }
    if call.method == "GET" {
        return Reply::html(200, choice(&state.graph().wabas, call));
    }
    let form = call.form();
    let field = |name: &str| {
        let found = form.iter().find(|(have, _)| have == name);
        found.map(|(_, value)| value.as_str())
    };
    let Some((waba_id, phone_number_id)) = field("pick").and_then(|pick| pick.split_once('/'))
    else {
        return Reply::html(200, ending(&origin, &cancelled(), None));
    };
    let mut world = state.graph();
    let Some(waba) = world.waba_mut(waba_id).cloned() else {
        return refusal("There is no such account.");
    };
    let code = make_code(&mut world, waba_id, both_scopes());
    Reply::html(
        200,
        ending(&origin, &finished(&waba, phone_number_id), Some(&code)),
    )
}

fn finished(waba: &Waba, phone_number_id: &str) -> Value {
    let is_on_biz_app = waba.phones.iter().any(|phone| phone.is_on_biz_app);
    let mut data = json!({"waba_id": waba.id, "business_id": seed::BUSINESS_ID});
    let event = if is_on_biz_app {
        "FINISH_WHATSAPP_BUSINESS_APP_ONBOARDING"
    } else if phone_number_id.is_empty() {
        "FINISH_ONLY_WABA"
    } else {
        if let Some(members) = data.as_object_mut() {
            members.insert("phone_number_id".to_owned(), json!(phone_number_id));
        }
        "FINISH"
    };
    json!({"type": "WA_EMBEDDED_SIGNUP", "event": event, "data": data, "version": "4"})
}

fn cancelled() -> Value {
    let data = json!({"current_step": "PHONE_NUMBER_SETUP"});
    json!({"type": "WA_EMBEDDED_SIGNUP", "event": "CANCEL", "data": data, "version": "4"})
}

fn refusal(message: &str) -> Reply {
    let body = format!(
        "<h1>Sorry, something went wrong.</h1><p>{}</p>",
        escape(message)
    );
    Reply::html(400, frame("Error (sandbox)", &body))
}

fn choice(wabas: &[Waba], call: &Call) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(&call.query)
        .finish();
    let accounts: String = wabas.iter().map(account).collect();
    let body = format!(
        r#"<h1>Connect WhatsApp <small>(sandbox)</small></h1>
<p class="note">Pick what <strong>Agent Portal</strong> may use. No password is asked here.</p>
<form method="post" action="/dialog/signup?{query}">{accounts}
<button name="cancel" value="1" type="submit">Cancel</button></form>"#,
        query = escape(&query),
    );
    frame("Embedded Signup (sandbox)", &body)
}

fn account(waba: &Waba) -> String {
    let pick = |phone_number_id: &str, text: &str| {
        format!(
            r#"<button class="primary" name="pick" value="{}/{}" type="submit">Finish with {}</button>"#,
            escape(&waba.id),
            escape(phone_number_id),
            escape(text),
        )
    };
    let numbers: String = waba
        .phones
        .iter()
        .map(|phone| pick(&phone.id, &phone.display_phone_number))
        .collect();
    format!(
        "<h2>{} <small>{}</small></h2>{numbers}{}",
        escape(&waba.name),
        escape(&waba.id),
        pick("", "the account only"),
    )
}

/// Tells the page the session's event and the SDK the code, and closes.
fn ending(origin: &str, event: &Value, code: Option<&str>) -> String {
    // Neither text may end the script element.
    let literal = |value: Value| value.to_string().replace('<', "\\u003c");
    let script = format!(
        "<h1>Done</h1><p>This window can be closed.</p><script>\
         if (window.opener) {{ \
         window.opener.postMessage({event}, {origin}); \
         window.opener.postMessage({answer}, {origin}); \
         window.close(); }}</script>",
        // The page gets a text and not an object, as from Meta.
        event = literal(json!(event.to_string())),
        answer = literal(json!({"sandbox_signup": {"code": code}})),
        origin = literal(json!(origin)),
    );
    frame("Embedded Signup (sandbox)", &script)
}
