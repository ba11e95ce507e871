//! The platform API: users, organization, tokens, errors, paging, rate limits, outages.

use std::time::Duration;

use portal_sandbox::{Outage, UserChange, seed};
use serde_json::{Value, json};

use crate::support::{api, client, expect_json, sign_in, start, token};

#[tokio::test]
async fn one_call_tells_person_roles_organization_and_token() {
    let sandbox = start();
    let (access, _) = sign_in(&sandbox, seed::ACME_SUPERVISOR).await;
    let joined = "/users/me?expand=authorization%2Corganization,token&expand=nonsense";
    let repeated = "/users/me?expand=authorization&expand=organization&expand=token";
    for path in [joined, repeated] {
        let me = expect_json(api(&sandbox, &access, path).await, 200).await;
        assert_eq!(me["id"], seed::user_id(seed::ACME_SUPERVISOR));
        let roles: Vec<&str> = me["authorization"]["roles"]
            .as_array()
            .unwrap()
            .iter()
            .map(|role| role["name"].as_str().unwrap())
            .collect();
        assert_eq!(roles, ["employee", "Supervisor"]);
        assert_eq!(me["organization"]["id"], seed::ACME_ORG_ID);
        assert_eq!(me["organization"]["thirdPartyOrgName"], "acme");
        assert_eq!(me["token"]["organization"]["id"], seed::ACME_ORG_ID);
        assert_eq!(
            me["token"]["OAuthClient"]["organization"]["id"],
            seed::VENDOR_ORG_ID
        );
        assert!(me.get("nonsense").is_none());
    }
    let plain = expect_json(api(&sandbox, &access, "/users/me").await, 200).await;
    assert!(plain.get("authorization").is_none());
    sandbox.stop().await;
}

#[tokio::test]
async fn a_trustee_acts_in_one_organization_and_belongs_to_another() {
    let sandbox = start();
    let (access, _) = sign_in(&sandbox, seed::TRUSTEE).await;
    let body = expect_json(api(&sandbox, &access, "/tokens/me").await, 200).await;
    assert_eq!(body["organization"]["id"], seed::ACME_ORG_ID);
    assert_eq!(body["homeOrganization"]["id"], seed::HOOLI_ORG_ID);
    assert_eq!(body["clonedUser"]["organization"]["id"], seed::HOOLI_ORG_ID);
    sandbox.stop().await;
}

#[tokio::test]
async fn inactive_people_and_organizations_say_so() {
    let sandbox = start();
    let (access, _) = sign_in(&sandbox, seed::ACME_INACTIVE).await;
    let me = expect_json(api(&sandbox, &access, "/users/me").await, 200).await;
    assert_eq!(me["state"], "inactive");
    let (access, _) = sign_in(&sandbox, seed::DORMANT_AGENT).await;
    let org = expect_json(api(&sandbox, &access, "/organizations/me").await, 200).await;
    assert_eq!(org["state"], "inactive");
    sandbox.stop().await;
}

#[tokio::test]
async fn listings_page_filter_and_stay_inside_the_organization() {
    let sandbox = start();
    let (access, _) = sign_in(&sandbox, seed::ACME_AGENT).await;
    let mut emails = Vec::new();
    let mut path = "/users?pageSize=3&state=any&sortOrder=DESC".to_owned();
    for page in 1.. {
        let body = expect_json(api(&sandbox, &access, &path).await, 200).await;
        assert_eq!(body["pageNumber"], page);
        assert_eq!(body["total"], 7);
        assert_eq!(body["pageCount"], 3);
        assert_eq!(body.get("previousUri").is_some(), page > 1);
        let entities = body["entities"].as_array().unwrap();
        emails.extend(
            entities
                .iter()
                .map(|user| user["email"].as_str().unwrap().to_owned()),
        );
        match body.get("nextUri").and_then(Value::as_str) {
            Some(next) => path = next.strip_prefix("/api/v2").unwrap().to_owned(),
            None => break,
        }
    }
    assert_eq!(emails.len(), 7);
    assert_eq!(emails[0], seed::TRUSTEE, "names descend");
    assert!(!emails.iter().any(|email| email.contains("globex")));

    let count = |path: &'static str| {
        let (sandbox, access) = (&sandbox, &access);
        async move { expect_json(api(sandbox, access, path).await, 200).await["total"].clone() }
    };
    assert_eq!(count("/users").await, 6);
    assert_eq!(count("/users?state=inactive").await, 1);
    let id = seed::user_id(seed::ACME_ADMIN);
    let one = expect_json(
        api(&sandbox, &access, &format!("/users?id={id},nobody")).await,
        200,
    )
    .await;
    assert_eq!(one["entities"][0]["email"], seed::ACME_ADMIN);

    let beyond = expect_json(api(&sandbox, &access, "/users?pageNumber=9").await, 200).await;
    assert_eq!(beyond["entities"], json!([]));
    for bad in [
        "pageSize=0",
        "pageSize=501",
        "pageNumber=x",
        "state=odd",
        "sortOrder=odd",
    ] {
        let body = expect_json(api(&sandbox, &access, &format!("/users?{bad}")).await, 400).await;
        assert_eq!(body["status"], 400, "{bad}");
    }
    let foreign = format!("/users/{}", seed::user_id(seed::GLOBEX_AGENT));
    let body = expect_json(api(&sandbox, &access, &foreign).await, 404).await;
    assert_eq!(body["code"], "not.found");
    sandbox.stop().await;
}

#[tokio::test]
async fn rights_follow_roles() {
    let sandbox = start();
    let (agent, _) = sign_in(&sandbox, seed::ACME_AGENT).await;
    let refused = expect_json(api(&sandbox, &agent, "/authorization/roles").await, 403).await;
    assert_eq!(refused["code"], "missing.permissions");
    let own = format!("/users/{}/roles", seed::user_id(seed::ACME_AGENT));
    let other = format!("/users/{}/roles", seed::user_id(seed::ACME_ADMIN));
    expect_json(api(&sandbox, &agent, &own).await, 200).await;
    expect_json(api(&sandbox, &agent, &other).await, 403).await;

    let (admin, _) = sign_in(&sandbox, seed::ACME_ADMIN).await;
    let path = "/authorization/roles?pageSize=100";
    let roles = expect_json(api(&sandbox, &admin, path).await, 200).await;
    let names: Vec<&Value> = roles["entities"]
        .as_array()
        .unwrap()
        .iter()
        .map(|role| &role["name"])
        .collect();
    assert!(names.contains(&&json!("Acme Team Lead")), "{names:?}");
    let by_name = "/authorization/roles?name=*lead*";
    assert_eq!(
        expect_json(api(&sandbox, &admin, by_name).await, 200).await["total"],
        1
    );
    expect_json(api(&sandbox, &admin, &own).await, 200).await;

    assert!(sandbox.change_user(
        seed::ACME_AGENT,
        UserChange {
            roles: Some(vec!["Master Admin".to_owned()]),
            ..UserChange::default()
        }
    ));
    expect_json(api(&sandbox, &agent, path).await, 200).await;
    sandbox.stop().await;
}

#[tokio::test]
async fn errors_have_the_platforms_body_and_a_correlation_id() {
    let sandbox = start();
    let response = api(&sandbox, "nonsense", "/users/me").await;
    let correlation = response.headers()["inin-correlation-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let body = expect_json(response, 401).await;
    assert_eq!(body["code"], "bad.credentials");
    assert_eq!(body["contextId"], correlation.as_str());
    assert_eq!(body["status"], 401);
    assert_eq!(
        (&body["details"], &body["errors"]),
        (&json!([]), &json!([]))
    );

    let url = format!("{}/api/v2/users/me", sandbox.base_url());
    let body = expect_json(client().get(url).send().await.unwrap(), 401).await;
    assert_eq!(body["code"], "authentication.required");

    sandbox.change_genesys(|genesys| genesys.token_lifetime = Some(Duration::ZERO));
    let (expired, _) = sign_in(&sandbox, seed::ACME_AGENT).await;
    let body = expect_json(api(&sandbox, &expired, "/users/me").await, 401).await;
    assert_eq!(body["code"], "credentials.expired");
    let body = expect_json(api(&sandbox, &expired, "/nothing").await, 401).await;
    assert_eq!(body["status"], 401);
    sandbox.stop().await;
}

#[tokio::test]
async fn a_client_has_an_organization_but_no_user() {
    let sandbox = start();
    let basic = Some((seed::GLOBEX_CC_CLIENT_ID, seed::GLOBEX_CC_CLIENT_SECRET));
    let answer = token(&sandbox, basic, &[("grant_type", "client_credentials")]).await;
    let body = expect_json(answer, 200).await;
    assert!(body.get("refresh_token").is_none());
    let access = body["access_token"].as_str().unwrap();

    let me = expect_json(api(&sandbox, access, "/users/me").await, 400).await;
    assert_eq!(me["code"], "bad.request");
    assert!(
        me["message"]
            .as_str()
            .unwrap()
            .contains("requires a user context")
    );
    let org = expect_json(api(&sandbox, access, "/organizations/me").await, 200).await;
    assert_eq!(org["id"], seed::GLOBEX_ORG_ID);
    let users = expect_json(api(&sandbox, access, "/users").await, 200).await;
    assert_eq!(users["total"], 2);
    sandbox.stop().await;
}

#[tokio::test]
async fn a_deleted_token_is_dead_with_its_refresh_token() {
    let sandbox = start();
    let (access, refresh) = sign_in(&sandbox, seed::ACME_AGENT).await;
    let url = format!("{}/api/v2/tokens/me", sandbox.base_url());
    let head = client()
        .head(&url)
        .bearer_auth(&access)
        .send()
        .await
        .unwrap();
    assert_eq!(head.status(), 200);
    let deleted = client()
        .delete(&url)
        .bearer_auth(&access)
        .send()
        .await
        .unwrap();
    assert_eq!(deleted.status(), 204);
    let head = client()
        .head(&url)
        .bearer_auth(&access)
        .send()
        .await
        .unwrap();
    assert_eq!(head.status(), 401);
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh.as_str()),
    ];
    let answer = token(&sandbox, Some(crate::support::CONFIDENTIAL), &form).await;
    assert_eq!(expect_json(answer, 400).await["error"], "invalid_grant");
    sandbox.stop().await;
}

#[tokio::test]
async fn the_rate_limit_counts_and_answers_429_with_retry_after() {
    let sandbox = start();
    sandbox.change_genesys(|genesys| genesys.rate_limit_per_minute = 2);
    let (access, _) = sign_in(&sandbox, seed::ACME_AGENT).await;
    for count in 1..=2 {
        let response = api(&sandbox, &access, "/users/me").await;
        assert_eq!(
            response.headers()["inin-ratelimit-count"],
            count.to_string().as_str()
        );
        assert_eq!(response.headers()["inin-ratelimit-allowed"], "2");
        assert!(response.headers().contains_key("inin-ratelimit-reset"));
        assert_eq!(response.status(), 200);
    }
    let response = api(&sandbox, &access, "/users/me").await;
    let wait: u32 = response.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=60).contains(&wait));
    let body = expect_json(response, 429).await;
    assert_eq!(body["code"], "too.many.requests");
    assert_eq!(body["limit"]["key"], "token.rate.per.minute");
    // Another token has a limit of its own.
    let (other, _) = sign_in(&sandbox, seed::ACME_AGENT).await;
    assert_eq!(api(&sandbox, &other, "/users/me").await.status(), 200);
    sandbox.stop().await;
}

#[tokio::test]
async fn the_side_can_be_down_in_several_ways_and_comes_back() {
    let sandbox = start();
    let (access, _) = sign_in(&sandbox, seed::ACME_AGENT).await;
    sandbox.set_genesys_outage(Outage::Unavailable);
    let body = expect_json(api(&sandbox, &access, "/users/me").await, 503).await;
    assert_eq!(body["code"], "service.unavailable");
    sandbox.set_genesys_outage(Outage::BadGateway);
    let page = api(&sandbox, &access, "/users/me").await;
    assert_eq!(page.status(), 502);
    assert!(page.text().await.unwrap().starts_with("<!DOCTYPE html>"));
    for outage in [Outage::Drop, Outage::Hang] {
        sandbox.set_genesys_outage(outage);
        let url = format!("{}/api/v2/users/me", sandbox.base_url());
        let error = client()
            .get(url)
            .bearer_auth(&access)
            .send()
            .await
            .unwrap_err();
        assert!(error.is_request() && !error.is_timeout(), "{error:?}");
    }
    sandbox.set_genesys_outage(Outage::None);
    expect_json(api(&sandbox, &access, "/users/me").await, 200).await;
    assert!(sandbox.revoke_genesys_tokens(seed::ACME_AGENT));
    expect_json(api(&sandbox, &access, "/users/me").await, 401).await;
    sandbox.stop().await;
}
