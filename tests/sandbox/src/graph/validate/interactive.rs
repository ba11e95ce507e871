//! Interactive messages: limits of Meta's guides, kind by kind.

use std::collections::HashSet;

use serde_json::Value;

use super::checks::{Checked, Object, invalid, missing};
use super::content::{is_link, media_source};
use crate::graph::errors::GraphError;

const MAX_BODY: usize = 1024;
/// The guide's limit for lists; everything else has 1024.
const MAX_LIST_BODY: usize = 4096;
const MAX_HEADER: usize = 60;
const MAX_FOOTER: usize = 60;
const ANY: usize = usize::MAX;
const ALL_HEADERS: [&str; 4] = ["text", "image", "video", "document"];

/// Every kind that may be sent.
const KINDS: [&str; 15] = [
    "button",
    "list",
    "cta_url",
    "flow",
    "product",
    "product_list",
    "catalog_message",
    "location_request_message",
    "address_message",
    "request_contact_info",
    "call_permission_request",
    "voice_call",
    "carousel",
    // Payments: taken as they come.
    "order_details",
    "order_status",
];

/// The media ids that the message uses.
pub(super) fn interactive(message: &Object<'_>) -> Checked<Vec<String>> {
    message.only(&["type", "header", "body", "footer", "action"])?;
    let kind = message.needed_choice("type", &KINDS)?;
    let mut media = header(message, kind)?;
    let body_limit = if kind == "list" {
        MAX_LIST_BODY
    } else {
        MAX_BODY
    };
    let body_optional = matches!(kind, "product" | "call_permission_request");
    text_part(message, "body", body_limit, !body_optional)?;
    text_part(message, "footer", MAX_FOOTER, false)?;
    let action = message.needed_object("action")?;
    match kind {
        "button" => reply_buttons(&action)?,
        "list" => list(&action)?,
        "cta_url" => cta_url(&action)?,
        "flow" => flow(&action)?,
        "product" => {
            action.needed_text("catalog_id", ANY)?;
            action.needed_text("product_retailer_id", ANY)?;
        }
        "product_list" => product_list(&action)?,
        "catalog_message" => named(&action, "catalog_message")?,
        "location_request_message" => named(&action, "send_location")?,
        "address_message" => {
            named(&action, "address_message")?;
            action
                .needed_object("parameters")?
                .needed_text("country", 2)?;
        }
        "request_contact_info" | "call_permission_request" => named(&action, kind)?,
        "voice_call" => voice_call(&action)?,
        "carousel" => media.extend(carousel(&action)?),
        _ => {}
    }
    Ok(media)
}

fn named(action: &Object<'_>, name: &str) -> Checked {
    action.needed_choice("name", &[name]).map(|_| ())
}

/// Header kinds that fit the message kind.
fn headers(kind: &str) -> &'static [&'static str] {
    match kind {
        "button" | "cta_url" | "flow" => &ALL_HEADERS,
        "list" | "product_list" => &["text"],
        "order_details" | "order_status" => &["text", "image", "document"],
        _ => &[],
    }
}

fn header(message: &Object<'_>, kind: &str) -> Checked<Vec<String>> {
    let Some(header) = message.object("header")? else {
        if kind == "product_list" {
            return Err(missing("interactive['header']"));
        }
        return Ok(Vec::new());
    };
    let allowed = headers(kind);
    if allowed.is_empty() {
        return Err(invalid(&format!("Header is not allowed for type {kind}")));
    }
    let shown = header.needed_choice("type", &ALL_HEADERS)?;
    if !allowed.contains(&shown) {
        return Err(invalid(&format!(
            "Header type {shown} is not allowed for type {kind}"
        )));
    }
    if shown == "text" {
        header.only(&["type", "text", "sub_text"])?;
        header.needed_text("text", MAX_HEADER)?;
        return Ok(Vec::new());
    }
    header.only(&["type", shown])?;
    let id = media_source(&header.needed_object(shown)?)?;
    Ok(id.into_iter().collect())
}

fn text_part(message: &Object<'_>, name: &str, max: usize, needed: bool) -> Checked {
    match message.object(name)? {
        Some(part) => {
            part.only(&["text"])?;
            part.needed_text("text", max).map(|_| ())
        }
        None if needed => Err(missing(&message.path(name))),
        None => Ok(()),
    }
}

fn unique<'b>(seen: &mut HashSet<&'b str>, value: &'b str, what: &str) -> Checked {
    if seen.insert(value) {
        Ok(())
    } else {
        Err(invalid(&format!("{what} must be unique: \"{value}\"")))
    }
}

fn reply(reply: &Object<'_>) -> Checked {
    reply.only(&["id", "title"])?;
    let id = reply.needed_text("id", 256)?;
    if id.trim() != id {
        return Err(invalid("Button id must not begin or end with a blank"));
    }
    reply.needed_text("title", 20).map(|_| ())
}

fn reply_buttons(action: &Object<'_>) -> Checked {
    action.only(&["buttons"])?;
    let (mut ids, mut titles) = (HashSet::new(), HashSet::new());
    for button in action.needed_list("buttons", 1, 3)? {
        button.only(&["type", "reply"])?;
        button.needed_choice("type", &["reply"])?;
        let content = button.needed_object("reply")?;
        reply(&content)?;
        unique(&mut ids, content.needed_text("id", 256)?, "Button id")?;
        unique(
            &mut titles,
            content.needed_text("title", 20)?,
            "Button title",
        )?;
    }
    Ok(())
}

fn list(action: &Object<'_>) -> Checked {
    action.only(&["button", "sections"])?;
    action.needed_text("button", 20)?;
    let sections = action.needed_list("sections", 1, 10)?;
    let mut ids = HashSet::new();
    for section in &sections {
        section.only(&["title", "rows"])?;
        let title = section.text("title", 24)?;
        if title.is_none() && sections.len() > 1 {
            return Err(missing(&section.path("title")));
        }
        for row in section.needed_list("rows", 1, 10)? {
            row.only(&["id", "title", "description"])?;
            unique(&mut ids, row.needed_text("id", 200)?, "Row id")?;
            row.needed_text("title", 24)?;
            row.text("description", 72)?;
        }
    }
    if ids.len() > 10 {
        return Err(invalid("Total row count exceed max allowed count: 10"));
    }
    Ok(())
}

fn cta_url(action: &Object<'_>) -> Checked {
    action.only(&["name", "parameters"])?;
    named(action, "cta_url")?;
    let parameters = action.needed_object("parameters")?;
    parameters.only(&["display_text", "url"])?;
    parameters.needed_text("display_text", 20)?;
    if is_link(parameters.needed_text("url", 2000)?) {
        Ok(())
    } else {
        Err(invalid(&format!(
            "{} is not a valid URL",
            parameters.path("url")
        )))
    }
}

fn flow(action: &Object<'_>) -> Checked {
    action.only(&["name", "parameters"])?;
    named(action, "flow")?;
    let parameters = action.needed_object("parameters")?;
    parameters.only(&[
        "flow_message_version",
        "flow_id",
        "flow_name",
        "flow_cta",
        "flow_token",
        "mode",
        "flow_action",
        "flow_action_payload",
    ])?;
    if parameters.needed_text("flow_message_version", ANY)? != "3" {
        return Err(invalid("flow_message_version must be 3"));
    }
    if parameters.text("flow_id", ANY)?.is_some() == parameters.text("flow_name", ANY)?.is_some() {
        return Err(invalid("Exactly one of flow_id and flow_name is required"));
    }
    let cta = parameters.needed_text("flow_cta", 30)?;
    // Emoji and other symbols lie beyond the Basic Multilingual Plane or in the symbol blocks.
    if cta
        .chars()
        .any(|c| matches!(u32::from(c), 0x2600..=0x27BF | 0x1F000..))
    {
        return Err(invalid("flow_cta must not contain emoji"));
    }
    parameters.text("flow_token", ANY)?;
    parameters.choice("mode", &["draft", "published"])?;
    let how = parameters.choice("flow_action", &["navigate", "data_exchange"])?;
    if let Some(payload) = parameters.object("flow_action_payload")? {
        if how == Some("data_exchange") {
            return Err(invalid(
                "flow_action_payload is allowed only with flow_action navigate",
            ));
        }
        payload.only(&["screen", "data"])?;
        if payload
            .value("data")
            .is_some_and(|data| data.as_object().is_none_or(serde_json::Map::is_empty))
        {
            return Err(invalid("flow_action_payload.data must not be empty"));
        }
    }
    Ok(())
}

fn product_list(action: &Object<'_>) -> Checked {
    action.needed_text("catalog_id", ANY)?;
    let mut products = 0;
    for section in action.needed_list("sections", 1, 10)? {
        section.needed_text("title", 24)?;
        for item in section.needed_list("product_items", 1, 30)? {
            item.needed_text("product_retailer_id", ANY)?;
            products += 1;
        }
    }
    if products > 30 {
        return Err(invalid("Total product count exceed max allowed count: 30"));
    }
    Ok(())
}

fn voice_call(action: &Object<'_>) -> Checked {
    named(action, "voice_call")?;
    if let Some(parameters) = action.object("parameters")? {
        parameters.text("display_text", 20)?;
        parameters.number("ttl_minutes", 1.0, 43_200.0)?;
    }
    Ok(())
}

fn carousel(action: &Object<'_>) -> Checked<Vec<String>> {
    let mut media = Vec::new();
    for (place, card) in action.needed_list("cards", 2, 10)?.iter().enumerate() {
        if card.value("card_index").and_then(Value::as_u64) != u64::try_from(place).ok() {
            return Err(invalid("card_index must count the cards from 0"));
        }
        card.needed_choice("type", &["cta_url", "product"])?;
        if let Some(header) = card.object("header")? {
            let kind = header.needed_choice("type", &["image", "video"])?;
            media.extend(media_source(&header.needed_object(kind)?)?);
        }
        if let Some(body) = card.object("body")? {
            body.needed_text("text", 160)?;
        }
        let action = card.needed_object("action")?;
        match action.list("buttons")? {
            Some(buttons) if (1..=3).contains(&buttons.len()) => {
                for button in buttons {
                    button.needed_choice("type", &["quick_reply"])?;
                    reply(&button.needed_object("quick_reply")?)?;
                }
            }
            Some(_) => {
                return Err(GraphError::parameter(&format!(
                    "Param {} must have 1 to 3 items.",
                    action.path("buttons")
                )));
            }
            None => cta_url(&action)?,
        }
    }
    Ok(media)
}
