//! The revocation list, on a real Redis.

use std::time::Duration;

use portal_auth::{RevocationSubject, Revocations};
use portal_cache::Cache;
use portal_types::{SessionId, TenantId, UserId};
use uuid::Uuid;

const LIFETIME: Duration = Duration::from_mins(5);

pub(crate) fn cache() -> Cache {
    let url = std::env::var("TEST_REDIS_URL").expect("TEST_REDIS_URL, see make servers");
    Cache::connect(&url.into(), &format!("auth-test-{}:", Uuid::now_v7())).unwrap()
}

struct Subjects {
    session: SessionId,
    user: UserId,
    tenant: TenantId,
}

impl Subjects {
    fn new() -> Self {
        Self {
            session: SessionId::generate(),
            user: UserId::generate(),
            tenant: TenantId::parse("acme_corp").unwrap(),
        }
    }

    fn all(&self) -> [RevocationSubject; 3] {
        [
            RevocationSubject::Session(self.session),
            RevocationSubject::User(self.user),
            RevocationSubject::Tenant(self.tenant.clone()),
        ]
    }
}

#[tokio::test]
async fn a_session_that_ends_ends_everywhere() {
    let cache = cache();
    let (here, there) = (
        Revocations::new(cache.clone(), LIFETIME),
        Revocations::new(cache, LIFETIME),
    );
    let (ended, other) = (Subjects::new(), Subjects::new());
    assert!(!there.is_revoked(&ended.all(), 1_000).await);
    here.revoke_session(ended.session).await.unwrap();
    assert!(there.is_revoked(&ended.all(), 1_000).await);
    assert!(!there.is_revoked(&other.all(), 1_000).await);
}

#[tokio::test]
async fn a_persons_new_tokens_are_taken() {
    let list = Revocations::new(cache(), LIFETIME);
    let subjects = Subjects::new();
    list.revoke_user(subjects.user, 1_000).await.unwrap();
    assert!(list.is_revoked(&subjects.all(), 999).await);
    assert!(list.is_revoked(&subjects.all(), 1_000).await);
    assert!(!list.is_revoked(&subjects.all(), 1_001).await);
}

#[tokio::test]
async fn a_tenant_can_come_back() {
    let list = Revocations::new(cache(), LIFETIME);
    let subjects = Subjects::new();
    list.revoke_tenant(&subjects.tenant).await.unwrap();
    assert!(list.is_revoked(&subjects.all(), 1_000).await);
    list.restore_tenant(&subjects.tenant).await.unwrap();
    assert!(!list.is_revoked(&subjects.all(), 1_000).await);
}

#[tokio::test]
async fn without_redis_requests_go_on_with_what_is_known() {
    let nowhere = Cache::connect(&"redis://127.0.0.1:9/".into(), "").unwrap();
    let list = Revocations::new(nowhere, LIFETIME);
    let (ended, other) = (Subjects::new(), Subjects::new());
    assert!(list.revoke_session(ended.session).await.is_err());
    assert!(list.is_revoked(&ended.all(), 1_000).await);
    assert!(!list.is_revoked(&other.all(), 1_000).await);
}
