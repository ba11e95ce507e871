use std::time::Duration;

use portal_sandbox::{Sandbox, SandboxConfig, seed};
use portal_service_kit::http_client::{self, ClientOptions};
use portal_whatsapp::{
    Content, GraphClient, OutboundMessage, Recipient, RecipientType, message::template::Language,
};
use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use serde_json::{Value, json};

use super::*;
use crate::domain::templates::{
    TemplateSchema, json_schema,
    json_schema::tests::satisfies,
    schema::{ButtonSchema, ButtonValueKind, HeaderSchema, ParameterFormat, TextSchema},
};

const NOW: i64 = 1_767_000_000_000;
/// A time to come, for the stand-in of Meta, too.
const LATER: i64 = 4_102_444_800_000;

fn known(templates: &[(&str, &str, &str, Value)]) -> KnownTemplates {
    let known = templates
        .iter()
        .map(|(name, language, status, components)| KnownTemplate {
            name: (*name).to_owned(),
            language: (*language).to_owned(),
            status: (*status).to_owned(),
            status_reason: None,
            paused_until: None,
            category: "UTILITY".to_owned(),
            schema: TemplateSchema::read(components, false),
        });
    KnownTemplates::of(Some(1), known)
}

fn template(name: &str, language: &str) -> Template {
    Template {
        name: name.to_owned(),
        language: Language {
            code: language.to_owned(),
        },
        components: Vec::new(),
    }
}

fn problems(known: &KnownTemplates, template: &Template) -> Vec<String> {
    let finding = find_fault(known, template, NOW);
    let fields = finding.errors.fields().iter();
    fields
        .map(|bad| format!("{} {}", bad.field, bad.message))
        .collect()
}

#[test]
fn what_cannot_be_sent_says_why_and_what_can() {
    let none = json!([]);
    let known = known(&[
        ("order_update", "en_US", "APPROVED", none.clone()),
        ("order_update", "de", "APPROVED", none.clone()),
        ("promo", "de", "PAUSED", none.clone()),
        ("draft", "de", "PENDING", none.clone()),
        ("old", "de", "DISABLED", none),
    ]);
    for (name, language, expected) in [
        ("order_update", "de", None),
        (
            "order_updates",
            "de",
            Some("template.name is not a template of your account; near it: order_update"),
        ),
        (
            "zzz",
            "de",
            Some("template.name is not a template of your account: GET /api/templates lists them"),
        ),
        (
            "order_update",
            "fr",
            Some("template.language.code must be one of the languages of this template: en_US, de"),
        ),
        (
            "promo",
            "de",
            Some("template.name is paused by Meta: use another template"),
        ),
        (
            "draft",
            "de",
            Some("template.name is not approved by Meta yet: it is PENDING"),
        ),
        (
            "old",
            "de",
            Some("template.name cannot be sent: Meta has it as DISABLED; use an approved template"),
        ),
    ] {
        let found = problems(&known, &template(name, language));
        assert_eq!(found, Vec::from_iter(expected), "{name} {language}");
    }
    let paused = find_fault(&known, &template("promo", "de"), NOW);
    assert_eq!(paused.status.as_deref(), Some("PAUSED"));
}

#[test]
fn while_nothing_was_read_meta_decides() {
    let finding = find_fault(&KnownTemplates::default(), &template("any", "de"), NOW);
    assert!(finding.errors.is_empty() && finding.warning.is_some() && finding.status.is_none());
}

/// Values that fit a template, made from its schema alone.
struct Filler<'r> {
    runner: &'r mut TestRunner,
    format: ParameterFormat,
}

impl Filler<'_> {
    fn text_of(&mut self, at_most: usize) -> String {
        let longest = at_most.clamp(1, 60);
        let strategy = format!("[A-Za-zÄ-ü0-9,.!?-]{{1,{longest}}}");
        strategy.prop_map_into(self.runner)
    }

    fn texts(&mut self, schema: &TextSchema) -> Vec<Value> {
        let share = schema.variables.len().max(1);
        let variables = schema.variables.iter();
        variables
            .map(|variable| {
                let text = self.text_of(variable.max_length / share);
                match self.format {
                    ParameterFormat::Positional => json!({"type": "text", "text": text}),
                    ParameterFormat::Named => {
                        json!({"type": "text", "parameter_name": variable.name, "text": text})
                    }
                }
            })
            .collect()
    }

    fn message(
        &mut self,
        header: Option<&HeaderSchema>,
        body: Option<&TextSchema>,
        buttons: &[ButtonSchema],
    ) -> Vec<Value> {
        let mut components = Vec::new();
        let parameters = match header {
            None | Some(HeaderSchema::Other) => Vec::new(),
            Some(HeaderSchema::Text(text)) => self.texts(text),
            Some(HeaderSchema::Location) => vec![json!({"type": "location", "location":
                {"latitude": 1.5, "longitude": 2.5, "name": "a", "address": "b"}})],
            Some(HeaderSchema::Product) => vec![json!({"type": "product", "product":
                {"catalog_id": "1", "product_retailer_id": "2"}})],
            Some(medium) => {
                let word = medium.word();
                vec![json!({"type": word, word: {"link": "https://example.com/file"}})]
            }
        };
        if !parameters.is_empty() {
            components.push(json!({"type": "header", "parameters": parameters}));
        }
        let parameters = body.map(|body| self.texts(body)).unwrap_or_default();
        if !parameters.is_empty() {
            components.push(json!({"type": "body", "parameters": parameters}));
        }
        components.extend(buttons.iter().filter_map(|button| self.button(button)));
        components
    }

    fn button(&mut self, button: &ButtonSchema) -> Option<Value> {
        let value = button.value.as_ref()?;
        let text = self.text_of(value.max_length.unwrap_or(10));
        let plain: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
        let parameter = match value.kind {
            ButtonValueKind::UrlSuffix | ButtonValueKind::OneTimePassword => {
                json!({"type": "text", "text": format!("a{plain}").chars().take(15).collect::<String>()})
            }
            ButtonValueKind::CouponCode => {
                json!({"type": "coupon_code", "coupon_code": format!("A{plain}").chars().take(15).collect::<String>()})
            }
            ButtonValueKind::Payload => json!({"type": "payload", "payload": text}),
            ButtonValueKind::Flow => json!({"type": "action", "action": {"flow_token": text}}),
            ButtonValueKind::Catalog => json!({"type": "action", "action":
                {"thumbnail_product_retailer_id": "1"}}),
            ButtonValueKind::Products => json!({"type": "action", "action":
                {"thumbnail_product_retailer_id": "1", "sections": [
                    {"title": "a", "product_items": [{"product_retailer_id": "1"}]}]}}),
        };
        Some(json!({"type": "button", "sub_type": value.sub_type,
                    "index": button.index.to_string(), "parameters": [parameter]}))
    }

    fn components(&mut self, schema: &TemplateSchema) -> Vec<Value> {
        let body = schema.body.as_ref();
        let mut components = self.message(schema.header.as_ref(), body, &schema.buttons);
        if schema
            .limited_time_offer
            .as_ref()
            .is_some_and(|offer| offer.needs_expiration)
        {
            components.push(json!({"type": "limited_time_offer", "parameters": [
                {"type": "limited_time_offer", "limited_time_offer": {"expiration_time_ms": LATER}}]}));
        }
        if !schema.cards.is_empty() {
            let cards = schema.cards.iter().enumerate();
            let cards: Vec<_> = cards
                .map(|(place, card)| {
                    let parts =
                        self.message(card.header.as_ref(), card.body.as_ref(), &card.buttons);
                    json!({"card_index": place, "components": parts})
                })
                .collect();
            components.push(json!({"type": "carousel", "cards": cards}));
        }
        components
    }
}

/// A text of a pattern, of this run.
trait Sample {
    fn prop_map_into(&self, runner: &mut TestRunner) -> String;
}

impl Sample for String {
    fn prop_map_into(&self, runner: &mut TestRunner) -> String {
        let strategy = proptest::string::string_regex(self).unwrap();
        strategy.new_tree(runner).unwrap().current()
    }
}

/// Whatever is made from the schema passes the check, and Meta's stand-in, which reads the template
/// itself, takes it.
#[tokio::test(flavor = "multi_thread")]
async fn values_made_from_a_schema_are_taken() {
    let sandbox = Sandbox::start(SandboxConfig::default()).unwrap();
    let http = http_client::build(&ClientOptions {
        connect_timeout: Duration::from_secs(3),
        timeout: Duration::from_secs(10),
        user_agent: "test".to_owned(),
    })
    .unwrap();
    let url = sandbox.base_url().parse().unwrap();
    let graph = GraphClient::new(http, url, "v25.0".to_owned()).unwrap();
    let mut runner = TestRunner::default();
    let mut checked = 0;
    for seeded in sandbox.templates(seed::ACME_WABA_ID) {
        if seeded.status != "APPROVED" {
            continue;
        }
        let is_named = seeded.parameter_format == "NAMED";
        let schema = TemplateSchema::read(&seeded.components, is_named);
        for _ in 0..8 {
            let mut filler = Filler {
                runner: &mut runner,
                format: schema.parameter_format,
            };
            let components = filler.components(&schema);
            let whole = json!({"components": components});
            assert!(
                satisfies(&whole, &json_schema::of(&schema)),
                "{}: {whole}",
                seeded.name
            );
            let typed: Vec<_> = serde_json::from_value(json!(components)).unwrap();
            let mut errors = FieldErrors::new();
            check::check(&schema, &typed, "components", NOW, &mut errors);
            assert!(
                errors.is_empty(),
                "{}: {:?} {components:?}",
                seeded.name,
                errors.fields()
            );
            let content = Content::Template(Template {
                components: typed,
                ..template(&seeded.name, &seeded.language)
            });
            let mut errors = FieldErrors::new();
            content.check(&mut errors);
            assert!(
                errors.is_empty(),
                "{}: {:?} {components:?}",
                seeded.name,
                errors.fields()
            );
            let message = OutboundMessage {
                to: Recipient::parse("+15550001111").unwrap(),
                recipient_type: RecipientType::Individual,
                context: None,
                biz_opaque_callback_data: None,
                content,
            };
            let sent = graph
                .send_message(
                    &seed::ACME_TOKEN.into(),
                    seed::ACME_PHONE_NUMBER_ID,
                    &message,
                )
                .await;
            let refusal = sent
                .err()
                .map(|error| (error.title.clone(), error.details.clone()));
            assert_eq!(refusal, None, "{}: {components:?}", seeded.name);
            checked += 1;
        }
    }
    assert!(checked >= 80, "only {checked}");
}
