//! A template send compared with the account's template: state, counts, formats, lengths.

use serde_json::Value;

use super::Template;
use crate::graph::errors::GraphError;
use crate::graph::rows;
use crate::graph::validate::checks::{Checked, Object, invalid, missing};
use crate::graph::validate::content::{location, media_source};

const MAX_BODY: usize = 1024;
const MAX_CARD_BODY: usize = 160;
const MAX_HEADER: usize = 60;
const MAX_PARAMETER: usize = 32_768;
const MAX_CODE: usize = 15;
const MAX_COUPON: usize = 20;
const ANY: usize = usize::MAX;

/// What the rest of a send must know of its template.
#[derive(Debug, Default)]
pub(crate) struct Matched {
    pub(crate) category: String,
    /// Media ids that the parameters use.
    pub(crate) media: Vec<String>,
    /// Authentication with a button, which never goes to a business-scoped user id.
    pub(crate) phone_only: bool,
}

fn count(part: &str, have: usize, want: usize) -> GraphError {
    GraphError::from(rows::TEMPLATE_COUNT).with_details(&format!(
        "{part}: number of localizable_params ({have}) does not match the expected number of \
         params ({want})"
    ))
}

fn format(details: &str) -> GraphError {
    GraphError::from(rows::TEMPLATE_FORMAT).with_details(details)
}

/// Checks a `template` object against the templates of the account.
pub(crate) fn check<'t>(
    template: &Value,
    known: impl Iterator<Item = &'t Template>,
) -> Checked<Matched> {
    let asked = Object::new(template, "template")?;
    asked.only(&["name", "language", "components", "namespace"])?;
    let name = asked.needed_text("name", 512)?;
    let language = asked.needed_object("language")?;
    language.only(&["code", "policy"])?;
    let code = language.needed_text("code", ANY)?;
    let absent = || {
        GraphError::from(rows::TEMPLATE_MISSING)
            .with_details(&format!("template name ({name}) does not exist in {code}"))
    };
    let found = known
        .into_iter()
        .find(|have| have.name == name && have.language == code)
        .ok_or_else(absent)?;
    match found.status.as_str() {
        "APPROVED" => {}
        "PAUSED" => return Err(rows::TEMPLATE_PAUSED.into()),
        "DISABLED" => return Err(rows::TEMPLATE_DISABLED.into()),
        _ => return Err(absent()),
    }
    let mut matched = Matched {
        category: found.category.to_lowercase(),
        phone_only: found.buttons().iter().any(|button| button["type"] == "OTP"),
        media: Vec::new(),
    };
    let parts = asked.list("components")?.unwrap_or_default();
    let message = Message {
        components: found.components.as_array().map_or(&[], Vec::as_slice),
        named: found.parameter_format == "NAMED",
        max_body: MAX_BODY,
    };
    message.check(&parts, &mut matched)?;
    Ok(matched)
}

/// A template, or one card of it.
struct Message<'t> {
    components: &'t [Value],
    named: bool,
    max_body: usize,
}

impl<'t> Message<'t> {
    fn component(&self, kind: &str) -> Option<&'t Value> {
        self.components.iter().find(|have| have["type"] == kind)
    }

    fn check(&self, parts: &[Object<'_>], matched: &mut Matched) -> Checked {
        let (mut header, mut body, mut offer, mut carousel) = (None, None, None, None);
        let mut buttons = Vec::new();
        for part in parts {
            part.only(&["type", "parameters", "sub_type", "index", "cards"])?;
            let slot = match part.needed_text("type", ANY)?.to_lowercase().as_str() {
                "header" => &mut header,
                "body" => &mut body,
                "limited_time_offer" => &mut offer,
                "carousel" => &mut carousel,
                "button" => {
                    buttons.push(part);
                    continue;
                }
                "footer" => return Err(count("footer", 1, 0)),
                other => {
                    return Err(GraphError::parameter(&format!(
                        "Param {} is unknown: \"{other}\".",
                        part.path("type")
                    )));
                }
            };
            if slot.replace(part).is_some() {
                return Err(invalid("A component appears twice"));
            }
        }
        self.header(header, matched)?;
        self.text("body", self.component("BODY"), body, self.max_body)?;
        self.buttons(&buttons)?;
        self.offer(offer)?;
        self.carousel(carousel, matched)
    }

    fn header(&self, part: Option<&Object<'_>>, matched: &mut Matched) -> Checked {
        let component = self.component("HEADER");
        let kind = component
            .and_then(|component| component["format"].as_str())
            .unwrap_or("TEXT");
        if kind == "TEXT" {
            return self.text("header", component, part, MAX_HEADER);
        }
        let parameters = match part {
            Some(part) => part.list("parameters")?.unwrap_or_default(),
            None => Vec::new(),
        };
        let have = match parameters.first() {
            Some(parameter) => parameter.needed_text("type", ANY)?.to_uppercase(),
            None => "UNKNOWN".to_owned(),
        };
        if have != kind {
            return Err(format(&format!(
                "header: Format mismatch, expected {kind}, received {have}"
            )));
        }
        let [parameter] = parameters.as_slice() else {
            return Err(count("header", parameters.len(), 1));
        };
        let content = parameter.needed_object(&kind.to_lowercase())?;
        match kind {
            "LOCATION" => location(&content)?,
            "PRODUCT" => {
                content.needed_text("product_retailer_id", ANY)?;
            }
            _ => matched.media.extend(media_source(&content)?),
        }
        Ok(())
    }

    fn text(
        &self,
        what: &str,
        component: Option<&Value>,
        part: Option<&Object<'_>>,
        max: usize,
    ) -> Checked {
        let text = component
            .and_then(|component| component["text"].as_str())
            .unwrap_or_default();
        let want = placeholders(text);
        let parameters = match part {
            Some(part) => part.list("parameters")?.unwrap_or_default(),
            None => Vec::new(),
        };
        if parameters.len() != want.len() {
            return Err(count(what, parameters.len(), want.len()));
        }
        let mut rendered = text.to_owned();
        for (parameter, positional) in parameters.iter().zip(&want) {
            let name = parameter.text("parameter_name", ANY)?;
            let target = match (self.named, name) {
                (true, Some(name)) if want.iter().any(|have| have == name) => name,
                (false, None) => positional.as_str(),
                (true, Some(name)) => {
                    return Err(format(&format!("{what}: Parameter name {name} is unknown")));
                }
                (true, None) => return Err(format(&format!("{what}: Parameter name is missing"))),
                (false, Some(_)) => {
                    return Err(format(&format!(
                        "{what}: The template has no named parameters"
                    )));
                }
            };
            let value = shown_text(parameter)?;
            let place = format!("{{{{{target}}}}}");
            if !rendered.contains(&place) {
                return Err(format(&format!(
                    "{what}: Parameter {target} is given twice"
                )));
            }
            rendered = rendered.replace(&place, value);
        }
        if rendered.chars().count() > max {
            return Err(GraphError::from(rows::TEMPLATE_TOO_LONG)
                .with_details(&format!("{what}: text is longer than {max} characters")));
        }
        Ok(())
    }

    fn buttons(&self, parts: &[&Object<'_>]) -> Checked {
        let buttons = self
            .component("BUTTONS")
            .and_then(|component| component["buttons"].as_array())
            .map_or(&[] as &[Value], Vec::as_slice);
        let mut given = vec![false; buttons.len()];
        for part in parts {
            // Both `"0"` and `0` are seen.
            let index = match part.value("index") {
                Some(Value::String(text)) => text.parse().ok(),
                Some(Value::Number(number)) => number
                    .as_u64()
                    .and_then(|index| usize::try_from(index).ok()),
                _ => return Err(missing(&part.path("index"))),
            };
            let (index, button) = index
                .and_then(|index: usize| Some((index, buttons.get(index)?)))
                .ok_or_else(|| format("buttons: There is no button at this index"))?;
            button_part(index, button, part)?;
            if let Some(seen) = given.get_mut(index) {
                *seen = true;
            }
        }
        for (index, (button, given)) in buttons.iter().zip(given).enumerate() {
            if !given && needs_parameter(button) {
                let kind = button["type"].as_str().unwrap_or_default();
                return Err(
                    GraphError::from(rows::PARAMETER_MISSING).with_details(&format!(
                        "buttons: Button at index {index} of type {kind} requires a parameter"
                    )),
                );
            }
        }
        Ok(())
    }

    fn offer(&self, part: Option<&Object<'_>>) -> Checked {
        let component = self.component("LIMITED_TIME_OFFER");
        let expires = component
            .is_some_and(|component| component["limited_time_offer"]["has_expiration"] == true);
        let Some(part) = part else {
            return if expires {
                Err(count("limited_time_offer", 0, 1))
            } else {
                Ok(())
            };
        };
        if component.is_none() {
            return Err(count("limited_time_offer", 1, 0));
        }
        let parameters = part.needed_list("parameters", 1, 1)?;
        for parameter in parameters {
            let time = parameter.needed_object("limited_time_offer")?;
            // Milliseconds: whoever sends seconds sends a time long ago.
            let now = chrono::Utc::now().timestamp_millis();
            let end = time.value("expiration_time_ms").and_then(Value::as_i64);
            if end.is_none_or(|end| end <= now) {
                return Err(format(
                    "limited_time_offer: expiration_time_ms must be a time to come, in milliseconds",
                ));
            }
        }
        Ok(())
    }

    fn carousel(&self, part: Option<&Object<'_>>, matched: &mut Matched) -> Checked {
        let want = self
            .component("CAROUSEL")
            .and_then(|component| component["cards"].as_array())
            .map_or(&[] as &[Value], Vec::as_slice);
        let cards = match part {
            Some(part) => part.list("cards")?.unwrap_or_default(),
            None => Vec::new(),
        };
        if cards.len() != want.len() {
            return Err(count("carousel", cards.len(), want.len()));
        }
        for (place, (card, want)) in cards.iter().zip(want).enumerate() {
            card.only(&["card_index", "components"])?;
            if card.value("card_index").and_then(Value::as_u64) != u64::try_from(place).ok() {
                return Err(invalid("card_index must count the cards from 0"));
            }
            let message = Message {
                components: want["components"].as_array().map_or(&[], Vec::as_slice),
                named: self.named,
                max_body: MAX_CARD_BODY,
            };
            message.check(&card.list("components")?.unwrap_or_default(), matched)?;
        }
        Ok(())
    }
}

fn needs_parameter(button: &Value) -> bool {
    match button["type"].as_str() {
        Some("URL") => button["url"].as_str().is_some_and(|url| url.contains("{{")),
        Some("COPY_CODE" | "OTP" | "MPM") => true,
        _ => false,
    }
}

fn button_part(index: usize, button: &Value, part: &Object<'_>) -> Checked {
    let kind = button["type"].as_str().unwrap_or_default();
    let want = match kind {
        // One-time passwords travel as the suffix of a link.
        "OTP" => "url".to_owned(),
        other => other.to_lowercase(),
    };
    let have = part.needed_text("sub_type", ANY)?.to_lowercase();
    if have != want
        || matches!(
            kind,
            "PHONE_NUMBER" | "VOICE_CALL" | "SPM" | "REQUEST_CONTACT_INFO"
        )
    {
        return Err(format(&format!(
            "buttons: Button at index {index} is of type {kind}, sub_type {have} does not fit"
        )));
    }
    let parameters = part.list("parameters")?.unwrap_or_default();
    if kind == "URL" && !needs_parameter(button) && !parameters.is_empty() {
        return Err(count("buttons", parameters.len(), 0));
    }
    if parameters.len() > 1 || (parameters.is_empty() && needs_parameter(button)) {
        return Err(count("buttons", parameters.len(), 1));
    }
    for parameter in &parameters {
        match kind {
            "URL" => {
                parameter.needed_text("text", 2000)?;
            }
            "OTP" => {
                parameter.needed_text("text", MAX_CODE)?;
            }
            "QUICK_REPLY" => {
                parameter.needed_text("payload", 256)?;
            }
            "COPY_CODE" => {
                let coupon = parameter.needed_text("coupon_code", MAX_COUPON)?;
                if !coupon.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                    return Err(format("buttons: coupon_code must be alphanumeric"));
                }
            }
            _ => {
                parameter.needed_object("action")?;
            }
        }
    }
    Ok(())
}

/// The text that a parameter shows.
fn shown_text<'b>(parameter: &Object<'b>) -> Checked<&'b str> {
    let text = match parameter.needed_choice("type", &["text", "currency", "date_time"])? {
        "text" => parameter.needed_text("text", MAX_PARAMETER)?,
        other => {
            let content = parameter.needed_object(other)?;
            if other == "currency" {
                content.needed_text("code", 3)?;
                content
                    .number("amount_1000", f64::MIN, f64::MAX)?
                    .ok_or_else(|| missing(&content.path("amount_1000")))?;
            }
            content.needed_text("fallback_value", MAX_PARAMETER)?
        }
    };
    if text.contains(['\n', '\t']) || text.contains("     ") {
        return Err(format(
            "Param text cannot have new-line/tab characters or more than 4 consecutive spaces",
        ));
    }
    Ok(text)
}

/// Names between double braces, each once, in order.
fn placeholders(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("{{") {
        let Some((name, tail)) = after.split_once("}}") else {
            break;
        };
        if !found.iter().any(|have| have == name) {
            found.push(name.to_owned());
        }
        rest = tail;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_counted_once() {
        assert_eq!(placeholders("{{1}} and {{2}}, {{1}}"), ["1", "2"]);
        assert_eq!(placeholders("{{name}} {{open"), ["name"]);
        assert!(placeholders("none").is_empty());
    }
}
