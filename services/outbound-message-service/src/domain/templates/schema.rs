//! What a send of a template must give, read from the template's components.
//!
//! Source: Cloud API reference, message templates and sending templates (2026).

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// Longest header with its values, in characters.
pub(crate) const MAX_HEADER_CHARS: usize = 60;
/// Longest body with its values, in characters.
pub(crate) const MAX_BODY_CHARS: usize = 1024;
/// The same below a limited-time offer.
const MAX_OFFER_BODY_CHARS: usize = 600;
/// The same on a card.
const MAX_CARD_BODY_CHARS: usize = 160;
/// Longest address of a button with its end, in characters.
pub(crate) const MAX_URL_CHARS: usize = 2000;
/// Longest one-time password, in characters.
pub(crate) const MAX_CODE_CHARS: usize = 15;
/// Longest coupon code, in characters.
const MAX_COUPON_CHARS: usize = 20;
/// The same below a limited-time offer.
const MAX_OFFER_COUPON_CHARS: usize = 15;
/// Longest payload of a quick reply, in characters.
const MAX_PAYLOAD_CHARS: usize = 256;

/// What a send of a template must give, part by part; parts without variables are shown, too.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, ToSchema)]
pub(crate) struct TemplateSchema {
    /// `positional`: values in the order of their numbers; `named`: values with names.
    pub(crate) parameter_format: ParameterFormat,
    pub(crate) header: Option<HeaderSchema>,
    pub(crate) body: Option<TextSchema>,
    /// The line below the text; it has no variables.
    pub(crate) footer: Option<String>,
    pub(crate) limited_time_offer: Option<OfferSchema>,
    /// All buttons in their order; those without `value` need nothing.
    pub(crate) buttons: Vec<ButtonSchema>,
    /// The cards of a carousel, each with its own header, body and buttons.
    pub(crate) cards: Vec<CardSchema>,
}

/// How values find their variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ParameterFormat {
    /// By the order of the numbers.
    #[default]
    Positional,
    /// By name.
    Named,
}

/// What stands above the text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum HeaderSchema {
    /// A line of text; without variables it needs nothing.
    Text(TextSchema),
    /// An image, by `id` or `link`.
    Image,
    /// A video, by `id` or `link`; also a looped one.
    Video,
    /// A document (PDF), by `id` or `link`, with its `filename`.
    Document,
    /// A place: `latitude`, `longitude`, `name`, `address`.
    Location,
    /// A product: `catalog_id` and `product_retailer_id`.
    Product,
    /// A kind that is not known here: whatever is given goes to Meta as it is.
    Other,
}

/// A text with variables.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, ToSchema)]
pub(crate) struct TextSchema {
    /// The text with `{{1}}` or `{{name}}` for variables.
    pub(crate) text: String,
    /// The variables in the order in which positional values are given.
    pub(crate) variables: Vec<Variable>,
    /// The text with its values may have so many characters.
    pub(crate) max_length: usize,
}

/// A variable of a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Variable {
    /// Its number or name.
    pub(crate) name: String,
    /// The example that it was approved with.
    pub(crate) example: Option<String>,
    /// Its value has at most so many characters, even if the values of all others are of one.
    pub(crate) max_length: usize,
    /// Whether it is the one-time password.
    pub(crate) is_code: bool,
}

/// An offer that ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct OfferSchema {
    pub(crate) text: String,
    /// Whether the end of the offer must be given, in milliseconds since 1970.
    pub(crate) needs_expiration: bool,
}

/// A button.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ButtonSchema {
    /// Its place, from 0 on: the `index` of its component.
    pub(crate) index: usize,
    /// Meta's word for what it does, in small letters: `url`, `quick_reply`, `otp`, …
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// What stands on it.
    pub(crate) text: Option<String>,
    /// The address of a `url` button, with `{{1}}` for its end.
    pub(crate) url: Option<String>,
    /// What it takes; nothing for buttons that take nothing.
    pub(crate) value: Option<ButtonValue>,
}

/// What a button takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ButtonValue {
    /// What it is.
    pub(crate) kind: ButtonValueKind,
    /// The `sub_type` of its component.
    pub(crate) sub_type: &'static str,
    /// Whether a send without it is refused.
    pub(crate) required: bool,
    /// At most so many characters, for texts.
    pub(crate) max_length: Option<usize>,
    /// The example that it was approved with.
    pub(crate) example: Option<String>,
}

/// What a button takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ButtonValueKind {
    /// The end of its address.
    UrlSuffix,
    /// The one-time password, the same as in the body.
    OneTimePassword,
    /// The code that it copies: letters and digits.
    CouponCode,
    /// What comes back when somebody taps.
    Payload,
    /// `flow_token` and `flow_action_data` of a form.
    Flow,
    /// `thumbnail_product_retailer_id` of a catalog.
    Catalog,
    /// `thumbnail_product_retailer_id` and `sections` of products.
    Products,
}

/// A card of a carousel.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, ToSchema)]
pub(crate) struct CardSchema {
    pub(crate) header: Option<HeaderSchema>,
    pub(crate) body: Option<TextSchema>,
    pub(crate) buttons: Vec<ButtonSchema>,
}

impl HeaderSchema {
    /// The type of its parameter.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Image => "image",
            Self::Video => "video",
            Self::Document => "document",
            Self::Location => "location",
            Self::Product => "product",
            Self::Other => "of the template's kind",
        }
    }
}

impl ButtonValueKind {
    /// For people.
    pub(crate) const fn in_words(self) -> &'static str {
        match self {
            Self::UrlSuffix => "the end of its address, a text",
            Self::OneTimePassword => "the one-time password, a text",
            Self::CouponCode => "a coupon_code",
            Self::Payload => "a payload",
            Self::Flow => "an action with flow_token and flow_action_data",
            Self::Catalog => "an action with thumbnail_product_retailer_id",
            Self::Products => "an action with sections of products",
        }
    }
}

impl TemplateSchema {
    /// Reads components as Meta lists them. What is not known is passed over: a send is refused here
    /// only for what is known.
    pub(crate) fn read(components: &Value, is_named: bool) -> Self {
        let parts = Parts::new(components);
        let offer = parts.find("LIMITED_TIME_OFFER");
        let max_body = match offer {
            Some(_) => MAX_OFFER_BODY_CHARS,
            None => MAX_BODY_CHARS,
        };
        let cards = parts.find("CAROUSEL").and_then(|part| part.get("cards"));
        Self {
            parameter_format: if is_named {
                ParameterFormat::Named
            } else {
                ParameterFormat::Positional
            },
            header: parts.header(is_named),
            body: parts.body(is_named, max_body),
            footer: parts.find("FOOTER").and_then(|part| text(part, "text")),
            limited_time_offer: offer.map(|part| OfferSchema {
                text: part
                    .pointer("/limited_time_offer/text")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned(),
                needs_expiration: part.pointer("/limited_time_offer/has_expiration")
                    == Some(&Value::Bool(true)),
            }),
            buttons: parts.buttons(offer.is_some()),
            cards: list(cards)
                .iter()
                .map(|card| {
                    let parts = Parts::new(card.get("components").unwrap_or(&Value::Null));
                    CardSchema {
                        header: parts.header(is_named),
                        body: parts.body(is_named, MAX_CARD_BODY_CHARS),
                        buttons: parts.buttons(false),
                    }
                })
                .collect(),
        }
    }

    /// Whether it can be sent with its name alone.
    pub(crate) fn needs_nothing(&self) -> bool {
        header_needs_nothing(self.header.as_ref())
            && text_needs_nothing(self.body.as_ref())
            && buttons_need_nothing(&self.buttons)
            && self.cards.is_empty()
            && !self
                .limited_time_offer
                .as_ref()
                .is_some_and(|offer| offer.needs_expiration)
    }
}

fn header_needs_nothing(header: Option<&HeaderSchema>) -> bool {
    match header {
        None => true,
        Some(HeaderSchema::Text(text)) => text.variables.is_empty(),
        Some(_) => false,
    }
}

fn text_needs_nothing(text: Option<&TextSchema>) -> bool {
    text.is_none_or(|text| text.variables.is_empty())
}

fn buttons_need_nothing(buttons: &[ButtonSchema]) -> bool {
    let is_required = |button: &ButtonSchema| {
        let value = button.value.as_ref();
        value.is_some_and(|value| value.required)
    };
    !buttons.iter().any(is_required)
}

/// The components of a template or of a card.
struct Parts<'t>(&'t [Value]);

impl<'t> Parts<'t> {
    fn new(components: &'t Value) -> Self {
        Self(list(Some(components)))
    }

    fn find(&self, kind: &str) -> Option<&'t Value> {
        self.0.iter().find(|part| {
            let have = part.get("type").and_then(Value::as_str);
            have.is_some_and(|have| have.eq_ignore_ascii_case(kind))
        })
    }

    fn header(&self, is_named: bool) -> Option<HeaderSchema> {
        let part = self.find("HEADER")?;
        let format = text(part, "format").unwrap_or_else(|| "TEXT".to_owned());
        Some(match format.to_ascii_uppercase().as_str() {
            "TEXT" => HeaderSchema::Text(text_schema(part, is_named, MAX_HEADER_CHARS)),
            "IMAGE" => HeaderSchema::Image,
            "VIDEO" | "GIF" => HeaderSchema::Video,
            "DOCUMENT" => HeaderSchema::Document,
            "LOCATION" => HeaderSchema::Location,
            "PRODUCT" => HeaderSchema::Product,
            _ => HeaderSchema::Other,
        })
    }

    /// Authentication templates may be listed without their text: it is Meta's and holds the code.
    fn body(&self, is_named: bool, max_length: usize) -> Option<TextSchema> {
        let part = self.find("BODY")?;
        let is_otp = self.raw_buttons().iter().any(is_otp);
        if is_otp && text(part, "text").is_none() {
            let code = Variable {
                name: "1".to_owned(),
                example: None,
                max_length: MAX_CODE_CHARS,
                is_code: true,
            };
            return Some(TextSchema {
                text: "{{1}}".to_owned(),
                variables: vec![code],
                max_length,
            });
        }
        let mut schema = text_schema(part, is_named, max_length);
        if is_otp {
            for variable in &mut schema.variables {
                variable.max_length = MAX_CODE_CHARS;
                variable.is_code = true;
            }
        }
        Some(schema)
    }

    fn raw_buttons(&self) -> &'t [Value] {
        list(self.find("BUTTONS").and_then(|part| part.get("buttons")))
    }

    fn buttons(&self, below_offer: bool) -> Vec<ButtonSchema> {
        let buttons = self.raw_buttons().iter().enumerate();
        buttons
            .map(|(index, button)| button_schema(index, button, below_offer))
            .collect()
    }
}

/// Begins the address of a button for a one-time password: Meta lists it as a link.
const OTP_ADDRESS: &str = "https://www.whatsapp.com/otp/";

fn is_otp(button: &Value) -> bool {
    let address = text(button, "url");
    text(button, "type").is_some_and(|kind| kind.eq_ignore_ascii_case("OTP"))
        || address.is_some_and(|address| address.starts_with(OTP_ADDRESS))
}

fn text_schema(part: &Value, is_named: bool, max_length: usize) -> TextSchema {
    let body = text(part, "text").unwrap_or_default();
    let mut names = placeholders(&body);
    if !is_named {
        // Values are given in the order of the numbers, wherever these stand.
        names.sort_by_key(|name| name.parse::<u32>().unwrap_or(u32::MAX));
    }
    // What is left for one variable when all others have one character.
    let fixed = without_placeholders(&body);
    let room = max_length.saturating_sub(fixed + names.len().saturating_sub(1));
    let variables = names.into_iter().enumerate();
    TextSchema {
        variables: variables
            .map(|(place, name)| Variable {
                example: example(part, place, name),
                name: name.to_owned(),
                max_length: room.max(1),
                is_code: false,
            })
            .collect(),
        max_length,
        text: body.clone(),
    }
}

/// The example of a variable, in one of the forms in which Meta lists them.
fn example(part: &Value, place: usize, name: &str) -> Option<String> {
    let examples = part.get("example")?;
    let named = ["body_text_named_params", "header_text_named_params"]
        .into_iter()
        .flat_map(|key| list(examples.get(key)))
        .find(|item| item.get("param_name").and_then(Value::as_str) == Some(name));
    if let Some(item) = named {
        return text(item, "example");
    }
    let positional = examples
        .pointer("/body_text/0")
        .or_else(|| examples.get("header_text"))?;
    list(Some(positional))
        .get(place)?
        .as_str()
        .map(str::to_owned)
}

fn button_schema(index: usize, button: &Value, below_offer: bool) -> ButtonSchema {
    let kind = text(button, "type")
        .unwrap_or_default()
        .to_ascii_lowercase();
    let url = text(button, "url").filter(|_| kind == "url");
    let value = |kind, sub_type, required, max_length| ButtonValue {
        kind,
        sub_type,
        required,
        max_length,
        example: button_example(button),
    };
    let taken = match kind.as_str() {
        _ if is_otp(button) => Some(value(
            ButtonValueKind::OneTimePassword,
            "url",
            true,
            Some(MAX_CODE_CHARS),
        )),
        "url" => url
            .as_deref()
            .filter(|url| !placeholders(url).is_empty())
            .map(|url| {
                let room = MAX_URL_CHARS.saturating_sub(without_placeholders(url));
                value(ButtonValueKind::UrlSuffix, "url", true, Some(room))
            }),
        "copy_code" => {
            let max = if below_offer {
                MAX_OFFER_COUPON_CHARS
            } else {
                MAX_COUPON_CHARS
            };
            Some(value(
                ButtonValueKind::CouponCode,
                "copy_code",
                true,
                Some(max),
            ))
        }
        "quick_reply" => Some(value(
            ButtonValueKind::Payload,
            "quick_reply",
            false,
            Some(MAX_PAYLOAD_CHARS),
        )),
        "flow" => Some(value(ButtonValueKind::Flow, "flow", false, None)),
        "catalog" => Some(value(ButtonValueKind::Catalog, "catalog", false, None)),
        "mpm" => Some(value(ButtonValueKind::Products, "mpm", true, None)),
        _ => None,
    };
    ButtonSchema {
        index,
        text: text(button, "text"),
        kind,
        url,
        value: taken,
    }
}

/// The example of a button is a text or a list of one.
fn button_example(button: &Value) -> Option<String> {
    let example = button.get("example")?;
    let first = example.as_array().map_or(Some(example), |all| all.first());
    first?.as_str().map(str::to_owned)
}

fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text(part: &Value, key: &str) -> Option<String> {
    part.get(key)?.as_str().map(str::to_owned)
}

/// The names between double braces, each once, in the order of their first place.
pub(crate) fn placeholders(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for name in pieces(text).filter_map(Result::err) {
        if !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

/// Characters of a text that are not of placeholders.
fn without_placeholders(text: &str) -> usize {
    let fixed = pieces(text).filter_map(Result::ok);
    fixed.map(|piece| piece.chars().count()).sum()
}

/// A text cut into fixed pieces (`Ok`) and names of placeholders (`Err`).
pub(crate) fn pieces(text: &str) -> impl Iterator<Item = Result<&str, &str>> {
    let mut rest = Some(text);
    let mut name = None;
    std::iter::from_fn(move || {
        if let Some(found) = name.take() {
            return Some(Err(found));
        }
        let here = rest?;
        let placeholder = here.split_once("{{").and_then(|(fixed, after)| {
            let (inside, tail) = after.split_once("}}")?;
            Some((fixed, inside.trim(), tail))
        });
        if let Some((fixed, inside, tail)) = placeholder {
            rest = Some(tail);
            name = Some(inside);
            Some(Ok(fixed))
        } else {
            rest = None;
            Some(Ok(here))
        }
    })
}

#[cfg(test)]
mod tests;
