//! `/{waba-id}/message_templates` and `/{template-id}`.

use serde_json::{Value, json};

use super::Template;
use crate::graph::errors::GraphError;
use crate::graph::messages::body_of;
use crate::graph::nodes::{page, select};
use crate::graph::rows;
use crate::graph::world::{GraphToken, GraphWorld};
use crate::http::{Call, Reply};

const NODE: &str = "WhatsAppMessageTemplate";
const DEFAULTS: [&str; 7] = [
    "name",
    "status",
    "category",
    "language",
    "components",
    "parameter_format",
    "previous_category",
];
/// Fields of the node type that have no value here.
pub(crate) const WITHOUT_VALUE: [&str; 12] = [
    "previous_category",
    "sub_category",
    "correct_category",
    "library_template_name",
    "message_send_ttl_seconds",
    "cta_url_link_tracking_opted_out",
    "source",
    "health_status",
    "display_format",
    "is_primary_device_delivery_only",
    "degrees_of_freedom_spec",
    "specific_rejection_reason",
];

fn shown(template: &Template, call: &Call) -> Result<Value, GraphError> {
    select(&template.node(), call, &DEFAULTS, NODE)
}

fn fits(template: &Template, call: &Call) -> bool {
    let is = |name: &str, value: &str| {
        call.query(name)
            .is_none_or(|wanted| wanted.split(',').any(|wanted| wanted == value))
    };
    let contains = |name: &str, texts: &[&str]| {
        call.query(name).is_none_or(|part| {
            let part = part.to_lowercase();
            texts.iter().any(|text| text.to_lowercase().contains(&part))
        })
    };
    let content = template.components.to_string();
    is("status", &template.status)
        && is("category", &template.category)
        && is("language", &template.language)
        && is("quality_score", &template.quality)
        && contains("name", &[&template.name])
        && contains("content", &[&content])
        && contains("name_or_content", &[&template.name, &content])
}

/// The list, filtered and paged.
pub(crate) fn list(
    world: &GraphWorld,
    token: &GraphToken,
    waba_id: &str,
    call: &Call,
) -> Result<Reply, GraphError> {
    world.own_waba(token, waba_id, "GET")?;
    let all: Vec<&Template> = world
        .templates
        .iter()
        .filter(|template| template.waba_id == waba_id)
        .collect();
    let found: Vec<&Template> = all
        .iter()
        .copied()
        .filter(|template| fits(template, call))
        .collect();
    let path = format!("{waba_id}/message_templates");
    let mut body = page(call, &path, &found, |template| shown(template, call))?;
    if let (Some(_), Some(members)) = (call.query("summary"), body.as_object_mut()) {
        let summary = json!({
            "total_count": found.len(),
            "message_template_count": all.len(),
            "message_template_limit": 6000,
            "are_translations_complete": false,
        });
        members.insert("summary".to_owned(), summary);
    }
    Ok(Reply::json(200, &body))
}

fn position(world: &GraphWorld, token: &GraphToken, id: &str) -> Option<usize> {
    world
        .templates
        .iter()
        .position(|template| template.id == id && token.waba_ids.contains(&template.waba_id))
}

/// One template; none when the id is not that of a template the token may see.
pub(crate) fn node(
    world: &GraphWorld,
    token: &GraphToken,
    id: &str,
    call: &Call,
) -> Option<Result<Reply, GraphError>> {
    let template = world.templates.get(position(world, token, id)?)?;
    Some(shown(template, call).map(|node| Reply::json(200, &node)))
}

fn text<'b>(body: &'b Value, name: &str) -> Option<&'b str> {
    body[name].as_str().filter(|text| !text.is_empty())
}

/// `POST /{waba-id}/message_templates`: goes to review.
pub(crate) fn create(
    world: &mut GraphWorld,
    token: &GraphToken,
    waba_id: &str,
    call: &Call,
) -> Result<Reply, GraphError> {
    world.own_waba(token, waba_id, "POST")?;
    let body = body_of(call);
    let needed = |name: &str| {
        text(&body, name)
            .ok_or_else(|| GraphError::parameter(&format!("The parameter {name} is required.")))
    };
    let (name, language, category) = (needed("name")?, needed("language")?, needed("category")?);
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.len() > 512 || !name.chars().all(plain) {
        return Err(GraphError::parameter(
            "Param name must have lower-case letters, digits and underscores only, at most 512.",
        ));
    }
    if !["MARKETING", "UTILITY", "AUTHENTICATION"].contains(&category) {
        return Err(GraphError::parameter(
            "Param category must be one of {UTILITY, MARKETING, AUTHENTICATION}.",
        ));
    }
    let components = body["components"].clone();
    let has_body = components
        .as_array()
        .is_some_and(|list| list.iter().any(|component| component["type"] == "BODY"));
    if !has_body {
        return Err(GraphError::bad_code(2_388_072, "Invalid parameter")
            .with_details("components need a BODY"));
    }
    let exists = world
        .templates
        .iter()
        .any(|have| have.waba_id == waba_id && have.name == name && have.language == language);
    if exists {
        return Err(GraphError::bad_code(2_388_024, "Invalid parameter")
            .with_details("There is already content in this language for this template"));
    }
    let mut template = Template::new(waba_id, name, language, category);
    template.components = components;
    "PENDING".clone_into(&mut template.status);
    "UNKNOWN".clone_into(&mut template.quality);
    if let Some(format) = text(&body, "parameter_format") {
        template.parameter_format = format.to_uppercase();
    }
    template.touch();
    let answer = json!({"id": template.id, "status": template.status, "category": category});
    world.templates.push(template);
    Ok(Reply::json(200, &answer))
}

/// `POST /{template-id}`: replaces the components and goes to review again; none when there is no
/// such template.
pub(crate) fn edit(
    world: &mut GraphWorld,
    token: &GraphToken,
    id: &str,
    call: &Call,
) -> Option<Result<Reply, GraphError>> {
    let place = position(world, token, id)?;
    let template = world.templates.get_mut(place)?;
    if !["APPROVED", "REJECTED", "PAUSED"].contains(&template.status.as_str()) {
        return Some(Err(GraphError::bad_code(
            2_388_039,
            "This template cannot be changed now",
        )));
    }
    let body = body_of(call);
    if body["components"].is_array() {
        template.components = body["components"].clone();
    }
    if let Some(category) = text(&body, "category") {
        category.clone_into(&mut template.category);
    }
    "PENDING".clone_into(&mut template.status);
    template.touch();
    Some(Ok(Reply::json(200, &json!({"success": true}))))
}

/// `DELETE /{waba-id}/message_templates`: by name all languages, with `hsm_id` one.
pub(crate) fn delete(
    world: &mut GraphWorld,
    token: &GraphToken,
    waba_id: &str,
    call: &Call,
) -> Result<Reply, GraphError> {
    world.own_waba(token, waba_id, "DELETE")?;
    let (name, id) = (call.query("name"), call.query("hsm_id"));
    if name.is_none() && id.is_none() {
        return Err(GraphError::parameter("The parameter name is required."));
    }
    let before = world.templates.len();
    world.templates.retain(|template| {
        template.waba_id != waba_id
            || name.is_some_and(|name| template.name != name)
            || id.is_some_and(|id| template.id != id)
    });
    if world.templates.len() == before {
        return Err(GraphError::from(rows::INVALID_PARAMETER)
            .with_details("There is no template with this name."));
    }
    Ok(Reply::json(200, &json!({"success": true})))
}
