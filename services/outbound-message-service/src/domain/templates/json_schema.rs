//! What a send of a template must give, as JSON Schema (draft 2020-12): programs make forms of it and
//! check values before they send them.
//!
//! It describes the members of `POST /api/messages/send/template` that hold values, in their short
//! forms and whole, and agrees with what is checked at the door. Two things it cannot say: that a
//! text with all its values must not be too long (each has the room that is left when the others have
//! one character), and that the end of an offer is still to come.

mod values;

use serde_json::{Map, Value, json};

use super::schema::{
    ButtonSchema, ButtonValue, ButtonValueKind, CardSchema, HeaderSchema, OfferSchema,
    ParameterFormat, TemplateSchema, TextSchema, Variable,
};
use values::{
    Name, button_text, button_value, contains, exactly, header_value, list_of, object, place,
    short_value, textual, word,
};

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Sooner is no time in milliseconds since 1970.
const FIRST_MILLISECOND: i64 = 100_000_000_000;

/// The schema of the values that a send of the template gives.
pub(crate) fn of(schema: &TemplateSchema) -> Value {
    let whole = json!({
        "title": "All values as Meta has them",
        "required": ["components"],
        "properties": {
            "components": components(schema),
            "header": {"type": "null"}, "parameters": {"type": "null"},
            "buttons": {"type": "array", "maxItems": 0},
        },
    });
    let mut forms: Vec<Value> = short(schema).into_iter().collect();
    forms.push(whole);
    json!({"$schema": DIALECT, "type": "object", "oneOf": forms})
}

/// The short forms, if they can say all that is needed.
fn short(schema: &TemplateSchema) -> Option<Value> {
    let needs_end = |offer: &OfferSchema| offer.needs_expiration;
    let needs_products = |button: &ButtonSchema| {
        let value = button.value.as_ref();
        value.is_some_and(|value| value.required && short_member(value.kind).is_none())
    };
    if !schema.cards.is_empty()
        || schema.limited_time_offer.as_ref().is_some_and(needs_end)
        || schema.buttons.iter().any(needs_products)
    {
        return None;
    }
    let mut required = Vec::new();
    let mut members = Map::new();
    let mut put = |name: &str, (is_required, schema): (bool, Value)| {
        if is_required {
            required.push(name.to_owned());
        }
        members.insert(name.to_owned(), schema);
    };
    put("header", short_header(schema));
    put("parameters", short_body(schema));
    put("buttons", short_buttons(&schema.buttons));
    put("components", (false, json!({"type": "null"})));
    Some(json!({"title": "Values in short form", "required": required, "properties": members}))
}

fn short_header(schema: &TemplateSchema) -> (bool, Value) {
    match &schema.header {
        Some(HeaderSchema::Text(text)) => match text.variables.first() {
            Some(variable) if schema.parameter_format == ParameterFormat::Named => {
                (true, textual(variable, Name::Needed))
            }
            Some(variable) => (true, short_value(variable, Name::None)),
            None => (false, json!({"type": "null"})),
        },
        Some(HeaderSchema::Other) => (
            false,
            json!({"type": ["null", "string", "number", "object"]}),
        ),
        Some(medium) => (true, header_value(medium)),
        None => (false, json!({"type": "null"})),
    }
}

fn short_body(schema: &TemplateSchema) -> (bool, Value) {
    let variables = variables_of(schema.body.as_ref());
    if variables.is_empty() {
        let nothing = json!({"anyOf": [
            {"type": "null"}, {"type": "array", "maxItems": 0}, {"type": "object", "maxProperties": 0},
        ]});
        return (false, nothing);
    }
    if schema.parameter_format == ParameterFormat::Positional {
        let values = variables
            .iter()
            .map(|variable| short_value(variable, Name::None));
        return (true, exactly(&values.collect::<Vec<_>>()));
    }
    let members: Map<String, Value> = variables
        .iter()
        .map(|variable| (variable.name.clone(), short_value(variable, Name::Allowed)))
        .collect();
    let names: Vec<_> = variables.iter().map(|variable| &variable.name).collect();
    let by_name = json!({
        "type": "object", "properties": members, "required": names, "additionalProperties": false,
    });
    (true, json!({"anyOf": [by_name, named_list(variables)]}))
}

fn short_buttons(buttons: &[ButtonSchema]) -> (bool, Value) {
    let taking: Vec<_> = buttons
        .iter()
        .filter_map(|button| {
            let value = button.value.as_ref()?;
            Some((button, value, short_member(value.kind)?))
        })
        .collect();
    let forms: Vec<_> = taking
        .iter()
        .map(|(button, value, member)| {
            let mut members = json!({
                "index": place(button.index),
                "payload": {"type": "null"}, "url": {"type": "null"}, "coupon_code": {"type": "null"},
            });
            if let Some(slot) = members.get_mut(*member) {
                *slot = button_text(value);
            }
            json!({"type": "object", "properties": members, "required": ["index", member],
                   "additionalProperties": false})
        })
        .collect();
    let once: Vec<_> = taking
        .iter()
        .map(|(button, value, _)| {
            let at = json!({"properties": {"index": place(button.index)}, "required": ["index"]});
            contains(&at, value.required)
        })
        .collect();
    let is_required = taking.iter().any(|(_, value, _)| value.required);
    (is_required, list_of(&forms, &once))
}

/// The member of a button in short form that has its value, if there is one.
const fn short_member(kind: ButtonValueKind) -> Option<&'static str> {
    match kind {
        ButtonValueKind::UrlSuffix | ButtonValueKind::OneTimePassword => Some("url"),
        ButtonValueKind::CouponCode => Some("coupon_code"),
        ButtonValueKind::Payload => Some("payload"),
        ButtonValueKind::Flow | ButtonValueKind::Catalog | ButtonValueKind::Products => None,
    }
}

fn components(schema: &TemplateSchema) -> Value {
    let mut parts = Parts::of(
        schema.parameter_format,
        schema.header.as_ref(),
        schema.body.as_ref(),
        &schema.buttons,
    );
    if let Some(offer) = &schema.limited_time_offer {
        let end = json!({"type": "integer", "minimum": FIRST_MILLISECOND});
        let end = object(&[("expiration_time_ms", end)], &[]);
        let value = object(
            &[
                ("type", word("limited_time_offer")),
                ("limited_time_offer", end),
            ],
            &[],
        );
        parts.put(
            "limited_time_offer",
            exactly(&[value]),
            offer.needs_expiration,
        );
    }
    if !schema.cards.is_empty() {
        parts.add(
            object(
                &[
                    ("type", word("carousel")),
                    ("cards", cards(schema.parameter_format, &schema.cards)),
                ],
                &[],
            ),
            &json!({"properties": {"type": word("carousel")}, "required": ["type"]}),
            true,
        );
    }
    parts.into_schema()
}

fn cards(format: ParameterFormat, cards: &[CardSchema]) -> Value {
    let index = || json!({"type": "integer", "minimum": 0, "maximum": cards.len() - 1});
    let forms = cards.iter().map(|card| {
        let parts = Parts::of(
            format,
            card.header.as_ref(),
            card.body.as_ref(),
            &card.buttons,
        );
        object(
            &[("card_index", index()), ("components", parts.into_schema())],
            &[],
        )
    });
    let once: Vec<_> = (0..cards.len())
        .map(|index| {
            let at =
                json!({"properties": {"card_index": {"const": index}}, "required": ["card_index"]});
            contains(&at, true)
        })
        .collect();
    json!({"allOf": [exactly(&forms.collect::<Vec<_>>()), {"allOf": once}]})
}

/// Components of a template or of a card.
#[derive(Default)]
struct Parts {
    forms: Vec<Value>,
    once: Vec<Value>,
}

impl Parts {
    fn of(
        format: ParameterFormat,
        header: Option<&HeaderSchema>,
        body: Option<&TextSchema>,
        buttons: &[ButtonSchema],
    ) -> Self {
        let mut parts = Self::default();
        match header {
            Some(HeaderSchema::Text(text)) if text.variables.is_empty() => {}
            Some(HeaderSchema::Text(text)) => {
                parts.put("header", texts(format, &text.variables), true);
            }
            Some(HeaderSchema::Other) => {
                let any = json!({"type": "array", "minItems": 1, "maxItems": 1});
                parts.put("header", any, false);
            }
            Some(medium) => parts.put("header", exactly(&[header_value(medium)]), true),
            None => {}
        }
        let variables = variables_of(body);
        parts.put("body", texts(format, variables), !variables.is_empty());
        for button in buttons {
            if let Some(value) = &button.value {
                parts.button(button.index, value);
            }
        }
        parts
    }

    /// A component that can be there once.
    fn put(&mut self, kind: &str, parameters: Value, is_required: bool) {
        self.add(
            object(&[("type", word(kind)), ("parameters", parameters)], &[]),
            &json!({"properties": {"type": word(kind)}, "required": ["type"]}),
            is_required,
        );
    }

    fn button(&mut self, index: usize, value: &ButtonValue) {
        let (needs_value, parameter) = button_value(value);
        let parameters = json!({
            "type": "array", "items": parameter,
            "minItems": usize::from(needs_value), "maxItems": 1,
        });
        let optional: &[_] = if needs_value { &[] } else { &["parameters"] };
        let form = object(
            &[
                ("type", word("button")),
                ("sub_type", word(value.sub_type)),
                ("index", place(index)),
                ("parameters", parameters),
            ],
            optional,
        );
        let at = json!({"properties": {"type": word("button"), "index": place(index)},
                        "required": ["type", "index"]});
        self.add(form, &at, value.required);
    }

    fn add(&mut self, form: Value, at: &Value, is_required: bool) {
        self.forms.push(form);
        self.once.push(contains(at, is_required));
    }

    fn into_schema(self) -> Value {
        list_of(&self.forms, &self.once)
    }
}

/// Parameters of a text.
fn texts(format: ParameterFormat, variables: &[Variable]) -> Value {
    match format {
        ParameterFormat::Named if !variables.is_empty() => named_list(variables),
        _ => {
            let values = variables
                .iter()
                .map(|variable| textual(variable, Name::None));
            exactly(&values.collect::<Vec<_>>())
        }
    }
}

/// Values that name their variables: each once, in any order.
fn named_list(variables: &[Variable]) -> Value {
    let forms: Vec<_> = variables
        .iter()
        .map(|variable| textual(variable, Name::Needed))
        .collect();
    let once: Vec<_> = variables
        .iter()
        .map(|variable| {
            let named = json!({"properties": {"parameter_name": {"const": variable.name}},
                               "required": ["parameter_name"]});
            contains(&named, true)
        })
        .collect();
    list_of(&forms, &once)
}

fn variables_of(text: Option<&TextSchema>) -> &[Variable] {
    text.map_or(&[], |text| text.variables.as_slice())
}

#[cfg(test)]
pub(crate) mod tests;
