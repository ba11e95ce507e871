//! Whether the values of a send fit its template. Whatever Meta would refuse with 132000 (count),
//! 132005 (length), 132012 (format) or 131008 (missing) is named here, field by field.

use portal_service_kit::FieldErrors;
use portal_whatsapp::message::template::{
    ButtonKind, Parameter, TemplateButton, TemplateCarousel, TemplateComponent,
};

use super::schema::{
    ButtonSchema, ButtonValue, CardSchema, HeaderSchema, MAX_CODE_CHARS, ParameterFormat,
    TemplateSchema, TextSchema, Variable, pieces,
};

/// Checks `components`, which stand at `path`. `now_ms` is the time, in milliseconds since 1970.
pub(crate) fn check(
    schema: &TemplateSchema,
    components: &[TemplateComponent],
    path: &str,
    now_ms: i64,
    errors: &mut FieldErrors,
) {
    let mut check = Check {
        format: schema.parameter_format,
        errors,
    };
    let message = Message {
        header: schema.header.as_ref(),
        body: schema.body.as_ref(),
        buttons: &schema.buttons,
    };
    check.message(&message, components, path);
    check.offer(schema, components, path, now_ms);
    check.carousel(&schema.cards, components, path);
}

/// A template, or one card of it.
struct Message<'s> {
    header: Option<&'s HeaderSchema>,
    body: Option<&'s TextSchema>,
    buttons: &'s [ButtonSchema],
}

struct Check<'e> {
    format: ParameterFormat,
    errors: &'e mut FieldErrors,
}

impl Check<'_> {
    fn message(&mut self, message: &Message<'_>, components: &[TemplateComponent], path: &str) {
        let mut header = None;
        let mut body = None;
        let mut given = vec![false; message.buttons.len()];
        for (place, component) in components.iter().enumerate() {
            let here = format!("{path}[{place}]");
            match component {
                TemplateComponent::Header(part) => {
                    header = Some((part.parameters.as_slice(), here));
                }
                TemplateComponent::Body(part) => body = Some((part.parameters.as_slice(), here)),
                TemplateComponent::Button(button) => {
                    self.button(message.buttons, button, &here, &mut given);
                }
                _ => {}
            }
        }
        match (message.header, header) {
            (Some(schema), Some((parameters, here))) => self.header(schema, parameters, &here),
            (Some(schema), None) => self.header_missing(schema, path),
            (None, Some((_, here))) => {
                self.errors
                    .add(here, "must be left out: the template has no header");
            }
            (None, None) => {}
        }
        match (message.body, body) {
            (Some(schema), Some((parameters, here))) => self.text(schema, parameters, &here),
            (Some(schema), None) if !schema.variables.is_empty() => {
                let values = listed(&schema.variables);
                self.errors
                    .add(path, format!("must have a body with {values}"));
            }
            (None, Some((parameters, here))) if !parameters.is_empty() => {
                self.errors.add(
                    here,
                    "must be left out: the template's body has no variables",
                );
            }
            _ => {}
        }
        for (button, _) in message
            .buttons
            .iter()
            .zip(&given)
            .filter(|(_, given)| !**given)
        {
            if let Some(value) = button.value.as_ref().filter(|value| value.required) {
                self.errors.add(
                    path,
                    format!(
                        "must have a button with index {} and sub_type {}: it takes {}",
                        button.index,
                        value.sub_type,
                        value.kind.in_words(),
                    ),
                );
            }
        }
    }

    fn header(&mut self, schema: &HeaderSchema, parameters: &[Parameter], here: &str) {
        if let HeaderSchema::Text(text) = schema {
            return self.text(text, parameters, here);
        }
        let fits = matches!(
            (schema, parameters.first()),
            (HeaderSchema::Image, Some(Parameter::Image(_)))
                | (HeaderSchema::Video, Some(Parameter::Video(_)))
                | (HeaderSchema::Document, Some(Parameter::Document(_)))
                | (HeaderSchema::Location, Some(Parameter::Location(_)))
                | (HeaderSchema::Product, Some(Parameter::Product(_)))
                | (HeaderSchema::Other, _)
        );
        if !fits {
            let word = schema.word();
            self.errors.add(
                format!("{here}.parameters[0].type"),
                format!("must be {word}: the template has a header of this kind"),
            );
        }
    }

    fn header_missing(&mut self, schema: &HeaderSchema, path: &str) {
        match schema {
            HeaderSchema::Text(text) if text.variables.is_empty() => {}
            HeaderSchema::Other => {}
            HeaderSchema::Text(text) => {
                let values = listed(&text.variables);
                self.errors
                    .add(path, format!("must have a header with {values}"));
            }
            schema => {
                let word = schema.word();
                self.errors.add(
                    path,
                    format!("must have a header with one parameter of type {word}"),
                );
            }
        }
    }

    fn text(&mut self, schema: &TextSchema, parameters: &[Parameter], here: &str) {
        let list = format!("{here}.parameters");
        let before = self.errors.fields().len();
        if parameters.len() != schema.variables.len() {
            let message = match schema.variables.len() {
                0 => "must be empty: the template has no variables here".to_owned(),
                count => format!(
                    "must have {count}, {}, and has {}",
                    listed(&schema.variables),
                    parameters.len()
                ),
            };
            self.errors.add(list.as_str(), message);
        }
        let mut values: Vec<Option<&str>> = vec![None; schema.variables.len()];
        for (place, parameter) in parameters.iter().enumerate() {
            let path = format!("{list}[{place}]");
            let Some((name, value)) = text_of(parameter) else {
                self.errors.add(
                    format!("{path}.type"),
                    "must be text, currency or date_time here",
                );
                continue;
            };
            let Some(found) = self.variable(schema, place, name, &path) else {
                continue;
            };
            if let (Some(variable), Some(slot)) =
                (schema.variables.get(found), values.get_mut(found))
            {
                // Of other texts the whole counts.
                if variable.is_code {
                    self.at_most(&path, value, MAX_CODE_CHARS);
                }
                *slot = Some(value);
            }
        }
        let missing = schema.variables.iter().zip(&values);
        let missing: Vec<_> = missing
            .filter(|(_, value)| value.is_none())
            .map(|(variable, _)| variable.clone())
            .collect();
        if self.errors.fields().len() > before {
            return;
        }
        if missing.is_empty() {
            self.rendered(schema, &values, &list);
        } else {
            self.errors.add(list, format!("lacks {}", listed(&missing)));
        }
    }

    /// The variable that the value at `place` is for.
    fn variable(
        &mut self,
        schema: &TextSchema,
        place: usize,
        name: Option<&str>,
        path: &str,
    ) -> Option<usize> {
        let field = || format!("{path}.parameter_name");
        match (self.format, name) {
            (ParameterFormat::Positional, None) => Some(place),
            (ParameterFormat::Positional, Some(_)) => {
                self.errors.add(
                    field(),
                    "must be left out: the template's variables have numbers, values go by their order",
                );
                None
            }
            (ParameterFormat::Named, Some(name)) => {
                let found = schema.variables.iter().position(|have| have.name == name);
                if found.is_none() && !schema.variables.is_empty() {
                    self.errors.add(
                        field(),
                        format!("must be one of {}", names(&schema.variables)),
                    );
                }
                found
            }
            (ParameterFormat::Named, None) => {
                self.errors.add(
                    field(),
                    format!(
                        "must name the variable: one of {}",
                        names(&schema.variables)
                    ),
                );
                None
            }
        }
    }

    fn rendered(&mut self, schema: &TextSchema, values: &[Option<&str>], list: &str) {
        let length: usize = pieces(&schema.text)
            .map(|piece| match piece {
                Ok(fixed) => fixed.chars().count(),
                Err(name) => {
                    let place = schema.variables.iter().position(|have| have.name == name);
                    let value = place.and_then(|place| values.get(place).copied().flatten());
                    value.map_or(0, |value| value.chars().count())
                }
            })
            .sum();
        if length > schema.max_length {
            self.errors.add(
                list,
                format!(
                    "must be shorter: with these values the text has {length} characters, {} at most",
                    schema.max_length
                ),
            );
        }
    }

    fn button(
        &mut self,
        buttons: &[ButtonSchema],
        button: &TemplateButton,
        here: &str,
        given: &mut [bool],
    ) {
        let index = usize::from(button.index.get());
        let Some(schema) = buttons.get(index) else {
            self.errors.add(
                format!("{here}.index"),
                format!(
                    "must be the place of a button: the template has {}",
                    buttons.len()
                ),
            );
            return;
        };
        if let Some(given) = given.get_mut(index) {
            *given = true;
        }
        let Some(value) = &schema.value else {
            self.errors.add(
                here,
                format!("must be left out: button {index} of the template takes no value"),
            );
            return;
        };
        if sub_type(button.sub_type) != value.sub_type {
            self.errors.add(
                format!("{here}.sub_type"),
                format!("must be {}", value.sub_type),
            );
            return;
        }
        self.button_value(value, button, here);
    }

    fn button_value(&mut self, value: &ButtonValue, button: &TemplateButton, here: &str) {
        let path = format!("{here}.parameters[0]");
        let given = match button.parameters.first() {
            None if value.required => {
                let words = value.kind.in_words();
                self.errors.add(
                    format!("{here}.parameters"),
                    format!("must have one: {words}"),
                );
                return;
            }
            Some(Parameter::Text(text)) => ("text", &text.text),
            Some(Parameter::CouponCode(coupon)) => ("coupon_code", &coupon.coupon_code),
            Some(Parameter::Payload(payload)) => ("payload", &payload.payload),
            // Its form is the type's business.
            Some(_) | None => return,
        };
        if let Some(max) = value.max_length
            && given.1.chars().count() > max
        {
            self.errors.add(
                format!("{path}.{}", given.0),
                format!("must have at most {max} characters"),
            );
        }
    }

    fn at_most(&mut self, path: &str, value: &str, max: usize) {
        if value.chars().count() > max {
            self.errors.add(
                format!("{path}.text"),
                format!("must have at most {max} characters"),
            );
        }
    }

    fn offer(
        &mut self,
        schema: &TemplateSchema,
        components: &[TemplateComponent],
        path: &str,
        now_ms: i64,
    ) {
        let given = components
            .iter()
            .enumerate()
            .find_map(|(place, component)| match component {
                TemplateComponent::LimitedTimeOffer(offer) => Some((place, offer)),
                _ => None,
            });
        let needed = schema.limited_time_offer.as_ref();
        match (needed, given) {
            (Some(offer), None) if offer.needs_expiration => self.errors.add(
                path,
                "must have a limited_time_offer with the end of the offer, expiration_time_ms",
            ),
            (None, Some((place, _))) => self.errors.add(
                format!("{path}[{place}]"),
                "must be left out: the template has no limited-time offer",
            ),
            (Some(_), Some((place, offer))) => {
                let is_over = |parameter: &Parameter| {
                    matches!(parameter, Parameter::LimitedTimeOffer(offer)
                        if offer.limited_time_offer.expiration_time_ms <= now_ms)
                };
                if offer.parameters.iter().any(is_over) {
                    self.errors.add(
                        format!(
                            "{path}[{place}].parameters[0].limited_time_offer.expiration_time_ms"
                        ),
                        "must be a time to come",
                    );
                }
            }
            _ => {}
        }
    }

    fn carousel(&mut self, cards: &[CardSchema], components: &[TemplateComponent], path: &str) {
        let given = components
            .iter()
            .enumerate()
            .find_map(|(place, component)| match component {
                TemplateComponent::Carousel(carousel) => Some((place, carousel)),
                _ => None,
            });
        match given {
            None if cards.is_empty() => {}
            None => {
                let count = cards.len();
                self.errors.add(
                    path,
                    format!("must have a carousel with {count} cards, as the template has"),
                );
            }
            Some((place, _)) if cards.is_empty() => self.errors.add(
                format!("{path}[{place}]"),
                "must be left out: the template has no cards",
            ),
            Some((place, carousel)) => {
                self.cards(cards, carousel, &format!("{path}[{place}].cards"));
            }
        }
    }

    fn cards(&mut self, cards: &[CardSchema], carousel: &TemplateCarousel, path: &str) {
        if carousel.cards.len() != cards.len() {
            let count = cards.len();
            self.errors.add(
                path,
                format!("must have {count} cards, as the template has"),
            );
            return;
        }
        for (place, (schema, card)) in cards.iter().zip(&carousel.cards).enumerate() {
            let message = Message {
                header: schema.header.as_ref(),
                body: schema.body.as_ref(),
                buttons: &schema.buttons,
            };
            self.message(
                &message,
                &card.components,
                &format!("{path}[{place}].components"),
            );
        }
    }
}

/// The name and the text that a value shows; none for values that are not of texts.
fn text_of(parameter: &Parameter) -> Option<(Option<&str>, &str)> {
    match parameter {
        Parameter::Text(text) => Some((text.parameter_name.as_deref(), &text.text)),
        Parameter::Currency(amount) => Some((
            amount.parameter_name.as_deref(),
            &amount.currency.fallback_value,
        )),
        Parameter::DateTime(time) => Some((
            time.parameter_name.as_deref(),
            &time.date_time.fallback_value,
        )),
        _ => None,
    }
}

const fn sub_type(kind: ButtonKind) -> &'static str {
    match kind {
        ButtonKind::QuickReply => "quick_reply",
        ButtonKind::Url => "url",
        ButtonKind::CopyCode => "copy_code",
        ButtonKind::Flow => "flow",
        ButtonKind::Catalog => "catalog",
        ButtonKind::Mpm => "mpm",
    }
}

fn names(variables: &[Variable]) -> String {
    let names: Vec<_> = variables.iter().map(|have| have.name.as_str()).collect();
    names.join(", ")
}

/// `a value for {{1}}`, `values for {{1}}, {{2}}`
fn listed(variables: &[Variable]) -> String {
    let names: Vec<_> = variables
        .iter()
        .map(|have| format!("{{{{{}}}}}", have.name))
        .collect();
    let word = if names.len() == 1 {
        "a value"
    } else {
        "values"
    };
    format!("{word} for {}", names.join(", "))
}

#[cfg(test)]
mod tests;
