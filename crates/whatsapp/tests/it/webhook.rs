//! Notifications as Meta shows them, and as it might send them tomorrow.

use portal_whatsapp::ErrorClass;
use portal_whatsapp::webhook::{ChangeValue, NotANotification, Notification, StatusKind};
use proptest::prelude::*;
use serde_json::{Value, json};

fn parse(body: &Value) -> Notification {
    Notification::parse(body.to_string().as_bytes()).unwrap()
}

/// One body with one `messages` value.
fn messages(value: &Value) -> Value {
    json!({"object": "whatsapp_business_account", "entry": [
        {"id": "10", "changes": [{"field": "messages", "value": value}]}
    ]})
}

#[test]
fn a_delivered_status_is_read_with_everything_we_use() {
    let notification = parse(&messages(&json!({
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550783881", "phone_number_id": "106540352242922"},
        "contacts": [{"profile": {"name": "Sheena"}, "wa_id": "16505551234"}],
        "statuses": [{
            "id": "wamid.a", "status": "delivered", "timestamp": "1750030073",
            "recipient_id": "16505551234", "recipient_user_id": "US.1349",
            "biz_opaque_callback_data": "v1.note",
            "conversation": {"id": "c", "origin": {"type": "service"}},
            "pricing": {"billable": true, "pricing_model": "PMP", "category": "service"}
        }]
    })));
    let found: Vec<_> = notification.statuses().collect();
    let [(number, status)] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!(*number, Some("106540352242922"));
    assert_eq!(status.id, "wamid.a");
    assert_eq!(status.status, StatusKind::Delivered);
    assert_eq!(
        status.timestamp.unwrap().to_rfc3339(),
        "2025-06-15T23:27:53+00:00"
    );
    assert_eq!(status.recipient_id.as_deref(), Some("16505551234"));
    assert_eq!(status.biz_opaque_callback_data.as_deref(), Some("v1.note"));
    assert_eq!(status.pricing.as_ref().unwrap()["category"], "service");
    assert_eq!(notification.unreadable, 0);
}

#[test]
fn a_failed_status_says_why() {
    let notification = parse(&messages(&json!({
        "metadata": {"phone_number_id": "1"},
        "statuses": [{
            "id": "wamid.a", "status": "failed", "timestamp": "1750030073",
            "errors": [{"code": 131_026, "title": "Message undeliverable", "message": "m",
                        "error_data": {"details": "Not on WhatsApp"}, "href": "https://x"}]
        }]
    })));
    let (_, status) = notification.statuses().next().unwrap();
    assert_eq!(
        (&status.status, status.status.rank()),
        (&StatusKind::Failed, None)
    );
    let error = &status.errors[0];
    assert_eq!(
        (error.code, error.class()),
        (Some(131_026), ErrorClass::Permanent)
    );
    assert_eq!(error.title, "Message undeliverable");
    assert_eq!(error.details.as_deref(), Some("Not on WhatsApp"));
}

#[test]
fn all_entries_changes_and_items_are_read() {
    let status = |id: &str| json!({"id": id, "status": "sent", "timestamp": "1"});
    let change = |number: &str, ids: [&str; 2]| {
        json!({"field": "messages", "value": {
            "metadata": {"phone_number_id": number}, "statuses": ids.map(status)
        }})
    };
    let notification = parse(&json!({"object": "whatsapp_business_account", "entry": [
        {"id": "1", "time": 1_739_321_024, "changes": [change("n1", ["a", "b"]), change("n2", ["c", "d"])]},
        {"id": "2", "changes": [change("n3", ["e", "f"])]}
    ]}));
    let found: Vec<_> = notification
        .statuses()
        .map(|(number, status)| format!("{}:{}", number.unwrap(), status.id))
        .collect();
    assert_eq!(found, ["n1:a", "n1:b", "n2:c", "n2:d", "n3:e", "n3:f"]);
    assert_eq!(notification.entries[0].time, Some(1_739_321_024));
}

#[test]
fn inbound_messages_and_errors_of_the_number_are_kept() {
    let text = json!({"from": "1650", "id": "wamid.x", "timestamp": "1", "type": "hologram"});
    let notification = parse(&messages(&json!({
        "metadata": {"phone_number_id": 106, "display_phone_number": "1555"},
        "contacts": [{"wa_id": "1650"}], "messages": [text],
        "errors": [{"code": 130_429, "title": "Rate limit hit"}]
    })));
    let value = notification.messages_values().next().unwrap();
    assert_eq!(value.phone_number_id.as_deref(), Some("106"));
    assert_eq!(value.messages, [text]);
    assert_eq!(value.contacts.len(), 1);
    assert_eq!(value.errors[0].class(), ErrorClass::RateLimitNumber);
}

#[test]
fn other_fields_are_kept_as_they_came() {
    let update = json!({"event": "APPROVED", "message_template_id": 7});
    let notification = parse(&json!({"object": "whatsapp_business_account", "entry": [
        {"id": "1", "changes": [{"field": "message_template_status_update", "value": update}]}
    ]}));
    let change = &notification.entries[0].changes[0];
    assert_eq!(change.field, "message_template_status_update");
    assert_eq!(change.value, ChangeValue::Other(update));
}

#[test]
fn what_is_broken_costs_only_itself() {
    let notification = parse(&messages(&json!({
        "metadata": "gone",
        "contacts": {"not": "a list"},
        "messages": null,
        "statuses": [
            7,
            {"status": "sent"},
            {"id": "wamid.no-status"},
            {"id": "wamid.ok", "status": "teleported", "timestamp": "soon", "pricing": 3,
             "errors": [null, {"code": "131026"}]}
        ]
    })));
    assert_eq!(notification.unreadable, 4);
    let found: Vec<_> = notification.statuses().collect();
    let [(None, status)] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!(status.status, StatusKind::Other("teleported".to_owned()));
    assert_eq!((status.timestamp, status.pricing.as_ref()), (None, None));
    assert_eq!(status.errors[0].code, Some(131_026));
}

#[test]
fn statuses_are_ordered_by_how_far_the_message_came() {
    let ranks = [
        StatusKind::Sent,
        StatusKind::Delivered,
        StatusKind::Read,
        StatusKind::Played,
    ]
    .map(|status| status.rank().unwrap());
    assert!(ranks.is_sorted_by(|a, b| a < b), "{ranks:?}");
}

#[test]
fn a_body_that_is_no_notification_is_refused() {
    for body in ["", "[]", "7", "{", "{}", r#"{"object":7}"#] {
        assert_eq!(
            Notification::parse(body.as_bytes()),
            Err(NotANotification),
            "{body}"
        );
    }
    assert_eq!(Notification::parse(&[0xff, 0xfe]), Err(NotANotification));
}

/// Any JSON.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,10}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let keys = prop_oneof![
            Just("id"),
            Just("status"),
            Just("statuses"),
            Just("metadata"),
            Just("errors"),
            Just("changes"),
            Just("value"),
            Just("field"),
            Just("timestamp"),
            Just("entry"),
        ]
        .prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map(keys, inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn nothing_inside_an_envelope_makes_it_fail(inside in any_json()) {
        for body in [
            json!({"object": "whatsapp_business_account", "entry": inside}),
            messages(&inside),
            messages(&json!({"statuses": inside, "messages": inside, "errors": inside})),
        ] {
            prop_assert!(Notification::parse(body.to_string().as_bytes()).is_ok());
        }
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(Notification::parse(&bytes), Err(NotANotification));
    }
}
