use serde_json::json;

use super::*;

fn time(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_000_000 + seconds, 0).unwrap()
}

fn circumstances(asked: i64) -> Circumstances {
    Circumstances {
        tenant_id: "acme".to_owned(),
        waba_id: "1".to_owned(),
        asked_at: time(asked),
        now: time(asked + 1),
    }
}

fn node(name: &str, status: &str) -> TemplateNode {
    TemplateNode {
        id: format!("id-{name}"),
        name: name.to_owned(),
        language: "en_US".to_owned(),
        status: status.to_owned(),
        category: "UTILITY".to_owned(),
        sub_category: None,
        is_named: false,
        components: json!([{"type": "BODY", "text": name}]),
        quality: None,
        rejected_reason: None,
        last_updated: None,
    }
}

fn row(name: &str, status: &str, at: i64) -> TemplateRow {
    merge(None, node(name, status), &circumstances(at))
}

fn status_update(name: &str, event: &str) -> TemplateUpdate {
    update(
        name,
        TemplateChange::Status {
            event: event.to_owned(),
            reason: None,
            title: None,
            category: None,
        },
    )
}

fn update(name: &str, change: TemplateChange) -> TemplateUpdate {
    TemplateUpdate {
        template_id: format!("id-{name}"),
        name: name.to_owned(),
        language: "en_US".to_owned(),
        change,
    }
}

fn told(plan: &Plan) -> Vec<(&str, &str)> {
    let news = plan.news.iter();
    news.map(|news| (news.name.as_str(), news.status.as_str()))
        .collect()
}

#[test]
fn a_listing_creates_updates_and_removes() {
    let known = vec![
        row("same", "APPROVED", 0),
        row("paused", "APPROVED", 0),
        row("reworded", "APPROVED", 0),
        row("gone", "APPROVED", 0),
    ];
    let reworded = TemplateNode {
        components: json!([]),
        ..node("reworded", "APPROVED")
    };
    let listed = vec![
        node("same", "APPROVED"),
        node("paused", "PAUSED"),
        reworded,
        node("new", "PENDING"),
        node("new", "PENDING"),
    ];
    let plan = reconcile(known, listed, &circumstances(100), true);
    assert_eq!(
        plan.counts,
        SyncCounts {
            total: 4,
            created: 1,
            updated: 2,
            removed: 1
        }
    );
    assert_eq!(
        told(&plan),
        [("gone", DELETED), ("new", "PENDING"), ("paused", "PAUSED")]
    );
    assert_eq!(plan.writes.len(), 4, "what is as it was is not written");
    let gone = plan.writes.iter().find(|row| row.name == "gone").unwrap();
    assert!(gone.gone_at.is_some());
}

#[test]
fn a_second_listing_changes_nothing_and_a_broken_one_removes_nothing() {
    let listed = vec![node("a", "APPROVED"), node("b", "REJECTED")];
    let first = reconcile(Vec::new(), listed.clone(), &circumstances(0), true);
    let second = reconcile(first.writes.clone(), listed, &circumstances(60), true);
    assert!(second.writes.is_empty() && second.news.is_empty() && !second.counts.is_news());
    let broken = reconcile(first.writes, Vec::new(), &circumstances(60), false);
    assert!(broken.writes.is_empty());
}

#[test]
fn what_is_gone_is_told_once_and_comes_back() {
    let first = reconcile(
        vec![row("a", "APPROVED", 0)],
        Vec::new(),
        &circumstances(60),
        true,
    );
    assert_eq!(told(&first), [("a", DELETED)]);
    let again = reconcile(first.writes.clone(), Vec::new(), &circumstances(120), true);
    assert!(again.writes.is_empty() && again.news.is_empty());
    let back = reconcile(
        first.writes,
        vec![node("a", "APPROVED")],
        &circumstances(180),
        true,
    );
    assert_eq!(told(&back), [("a", "APPROVED")]);
    assert_eq!(back.writes[0].gone_at, None);
}

#[test]
fn a_webhook_that_came_while_meta_was_asked_knows_more() {
    let known = row("a", "APPROVED", 0);
    let paused = updated(
        Some(known),
        status_update("a", "PAUSED"),
        time(100),
        &circumstances(101),
    );
    let paused = paused.unwrap();
    assert_eq!(paused.status, "PAUSED");
    // Asked before the webhook: the listing still says approved.
    let plan = reconcile(
        vec![paused.clone()],
        vec![node("a", "APPROVED")],
        &circumstances(100),
        true,
    );
    assert!(plan.news.is_empty());
    assert!(plan.writes.iter().all(|row| row.status == "PAUSED"));
    // Nor is it gone because that listing lacks it.
    let plan = reconcile(vec![paused.clone()], Vec::new(), &circumstances(100), true);
    assert!(plan.writes.is_empty());
    // Asked after it: the pause is over.
    let plan = reconcile(
        vec![paused],
        vec![node("a", "APPROVED")],
        &circumstances(200),
        true,
    );
    assert_eq!(told(&plan), [("a", "APPROVED")]);
}

#[test]
fn older_webhooks_change_nothing_and_those_of_the_same_second_do() {
    let known = row("a", "APPROVED", 100);
    let late = updated(
        Some(known.clone()),
        status_update("a", "PENDING"),
        time(98),
        &circumstances(200),
    );
    assert_eq!(late, None);
    let same = updated(
        Some(known),
        status_update("a", "PAUSED"),
        time(99),
        &circumstances(200),
    );
    assert_eq!(same.unwrap().status, "PAUSED");
}

#[test]
fn each_event_has_its_effect() {
    for (event, status, fetch) in [
        ("APPROVED", "APPROVED", true),
        ("REJECTED", "REJECTED", false),
        ("PENDING", "PENDING", false),
        ("PAUSED", "PAUSED", false),
        ("DISABLED", "DISABLED", false),
        ("IN_APPEAL", "IN_APPEAL", false),
        ("PENDING_DELETION", "PENDING_DELETION", false),
        ("DELETED", "DELETED", false),
        ("LIMIT_EXCEEDED", "LIMIT_EXCEEDED", false),
        ("ARCHIVED", "ARCHIVED", false),
        ("UNARCHIVED", "APPROVED", true),
        ("REINSTATED", "APPROVED", true),
        ("FLAGGED", "APPROVED", true),
        ("LOCKED", "APPROVED", true),
        ("OF_TOMORROW", "APPROVED", true),
    ] {
        let known = row("a", "APPROVED", 0);
        let now = updated(
            Some(known),
            status_update("a", event),
            time(9),
            &circumstances(10),
        )
        .unwrap();
        assert_eq!(
            (now.status.as_str(), now.fetch_due),
            (status, fetch),
            "{event}"
        );
        assert_eq!(now.gone_at.is_some(), event == "DELETED", "{event}");
    }
}

#[test]
fn a_pause_ends_and_says_why() {
    for (title, hours) in [
        ("FIRST_PAUSE", Some(3)),
        ("SECOND_PAUSE", Some(6)),
        ("RATE_LIMITING_PAUSE", None),
    ] {
        let change = TemplateChange::Status {
            event: "PAUSED".to_owned(),
            reason: None,
            title: Some(title.to_owned()),
            category: None,
        };
        let known = row("a", "APPROVED", 0);
        let paused = updated(
            Some(known),
            update("a", change),
            time(9),
            &circumstances(10),
        )
        .unwrap();
        assert_eq!(
            paused.paused_until,
            hours.map(|hours| time(9) + TimeDelta::hours(hours))
        );
        assert_eq!(paused.status_reason.as_deref(), Some(title));
        let over = updated(
            Some(paused),
            status_update("a", "APPROVED"),
            time(20),
            &circumstances(21),
        )
        .unwrap();
        assert_eq!((over.paused_until, over.status_reason), (None, None));
    }
}

#[test]
fn other_news_leave_the_status() {
    let known = row("a", "APPROVED", 0);
    let apply = |change| {
        let row = updated(
            Some(known.clone()),
            update("a", change),
            time(9),
            &circumstances(10),
        )
        .unwrap();
        assert_eq!(row.status, "APPROVED");
        row
    };
    let quality = apply(TemplateChange::Quality {
        quality: "RED".to_owned(),
    });
    assert_eq!(quality.quality.as_deref(), Some("RED"));
    let category = apply(TemplateChange::Category {
        category: "MARKETING".to_owned(),
        upcoming: None,
    });
    assert_eq!(category.category, "MARKETING");
    assert!(apply(TemplateChange::Components).fetch_due);
}

#[test]
fn a_template_that_only_a_webhook_told_of_is_asked_for() {
    let heard = updated(
        None,
        status_update("new", "APPROVED"),
        time(9),
        &circumstances(10),
    )
    .unwrap();
    assert!(heard.fetch_due && heard.components.is_none() && heard.status == "APPROVED");
    let plan = reconcile(
        vec![heard],
        vec![node("new", "APPROVED")],
        &circumstances(20),
        false,
    );
    assert!(plan.news.is_empty(), "it was told of");
    assert!(plan.writes[0].components.is_some() && !plan.writes[0].fetch_due);

    let heard = updated(
        None,
        update("odd", TemplateChange::Components),
        time(9),
        &circumstances(10),
    )
    .unwrap();
    assert!(is_unknown(&heard));
    let plan = reconcile(
        vec![heard],
        vec![node("odd", "PENDING")],
        &circumstances(20),
        false,
    );
    assert_eq!(told(&plan), [("odd", "PENDING")]);
}
