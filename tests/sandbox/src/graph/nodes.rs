//! Reads of a phone number, an account, its numbers, and `debug_token`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::errors::GraphError;
use super::pacing::Pacing;
use super::seed;
use super::templates::edges::WITHOUT_VALUE as TEMPLATE_WITHOUT_VALUE;
use super::world::{GraphToken, GraphWorld, MANAGEMENT, MESSAGING, Phone, TokenState, Waba};
use crate::http::{Call, Reply};

const PHONE_NODE: &str = "WhatsAppBusinessPhoneNumber";
const PHONE_DEFAULTS: [&str; 6] = [
    "verified_name",
    "code_verification_status",
    "display_phone_number",
    "quality_rating",
    "platform_type",
    "throughput",
];
const WABA_DEFAULTS: [&str; 3] = ["name", "timezone_id", "message_template_namespace"];

/// Fields that the node type has and that are without a value here: Graph leaves such a field out
/// instead of refusing it.
const PHONE_WITHOUT_VALUE: [&str; 10] = [
    "ba_cert",
    "certificate",
    "conversational_automation",
    "country_code",
    "country_dial_code",
    "eligibility_for_api_business_global_search",
    "is_preverified_number",
    "new_certificate",
    "search_visibility",
    "username",
];

/// Names asked for in `fields`; sub-selections in braces are cut off.
fn fields(call: &Call, defaults: &[&str]) -> Vec<String> {
    let Some(asked) = call.query("fields") else {
        return defaults.iter().map(|name| (*name).to_owned()).collect();
    };
    let mut names = vec![String::new()];
    let mut depth = 0_u32;
    for c in asked.chars() {
        match c {
            '{' | '(' => depth += 1,
            '}' | ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => names.push(String::new()),
            c if depth == 0 && !c.is_whitespace() => {
                if let Some(name) = names.last_mut() {
                    name.push(c);
                }
            }
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// The node with the fields asked for; `id` always comes along.
pub(crate) fn select(
    all: &Value,
    call: &Call,
    defaults: &[&str],
    node: &str,
) -> Result<Value, GraphError> {
    let mut shown = Map::new();
    for name in fields(call, defaults) {
        match all.get(&name) {
            Some(value) => {
                shown.insert(name, value.clone());
            }
            None if node == PHONE_NODE && PHONE_WITHOUT_VALUE.contains(&name.as_str()) => {}
            None if node != PHONE_NODE && TEMPLATE_WITHOUT_VALUE.contains(&name.as_str()) => {}
            None => return Err(GraphError::no_field(&name, node)),
        }
    }
    shown.insert(
        "id".to_owned(),
        all.get("id").cloned().unwrap_or(Value::Null),
    );
    Ok(Value::Object(shown))
}

fn phone_fields(waba: &Waba, phone: &Phone, pacing: &Pacing) -> Value {
    let own = pacing.number(&phone.id);
    let tier = own.tier.as_deref().unwrap_or("TIER_2K");
    let quality = own.quality.as_deref().unwrap_or("GREEN");
    let (status, platform, can_send) = if phone.registered {
        ("CONNECTED", "CLOUD_API", "AVAILABLE")
    } else {
        ("PENDING", "NOT_APPLICABLE", "BLOCKED")
    };
    let status = own.status.as_deref().unwrap_or(status);
    let verification = if phone.code_verified {
        "VERIFIED"
    } else {
        "NOT_VERIFIED"
    };
    json!({
        "id": phone.id,
        "verified_name": phone.verified_name,
        "display_phone_number": phone.display_phone_number,
        "code_verification_status": verification,
        "name_status": "APPROVED",
        "new_name_status": "NONE",
        "quality_rating": quality,
        "quality_score": {"score": quality},
        "platform_type": platform,
        "throughput": {"level": own.level},
        "status": status,
        "account_mode": "LIVE",
        "is_official_business_account": false,
        "is_on_biz_app": phone.is_on_biz_app,
        "is_pin_enabled": phone.pin.is_some(),
        "last_onboarded_time": "2025-01-01T00:00:00+0000",
        "messaging_limit_tier": tier,
        "whatsapp_business_manager_messaging_limit": tier,
        "webhook_configuration": {},
        "health_status": {
            "can_send_message": can_send,
            "entities": [
                {"entity_type": "PHONE_NUMBER", "id": phone.id, "can_send_message": can_send},
                {"entity_type": "WABA", "id": waba.id, "can_send_message": "AVAILABLE"},
                {"entity_type": "APP", "id": seed::APP_ID, "can_send_message": "AVAILABLE"},
            ],
        },
    })
}

pub(crate) fn phone(
    call: &Call,
    waba: &Waba,
    phone: &Phone,
    pacing: &Pacing,
) -> Result<Reply, GraphError> {
    let all = phone_fields(waba, phone, pacing);
    Ok(Reply::json(
        200,
        &select(&all, call, &PHONE_DEFAULTS, PHONE_NODE)?,
    ))
}

pub(crate) fn waba(call: &Call, waba: &Waba) -> Result<Reply, GraphError> {
    let all = json!({
        "id": waba.id,
        "name": waba.name,
        "timezone_id": "1",
        "message_template_namespace": format!("sandbox_{}", waba.id),
        "currency": "USD",
        "country": "US",
        "account_review_status": "APPROVED",
        "business_verification_status": "verified",
        "ownership_type": "SELF",
        "status": "ACTIVE",
    });
    Ok(Reply::json(
        200,
        &select(&all, call, &WABA_DEFAULTS, "WhatsAppBusinessAccount")?,
    ))
}

pub(crate) fn phone_numbers(
    call: &Call,
    waba: &Waba,
    pacing: &Pacing,
) -> Result<Reply, GraphError> {
    let path = format!("{}/phone_numbers", waba.id);
    let phones: Vec<&Phone> = waba.phones.iter().collect();
    let body = page(call, &path, &phones, |phone| {
        select(
            &phone_fields(waba, phone, pacing),
            call,
            &PHONE_DEFAULTS,
            PHONE_NODE,
        )
    })?;
    Ok(Reply::json(200, &body))
}

/// A page of a list, with cursors as Graph gives them.
pub(crate) fn page<T>(
    call: &Call,
    path: &str,
    all: &[T],
    shown: impl FnMut(&T) -> Result<Value, GraphError>,
) -> Result<Value, GraphError> {
    let limit = call
        .query("limit")
        .and_then(|limit| limit.parse().ok())
        .unwrap_or(25)
        .clamp(1, 100);
    let begin = match (call.query("after"), call.query("before")) {
        (Some(after), _) => read_cursor(after)?,
        (None, Some(before)) => read_cursor(before)?.saturating_sub(limit),
        (None, None) => 0,
    };
    let end = (begin + limit).min(all.len());
    let items = all.get(begin..end).unwrap_or_default();
    let items = items.iter().map(shown).collect::<Result<Vec<_>, _>>()?;
    let mut body = json!({"data": items});
    if let (true, Some(members)) = (end > begin, body.as_object_mut()) {
        let mut paging = json!({"cursors": {"before": cursor(begin), "after": cursor(end)}});
        let url = |name: &str, place: usize| {
            let place = cursor(place);
            json!(format!(
                "https://graph.facebook.com/v25.0/{path}?limit={limit}&{name}={place}"
            ))
        };
        if let Some(paging) = paging.as_object_mut() {
            if end < all.len() {
                paging.insert("next".to_owned(), url("after", end));
            }
            if begin > 0 {
                paging.insert("previous".to_owned(), url("before", begin));
            }
        }
        members.insert("paging".to_owned(), paging);
    }
    Ok(body)
}

/// Opaque, as Meta's are.
fn cursor(place: usize) -> String {
    URL_SAFE_NO_PAD.encode(format!("QVFI:{place}"))
}

fn read_cursor(cursor: &str) -> Result<usize, GraphError> {
    URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|text| text.strip_prefix("QVFI:")?.parse().ok())
        .ok_or_else(|| GraphError::parameter("Invalid cursors values"))
}

const NOT_THIS_APP: &str = "You must provide an app access token, or a user access token that is \
                            an owner or developer of the app";

/// Asked with an app token, or by a token about itself.
pub(crate) fn debug_token(
    world: &GraphWorld,
    app_secret: &str,
    call: &Call,
) -> Result<Reply, GraphError> {
    let asking = super::presented(call).ok_or_else(GraphError::token_required)?;
    let input = call
        .query("input_token")
        .ok_or_else(|| GraphError::parameter("The parameter input_token is required."))?;
    let other_app = |token: &GraphToken| token.app_id != seed::APP_ID;
    if world.token(input).is_some_and(other_app) {
        return Err(GraphError::parameter(NOT_THIS_APP));
    }
    let is_app_token = asking == format!("{}|{app_secret}", seed::APP_ID);
    if !is_app_token {
        super::authenticate(world, app_secret, call)?;
        if asking != input {
            return Err(GraphError::parameter(NOT_THIS_APP));
        }
    }
    Ok(Reply::json(
        200,
        &json!({"data": token_data(world, world.token(input))}),
    ))
}

fn token_data(world: &GraphWorld, token: Option<&GraphToken>) -> Value {
    let Some(token) = token else {
        let error = GraphError::token_unknown().short();
        return json!({"error": error, "is_valid": false, "scopes": []});
    };
    let granular: Vec<Value> = token
        .scopes
        .iter()
        .filter(|scope| [MANAGEMENT, MESSAGING].contains(&scope.as_str()))
        .map(|scope| json!({"scope": scope, "target_ids": token.waba_ids}))
        .collect();
    let error = match token.state {
        TokenState::Active => super::alive(world, token).err(),
        TokenState::Revoked => Some(GraphError::token_revoked()),
        TokenState::Expired => Some(GraphError::token_expired()),
    };
    let mut data = json!({
        "app_id": token.app_id,
        "type": "SYSTEM_USER",
        "application": "Agent Portal",
        "data_access_expires_at": 0,
        "expires_at": if token.state == TokenState::Expired {
            1_761_980_400
        } else {
            world.expires_at(token)
        },
        "is_valid": error.is_none(),
        "issued_at": 1_735_689_600,
        "scopes": token.scopes,
        "granular_scopes": granular,
        "user_id": "400000000000001",
    });
    if let (Some(error), Some(members)) = (error, data.as_object_mut()) {
        members.insert("error".to_owned(), error.short());
    }
    data
}
