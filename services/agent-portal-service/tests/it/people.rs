//! The organization's people, as its administrators look after them.

use portal_sandbox::seed;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{Person, World, answer};

const USERS: &str = "/api/organization/users";
const PROFILE: &str = "/api/organization/profile";

/// A call with a body.
pub(crate) async fn send(
    world: &World,
    method: Method,
    path: &str,
    person: &Person,
    body: &Value,
) -> (StatusCode, Value) {
    let request = world.http.request(method, format!("{}{path}", world.api));
    answer(request.bearer_auth(&person.access).json(body)).await
}

fn id(person: &Person) -> String {
    person.agent["user_id"].as_str().unwrap().to_owned()
}

async fn patch(world: &World, by: &Person, user: &str, body: Value) -> (StatusCode, Value) {
    send(world, Method::PATCH, &format!("{USERS}/{user}"), by, &body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_see_their_people_page_by_page_and_nobody_elses() {
    let world = World::start().await;
    let admin = world.sign_in(seed::ACME_ADMIN).await;
    let agent = world.sign_in(seed::ACME_AGENT).await;
    world.sign_in(seed::ACME_SUPERVISOR).await;
    let globex = world.sign_in(seed::GLOBEX_ADMIN).await;

    let (status, all) = world.call(Method::GET, USERS, &admin.access).await;
    assert_eq!(status, StatusCode::OK, "{all}");
    assert_eq!(
        (&all["total"], &all["next_cursor"]),
        (&json!(3), &Value::Null)
    );
    let names: Vec<_> = all["users"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| user["name"].as_str().unwrap())
        .collect();
    assert!(names.is_sorted(), "{names:?}");

    // One after the other, each once.
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("{USERS}?limit=1{cursor}");
        let (_, page) = world.call(Method::GET, &path, &admin.access).await;
        found.push(page["users"][0]["name"].as_str().unwrap().to_owned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(found, names);
    let (_, supervisors) = world
        .call(
            Method::GET,
            &format!("{USERS}?role=supervisor"),
            &admin.access,
        )
        .await;
    assert_eq!(supervisors["total"], 1);
    let (_, by_text) = world
        .call(
            Method::GET,
            &format!("{USERS}?q=AGENT%40acme"),
            &admin.access,
        )
        .await;
    assert_eq!(by_text["users"][0]["user_id"], id(&agent));
    let (status, bad) = world
        .call(
            Method::GET,
            &format!("{USERS}?role=boss&limit=0&cursor=x"),
            &admin.access,
        )
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(
        bad["error"]["details"].as_array().unwrap().len(),
        3,
        "{bad}"
    );

    // A foreign id, and a foreign list.
    let (_, theirs) = world.call(Method::GET, USERS, &globex.access).await;
    assert_eq!(theirs["total"], 1);
    let foreign = format!("{USERS}/{}", id(&agent));
    let (status, body) = world.call(Method::GET, &foreign, &globex.access).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{body}");
    let (status, body) = patch(&world, &globex, &id(&agent), json!({"active": false})).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{body}");
    let (status, _) = world.call(Method::GET, USERS, &agent.access).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_is_switched_off_is_out_at_once_and_can_come_back() {
    let world = World::start().await;
    let (second, _) = world.run_service().await;
    let events = world.listen("user.#").await;
    let admin = world.sign_in(seed::ACME_ADMIN).await;
    let agent = world.sign_in(seed::ACME_AGENT).await;
    for _ in 0..2 {
        assert_eq!(events.next().await.routing_key, "user.provisioned");
    }

    let (status, body) = patch(&world, &admin, &id(&agent), json!({"active": false})).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(
        (&body["is_active"], &body["deactivated_by"]),
        (&json!(false), &json!("admin"))
    );
    for api in [&world.api, &second] {
        let (status, body) = world
            .call_at(api, Method::GET, "/api/agents/profile", &agent.access)
            .await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{body}");
    }
    let (status, _) = world.refresh(&agent.refresh).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        events.next().await.envelope["type"],
        "com.agentportal.user.deactivated.v1"
    );
    let page = world.sign_in_page(seed::ACME_AGENT).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    let written = "SELECT count(*) FROM audit_log WHERE action = 'user.change'";
    assert_eq!(world.value(written), "1");

    let (status, _) = patch(&world, &admin, &id(&agent), json!({"active": true})).await;
    assert_eq!(status, StatusCode::OK);
    world.sign_in(seed::ACME_AGENT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_an_administrator_gave_stands_and_ends_older_tokens() {
    let world = World::start().await;
    let admin = world.sign_in(seed::ACME_ADMIN).await;
    let agent = world.sign_in(seed::ACME_AGENT).await;

    let (status, body) = patch(&world, &admin, &id(&agent), json!({"role": "supervisor"})).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(
        (&body["role"], &body["role_override"]),
        (&json!("supervisor"), &json!("supervisor"))
    );
    let (status, _) = world
        .call(Method::GET, "/api/agents/profile", &agent.access)
        .await;
    assert_eq!(
        status,
        StatusCode::UNAUTHORIZED,
        "the token names the old role"
    );
    let (status, tokens) = world.refresh(&agent.refresh).await;
    assert_eq!(status, StatusCode::OK, "the session goes on: {tokens}");
    let fresh = tokens["accessToken"].as_str().unwrap();
    let (status, _) = world.call(Method::GET, USERS, fresh).await;
    assert_eq!(status, StatusCode::OK);

    // Genesys still says agent.
    let again = world.sign_in(seed::ACME_AGENT).await;
    assert_eq!(again.agent["role"], "supervisor");
    patch(&world, &admin, &id(&agent), json!({"role": null})).await;
    let back = world.sign_in(seed::ACME_AGENT).await;
    assert_eq!(back.agent["role"], "agent");
    let (status, body) = patch(&world, &admin, &id(&agent), json!({"role": "boss"})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_keeps_an_administrator() {
    let world = World::start().await;
    let admin = world.sign_in(seed::ACME_ADMIN).await;
    let (status, body) = patch(&world, &admin, &id(&admin), json!({"active": false})).await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (StatusCode::CONFLICT, &json!("CANNOT_DEACTIVATE_SELF"))
    );
    let (status, body) = patch(&world, &admin, &id(&admin), json!({"role": "agent"})).await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (StatusCode::CONFLICT, &json!("LAST_ADMIN"))
    );

    // Two administrators who demote each other at once: one of them stays.
    let other = world.sign_in(seed::ACME_SUPERVISOR).await;
    patch(&world, &admin, &id(&other), json!({"role": "admin"})).await;
    let other = world.sign_in(seed::ACME_SUPERVISOR).await;
    let (admin_id, other_id) = (id(&admin), id(&other));
    let (one, two) = tokio::join!(
        patch(&world, &admin, &other_id, json!({"role": "agent"})),
        patch(&world, &other, &admin_id, json!({"role": "agent"})),
    );
    let done = [one.0, two.0]
        .iter()
        .filter(|status| **status == StatusCode::OK)
        .count();
    assert_eq!(done, 1, "{one:?} {two:?}");
    let admins = "SELECT count(*) FROM genesys_users WHERE role = 'admin' AND is_active";
    assert_eq!(world.value(admins), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_organization_is_shown_to_its_people_and_renamed_by_its_administrators() {
    let world = World::start().await;
    let admin = world.sign_in(seed::ACME_ADMIN).await;
    let agent = world.sign_in(seed::ACME_AGENT).await;
    let (status, shown) = world.call(Method::GET, PROFILE, &agent.access).await;
    assert_eq!(status, StatusCode::OK, "{shown}");
    assert_eq!(shown["tenant_id"], "acme_corp");
    assert_eq!(shown["users"], json!({"active": 2, "total": 2}));
    assert_eq!(shown["whatsapp"]["connected"], true);

    let (status, renamed) = send(
        &world,
        Method::PUT,
        PROFILE,
        &admin,
        &json!({"name": "Acme & Sons"}),
    )
    .await;
    assert_eq!(
        (status, &renamed["name"]),
        (StatusCode::OK, &json!("Acme & Sons"))
    );
    let (status, _) = send(
        &world,
        Method::PUT,
        PROFILE,
        &agent,
        &json!({"name": "Mine"}),
    )
    .await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let (status, bad) = send(&world, Method::PUT, PROFILE, &admin, &json!({"name": " "})).await;
    assert_eq!(
        (status, &bad["error"]["details"][0]["field"]),
        (StatusCode::BAD_REQUEST, &json!("name"))
    );
}
