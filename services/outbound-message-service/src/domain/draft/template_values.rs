//! Values of a template in short form.

use std::{borrow::Cow, collections::BTreeMap};

use portal_service_kit::{FieldErrors, http::from_buffered};
use portal_whatsapp::message::template::{
    ButtonIndex, ButtonKind, CouponParameter, Parameter, PayloadParameter, TemplateBody,
    TemplateButton, TemplateComponent, TemplateHeader, TextParameter,
};
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Map, Value};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, schema::Schema, schema::SchemaType},
};

/// A value: a text, a number, or an object as Meta has it.
#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct ShortValue(Parameter);

impl<'de> Deserialize<'de> for ShortValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = |text| {
            Self(Parameter::Text(TextParameter {
                parameter_name: None,
                text,
            }))
        };
        match Value::deserialize(deserializer)? {
            Value::String(value) => Ok(text(value)),
            Value::Number(value) => Ok(text(value.to_string())),
            object @ Value::Object(_) => from_buffered(object).map(Self),
            Value::Null | Value::Bool(_) | Value::Array(_) => Err(de::Error::custom(
                "must be a text, a number or an object with a type",
            )),
        }
    }
}

/// The values of a body: a list in the order of the variables, or an object by their names.
#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct Parameters(Vec<ShortValue>);

impl<'de> Deserialize<'de> for Parameters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            list @ Value::Array(_) => from_buffered(list).map(Self),
            Value::Object(members) => by_name(members).map(Self),
            _ => Err(de::Error::custom(
                "must be a list of values, or an object of named ones",
            )),
        }
    }
}

fn by_name<E: de::Error>(members: Map<String, Value>) -> Result<Vec<ShortValue>, E> {
    let values: BTreeMap<String, ShortValue> = from_buffered(Value::Object(members))?;
    let named = values.into_iter().map(|(name, mut value)| {
        value.0.set_name(name);
        value
    });
    Ok(named.collect())
}

/// The value of a button: exactly one of `payload`, `url` and `coupon_code`.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TemplateButtonValue)]
pub(crate) struct ButtonValue {
    /// The button's place in the template, from 0 on.
    index: ButtonIndex,
    /// What a quick reply brings back.
    #[serde(default)]
    payload: Option<String>,
    /// The end of the address that the button opens; of authentication templates the code.
    #[serde(default)]
    url: Option<String>,
    /// The code that the button copies.
    #[serde(default)]
    coupon_code: Option<String>,
}

impl ButtonValue {
    fn into_component(self) -> Option<TemplateComponent> {
        let (sub_type, value) = match (self.payload, self.url, self.coupon_code) {
            (Some(payload), None, None) => (
                ButtonKind::QuickReply,
                Parameter::Payload(PayloadParameter { payload }),
            ),
            (None, Some(text), None) => (
                ButtonKind::Url,
                Parameter::Text(TextParameter {
                    parameter_name: None,
                    text,
                }),
            ),
            (None, None, Some(coupon_code)) => (
                ButtonKind::CopyCode,
                Parameter::CouponCode(CouponParameter { coupon_code }),
            ),
            _ => return None,
        };
        Some(TemplateComponent::Button(TemplateButton {
            sub_type,
            index: self.index,
            parameters: vec![value],
        }))
    }
}

/// All values of a template in short form.
pub(super) struct Values {
    pub(super) header: Option<ShortValue>,
    pub(super) body: Option<Parameters>,
    pub(super) buttons: Vec<ButtonValue>,
}

impl Values {
    pub(super) fn is_empty(&self) -> bool {
        self.header.is_none() && self.body.is_none() && self.buttons.is_empty()
    }

    /// The components that Meta wants, and the field that each of them comes from.
    pub(super) fn into_components(
        self,
        errors: &mut FieldErrors,
    ) -> (Vec<TemplateComponent>, Vec<String>) {
        let mut parts: Vec<(TemplateComponent, String)> = Vec::new();
        if let Some(header) = self.header {
            let parameters = vec![header.0];
            let component = TemplateComponent::Header(TemplateHeader { parameters });
            parts.push((component, "header".to_owned()));
        }
        if let Some(body) = self.body.filter(|body| !body.0.is_empty()) {
            let parameters = body.0.into_iter().map(|value| value.0).collect();
            let component = TemplateComponent::Body(TemplateBody { parameters });
            parts.push((component, "parameters".to_owned()));
        }
        for (place, button) in self.buttons.into_iter().enumerate() {
            let field = format!("buttons[{place}]");
            match button.into_component() {
                Some(component) => parts.push((component, field)),
                None => errors.add(field, "must have one of payload, url and coupon_code"),
            }
        }
        parts.into_iter().unzip()
    }
}

fn described(description: &str) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(SchemaType::AnyValue)
        .description(Some(description))
        .into()
}

impl PartialSchema for ShortValue {
    fn schema() -> RefOr<Schema> {
        described(
            "A text, a number, or a value as Meta has it: {\"type\": \"image\", \"image\": {…}}",
        )
    }
}

impl ToSchema for ShortValue {
    fn name() -> Cow<'static, str> {
        "TemplateValue".into()
    }
}

impl PartialSchema for Parameters {
    fn schema() -> RefOr<Schema> {
        described(
            "The values of the body's variables: a list in their order, or an object by their \
             names. Each is a text, a number, or a value as Meta has it",
        )
    }
}

impl ToSchema for Parameters {
    fn name() -> Cow<'static, str> {
        "TemplateParameters".into()
    }
}
