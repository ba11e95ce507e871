//! People whom a migration knew by their e-mail alone, and their first sign-in.

use futures_util::future::join_all;
use portal_sandbox::seed;
use portal_types::Role;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    conversations::{Team, conversation, do_with, has_unread, write},
    people::send,
    sync::{acme_client, sync},
    world::World,
};

const CLAIMS: &str = "SELECT count(*) FROM audit_log WHERE action = 'user.claim'";

/// Somebody whom a migration left behind.
fn placeholder(world: &World, tenant: &str, email: &str) -> Uuid {
    let id = Uuid::now_v7();
    world.db.execute(&format!(
        "INSERT INTO genesys_users (user_id, tenant_id, genesys_org_id, genesys_user_id, genesys_email, name, \
             role, is_placeholder) \
         VALUES ('{id}', '{tenant}', '', 'legacy:{id}', '{email}', 'From before', 'agent', true)"
    ));
    id
}

fn switch_off(world: &World, id: Uuid, by: &str) {
    world.db.execute(&format!(
        "UPDATE genesys_users SET is_active = false, deactivated_by = '{by}' WHERE user_id = '{id}'"
    ));
}

fn row(world: &World, id: Uuid) -> String {
    world.value(&format!(
        "SELECT concat_ws(' ', is_placeholder, is_active, genesys_user_id, genesys_org_id, genesys_email, role) \
         FROM genesys_users WHERE user_id = '{id}'"
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_sign_in_claims_the_tenants_own_placeholder_once() {
    let world = World::start().await;
    let events = world.listen("user.#").await;
    let foreign = placeholder(&world, "globex_inc", seed::ACME_AGENT);
    let before = row(&world, foreign);
    let own = placeholder(&world, "acme_corp", &seed::ACME_AGENT.to_uppercase());

    let person = world.sign_in(seed::ACME_AGENT).await;
    assert_eq!(person.agent["user_id"], own.to_string());
    let genesys_id = seed::user_id(seed::ACME_AGENT);
    let expected = format!(
        "f t {genesys_id} {} {} agent",
        seed::ACME_ORG_ID,
        seed::ACME_AGENT
    );
    assert_eq!(row(&world, own), expected);
    assert_eq!(
        row(&world, foreign),
        before,
        "another tenant's is never claimed"
    );
    let told = events.next().await;
    assert_eq!(told.routing_key, "user.updated");
    assert_eq!(told.envelope["data"]["user_id"], own.to_string());
    let claimed = "SELECT concat_ws(' ', tenant_id, actor_id = target, details->>'genesys_user_id') \
         FROM audit_log WHERE action = 'user.claim'";
    assert_eq!(world.value(claimed), format!("acme_corp t {genesys_id}"));

    // The e-mail counted once: it goes to somebody else, and there is another placeholder with it.
    placeholder(&world, "acme_corp", seed::ACME_AGENT);
    let again = world.sign_in(seed::ACME_AGENT).await;
    assert_eq!(again.agent["user_id"], own.to_string());
    assert_eq!(world.value(CLAIMS), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_sign_ins_at_once_claim_it_once() {
    let world = World::start().await;
    let own = placeholder(&world, "acme_corp", seed::ACME_AGENT);
    let mut waiting = Vec::new();
    for _ in 0..6 {
        let browser = world.browser();
        let query = format!("login_hint={}", seed::ACME_AGENT);
        let callback = world.to_callback(&browser, &query).await;
        waiting.push(async move { browser.get(&callback).await });
    }
    for page in join_all(waiting).await {
        assert_eq!(page.status, StatusCode::OK, "{}", page.body);
        let agent = &page.outcome()["message"]["agent"];
        assert_eq!(agent["user_id"], own.to_string());
    }
    assert_eq!(world.value(CLAIMS), "1");
    assert_eq!(world.value("SELECT count(*) FROM genesys_users"), "1");
    let told = "SELECT count(*) FROM outbox_events WHERE routing_key LIKE 'user.%'";
    assert_eq!(world.value(told), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_none_is_claimed_and_nobody_gets_around_a_deactivation() {
    let world = World::start().await;
    let both = [(); 2].map(|()| placeholder(&world, "acme_corp", seed::ACME_AGENT));
    for id in both {
        switch_off(&world, id, "admin");
    }
    let before = world.footprint();
    let page = world.sign_in_page(seed::ACME_AGENT).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN, "{}", page.body);
    assert_eq!(world.footprint(), before);

    world.db.execute(&format!(
        "UPDATE genesys_users SET is_active = true, deactivated_by = NULL WHERE user_id = '{}'",
        both[1]
    ));
    let person = world.sign_in(seed::ACME_AGENT).await;
    assert!(
        both.iter()
            .all(|id| person.agent["user_id"] != id.to_string())
    );
    let left = "SELECT count(*) FROM genesys_users WHERE is_placeholder";
    assert_eq!(world.value(left), "2");
    assert_eq!(world.value(CLAIMS), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deactivated_placeholder_is_as_closed_as_any_person() {
    let world = World::start().await;
    let own = placeholder(&world, "acme_corp", seed::ACME_AGENT);
    switch_off(&world, own, "operator");
    let page = world.sign_in_page(seed::ACME_AGENT).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN, "{}", page.body);
    let refused = "SELECT concat_ws('|', details->>'reason', details->>'hint') FROM audit_log \
         WHERE action = 'session.start'";
    let hint = format!("portalctl user activate --tenant acme_corp --user-id {own}");
    assert_eq!(world.value(refused), format!("user_deactivated|{hint}"));

    // Genesys alone had switched the person off, and vouches for them now.
    switch_off(&world, own, "genesys");
    let person = world.sign_in(seed::ACME_AGENT).await;
    assert_eq!(person.agent["user_id"], own.to_string());
    assert!(row(&world, own).starts_with("f t "), "{}", row(&world, own));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_claims_whom_it_sees_and_leaves_the_others_waiting() {
    let world = World::start().await;
    acme_client(&world);
    let admin = world.sign_in(seed::ACME_ADMIN).await;
    let seen = placeholder(&world, "acme_corp", seed::ACME_AGENT);
    let closed = placeholder(&world, "acme_corp", seed::ACME_SUPERVISOR);
    switch_off(&world, closed, "admin");
    let unseen = placeholder(&world, "acme_corp", "gone@acme.example");
    let foreign = placeholder(&world, "globex_inc", seed::ACME_AGENT);
    let before = [closed, unseen, foreign].map(|id| row(&world, id));

    let (status, body) = sync(&world, &admin).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(body["results"]["updated"], 1, "{body}");
    assert_eq!(body["results"]["deactivated"], 0, "{body}");
    assert!(row(&world, seen).starts_with(&format!("f t {}", seed::user_id(seed::ACME_AGENT))));
    assert_eq!([closed, unseen, foreign].map(|id| row(&world, id)), before);
    let twice = format!(
        "SELECT count(*) FROM genesys_users WHERE tenant_id = 'acme_corp' AND genesys_email = '{}'",
        seed::ACME_SUPERVISOR
    );
    assert_eq!(
        world.value(&twice),
        "1",
        "who was kept out comes not in as somebody new"
    );
    assert_eq!(world.value(CLAIMS), "1");
    let person = world.sign_in(seed::ACME_AGENT).await;
    assert_eq!(person.agent["user_id"], seen.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_placeholder_holds_is_passed_on_and_comes_with_the_claim() {
    const CONTACT: &str = "+4915112345678";
    let world = World::start().await;
    let team = Team::of(&world);
    let boss = team.join("Boss", Role::Supervisor);
    let old = team.join("Old", Role::Agent);
    let ann = team.join("Ann", Role::Agent);
    world.consumers_are_up().await;
    let _written = write(&world, CONTACT, "Hello").await;
    let _kept = has_unread(&world, &boss, CONTACT, 1).await;
    let id = conversation(CONTACT);
    let transfer = async |to: String| {
        let body = json!({"to_user_id": to});
        do_with(&world, &boss, &id, "transfer", Some(body)).await
    };
    let (status, body) = transfer(old.id.to_string()).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    world.db.execute(&format!(
        "UPDATE genesys_users SET is_placeholder = true, genesys_user_id = 'legacy:9', genesys_org_id = '', \
             genesys_email = '{}' WHERE user_id = '{}'",
        seed::ACME_AGENT,
        old.id
    ));
    let held: Value = {
        let (_, list) = world
            .call(Method::GET, "/api/organization/users?q=Old", &boss.token)
            .await;
        list["users"][0].clone()
    };
    assert_eq!(
        (&held["is_placeholder"], &held["is_active"]),
        (&json!(true), &json!(true)),
        "{held}"
    );

    let (status, body) = transfer(ann.id.to_string()).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let (status, body) = transfer(old.id.to_string()).await;
    assert_eq!(status, StatusCode::CONFLICT, "{body}");

    world.db.execute(&format!(
        "UPDATE conversations SET assigned_to = '{0}'; UPDATE conversation_assignments SET user_id = '{0}' \
         WHERE status = 'active'",
        old.id
    ));
    let person = world.sign_in(seed::ACME_AGENT).await;
    let (_, mine) = world
        .call(
            Method::GET,
            &format!("/api/conversations/{id}"),
            &person.access,
        )
        .await;
    assert_eq!(mine["is_assigned_to_me"], true, "{mine}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_that_nobody_told_is_filled_in_at_the_sign_in() {
    let world = World::start().await;
    let id = Uuid::now_v7();
    world.db.execute(&format!(
        "INSERT INTO genesys_users (user_id, tenant_id, genesys_org_id, genesys_user_id, name, role, genesys_version) \
         VALUES ('{id}', 'acme_corp', '', '{}', 'Mapped', 'agent', 1000000)",
        seed::user_id(seed::ACME_AGENT)
    ));
    let person = world.sign_in(seed::ACME_AGENT).await;
    assert_eq!(person.agent["user_id"], id.to_string());
    let found = world.value("SELECT genesys_org_id || ' ' || name FROM genesys_users");
    assert_eq!(
        found,
        format!("{} Mapped", seed::ACME_ORG_ID),
        "the name is of an older record"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_placeholder_is_no_administrator_who_could_look_after_the_others() {
    let world = World::start().await;
    let admin = world.sign_in(seed::ACME_ADMIN).await;
    let waits = placeholder(&world, "acme_corp", "chief@acme.example");
    let role = "UPDATE genesys_users SET role = 'admin' WHERE is_placeholder";
    world.db.execute(role);
    let change = async |user: &str, body: Value| {
        let path = format!("/api/organization/users/{user}");
        send(&world, Method::PATCH, &path, &admin, &body).await
    };
    let own = admin.agent["user_id"].as_str().unwrap();
    let (status, body) = change(own, json!({"role": "agent"})).await;
    assert_eq!(status, StatusCode::CONFLICT, "{body}");
    assert_eq!(body["error"]["code"], "LAST_ADMIN", "{body}");
    let (status, body) = change(&waits.to_string(), json!({"active": false})).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(body["is_placeholder"], true, "{body}");
}
