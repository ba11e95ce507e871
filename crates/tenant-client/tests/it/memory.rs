//! What is remembered, and for how long.

use std::sync::Arc;
use std::time::Duration;

use portal_tenant_client::{CachePolicy, TenantClient, TenantClientError, TenantStatus};
use portal_types::TenantId;
use serde_json::json;
use tokio::sync::Notify;

use crate::fake::{Fake, Reply};
use crate::{acme, client, no_such_tenant, profile, record};

/// Nothing but the hour of old answers holds.
const FORGETFUL: CachePolicy = CachePolicy {
    fresh: Duration::ZERO,
    negative: Duration::ZERO,
    stale: Duration::from_hours(1),
    pause: Duration::ZERO,
};

async fn status(client: &TenantClient) -> Result<Option<TenantStatus>, TenantClientError> {
    Ok(client
        .sending_profile(&acme())
        .await?
        .map(|profile| profile.status))
}

fn suspended() -> Reply {
    let mut suspended = profile();
    suspended["status"] = json!("suspended");
    Reply::json(200, &suspended)
}

#[tokio::test]
async fn many_callers_ask_once() {
    let fake = Fake::start(vec![Reply::json(200, &profile())]).await;
    let client = client(&fake, CachePolicy::default());
    let answers = futures_util::future::join_all((0..50).map(|_| status(&client))).await;
    assert!(
        answers
            .iter()
            .all(|answer| *answer == Ok(Some(TenantStatus::Active))),
        "{answers:?}"
    );
    assert_eq!(
        status(&client.clone()).await,
        Ok(Some(TenantStatus::Active))
    );
    fake.only_request();
}

#[tokio::test]
async fn that_there_is_no_tenant_is_remembered_too() {
    let fake = Fake::start(vec![no_such_tenant()]).await;
    let client = client(&fake, CachePolicy::default());
    for _ in 0..3 {
        assert_eq!(client.by_genesys_org("o-1").await, Ok(None));
    }
    fake.only_request();
}

#[tokio::test]
async fn answers_end_with_their_time() {
    let fake = Fake::start(vec![
        Reply::json(200, &profile()),
        suspended(),
        no_such_tenant(),
    ])
    .await;
    let client = client(&fake, FORGETFUL);
    assert_eq!(status(&client).await, Ok(Some(TenantStatus::Active)));
    assert_eq!(status(&client).await, Ok(Some(TenantStatus::Suspended)));
    assert_eq!(status(&client).await, Ok(None));
    assert_eq!(status(&client).await, Ok(None));
    assert_eq!(fake.requests().len(), 4);
}

#[tokio::test]
async fn a_failure_is_not_remembered() {
    let fake = Fake::start(vec![Reply::json(503, "{}"), Reply::json(200, &profile())]).await;
    let client = client(&fake, CachePolicy::default());
    assert_eq!(status(&client).await, Err(TenantClientError::Unavailable));
    assert_eq!(status(&client).await, Ok(Some(TenantStatus::Active)));
}

#[tokio::test]
async fn an_old_answer_serves_while_tenant_service_fails() {
    for failure in [
        Reply::json(503, "{}"),
        Reply::json(401, "{}"),
        Reply::json(200, "{}"),
        Reply::Close,
    ] {
        let fake = Fake::start(vec![Reply::json(200, &profile()), failure, suspended()]).await;
        let client = client(&fake, FORGETFUL);
        for expected in [
            TenantStatus::Active,
            TenantStatus::Active,
            TenantStatus::Suspended,
        ] {
            assert_eq!(status(&client).await, Ok(Some(expected)));
        }
        assert_eq!(fake.requests().len(), 3);
    }
}

#[tokio::test]
async fn a_failing_tenant_service_is_not_asked_every_time() {
    let fake = Fake::start(vec![Reply::json(200, &profile()), Reply::json(503, "{}")]).await;
    let client = client(
        &fake,
        CachePolicy {
            pause: Duration::from_hours(1),
            ..FORGETFUL
        },
    );
    for _ in 0..5 {
        assert_eq!(status(&client).await, Ok(Some(TenantStatus::Active)));
    }
    assert_eq!(fake.requests().len(), 2);
}

#[tokio::test]
async fn an_old_answer_does_not_outlive_its_time_or_the_tenant() {
    let fake = Fake::start(vec![Reply::json(200, &profile()), Reply::json(503, "{}")]).await;
    let short = client(
        &fake,
        CachePolicy {
            stale: Duration::ZERO,
            ..FORGETFUL
        },
    );
    assert_eq!(status(&short).await, Ok(Some(TenantStatus::Active)));
    assert_eq!(status(&short).await, Err(TenantClientError::Unavailable));

    let fake = Fake::start(vec![
        Reply::json(200, &profile()),
        no_such_tenant(),
        Reply::json(503, "{}"),
    ])
    .await;
    let client = client(&fake, FORGETFUL);
    assert_eq!(status(&client).await, Ok(Some(TenantStatus::Active)));
    assert_eq!(status(&client).await, Ok(None));
    assert_eq!(status(&client).await, Err(TenantClientError::Unavailable));
}

#[tokio::test]
async fn a_change_takes_effect_at_once_and_for_its_tenant_only() {
    let fake = Fake::start(vec![
        Reply::json(200, &profile()),
        Reply::json(200, &record()),
        no_such_tenant(),
        suspended(),
        Reply::json(200, &record()),
    ])
    .await;
    let client = client(&fake, CachePolicy::default());
    assert_eq!(status(&client).await, Ok(Some(TenantStatus::Active)));
    assert!(client.by_genesys_org("o-1").await.unwrap().is_some());

    client.invalidate(&TenantId::parse("globex").unwrap()).await;
    assert_eq!(status(&client).await, Ok(Some(TenantStatus::Active)));
    assert!(client.by_genesys_org("o-1").await.unwrap().is_some());
    assert_eq!(client.by_genesys_org("o-2").await, Ok(None));
    assert_eq!(fake.requests().len(), 3);

    client.invalidate(&acme()).await;
    assert_eq!(status(&client).await, Ok(Some(TenantStatus::Suspended)));
    // The organization that had no tenant may be acme's now.
    assert!(client.by_genesys_org("o-2").await.unwrap().is_some());
    assert!(client.by_genesys_org("o-1").await.unwrap().is_some());
    assert_eq!(fake.requests().len(), 6);
}

#[tokio::test]
async fn after_a_change_the_old_answer_does_not_serve_again() {
    let fake = Fake::start(vec![
        Reply::json(200, &profile()),
        Reply::json(200, &record()),
        Reply::json(503, "{}"),
    ])
    .await;
    let client = client(&fake, CachePolicy::default());
    assert_eq!(status(&client).await, Ok(Some(TenantStatus::Active)));
    assert!(client.by_genesys_org("o-1").await.unwrap().is_some());
    client.invalidate(&acme()).await;
    assert_eq!(status(&client).await, Err(TenantClientError::Unavailable));
    assert_eq!(
        client.by_genesys_org("o-1").await,
        Err(TenantClientError::Unavailable)
    );
}

#[tokio::test]
async fn an_answer_that_a_change_overtook_is_not_remembered() {
    let gate = Arc::new(Notify::new());
    let late = Reply::After(Arc::clone(&gate), Box::new(Reply::json(200, &profile())));
    let fake = Fake::start(vec![late, Reply::json(503, "{}"), suspended()]).await;
    let client = client(&fake, CachePolicy::default());
    let early = tokio::spawn({
        let client = client.clone();
        async move { status(&client).await }
    });
    while fake.requests().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    client.invalidate(&acme()).await;
    gate.notify_one();
    assert_eq!(early.await.unwrap(), Ok(Some(TenantStatus::Active)));
    assert_eq!(status(&client).await, Err(TenantClientError::Unavailable));
    assert_eq!(status(&client).await, Ok(Some(TenantStatus::Suspended)));
}
