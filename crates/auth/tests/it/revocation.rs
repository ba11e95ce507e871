//! The revocation list, on a real Redis.

use std::time::Duration;

use portal_auth::{RevocationSubject, Revocations, Standing};
use portal_cache::{Cache, Key};
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

async fn rebuild(list: &Revocations) {
    let begun = list.begin_rebuild().await.unwrap();
    assert!(list.mark_whole(begun).await.unwrap());
}

/// A list that is known to be whole.
async fn whole(cache: Cache) -> Revocations {
    let list = Revocations::new(cache, LIFETIME);
    rebuild(&list).await;
    list
}

#[tokio::test]
async fn a_session_that_ends_ends_everywhere() {
    let cache = cache();
    let (here, there) = (whole(cache.clone()).await, whole(cache).await);
    let (ended, other) = (Subjects::new(), Subjects::new());
    assert_eq!(there.standing(&ended.all(), 1_000).await, Standing::Live);
    here.revoke_session(ended.session).await.unwrap();
    assert_eq!(there.standing(&ended.all(), 1_000).await, Standing::Ended);
    assert_eq!(there.standing(&other.all(), 1_000).await, Standing::Live);
}

#[tokio::test]
async fn a_persons_new_tokens_are_taken() {
    let list = whole(cache()).await;
    let subjects = Subjects::new();
    list.revoke_user(subjects.user, 1_000).await.unwrap();
    for (issued_at, standing) in [
        (999, Standing::Ended),
        (1_000, Standing::Ended),
        (1_001, Standing::Live),
    ] {
        assert_eq!(list.standing(&subjects.all(), issued_at).await, standing);
    }
}

#[tokio::test]
async fn a_tenant_can_come_back() {
    let list = whole(cache()).await;
    let subjects = Subjects::new();
    list.revoke_tenant(&subjects.tenant).await.unwrap();
    assert_eq!(list.standing(&subjects.all(), 1_000).await, Standing::Ended);
    list.restore_tenant(&subjects.tenant).await.unwrap();
    assert_eq!(list.standing(&subjects.all(), 1_000).await, Standing::Live);
}

#[tokio::test]
async fn a_list_that_was_lost_ends_what_it_knows_and_is_not_believed_for_the_rest() {
    let cache = cache();
    let list = Revocations::new(cache.clone(), LIFETIME);
    let (ended, other) = (Subjects::new(), Subjects::new());
    list.revoke_session(ended.session).await.unwrap();
    assert!(!list.is_whole().await);
    assert_eq!(list.standing(&ended.all(), 1_000).await, Standing::Ended);
    assert_eq!(list.standing(&other.all(), 1_000).await, Standing::Unknown);
    rebuild(&list).await;
    assert!(list.is_whole().await);
    assert_eq!(list.standing(&other.all(), 1_000).await, Standing::Live);
}

#[tokio::test]
async fn a_list_that_is_lost_while_it_is_put_together_is_not_called_whole() {
    let cache = cache();
    let (one, two) = (
        Revocations::new(cache.clone(), LIFETIME),
        Revocations::new(cache.clone(), LIFETIME),
    );
    let subjects = Subjects::new();
    let begun = one.begin_rebuild().await.unwrap();
    one.revoke_session(subjects.session).await.unwrap();
    assert!(!one.is_whole().await);
    // As when Redis is emptied: neither the entry nor the sign is there.
    let mark = Key::<i64>::global("revocations-whole", &[]);
    let entry = Key::<i64>::global("revoked", &["sid", &subjects.session.to_string()]);
    cache.delete_many(&[mark, entry]).await.unwrap();
    // Nor does it help that another has begun anew.
    let later = two.begin_rebuild().await.unwrap();
    assert!(!one.mark_whole(begun).await.unwrap());
    assert_eq!(
        one.standing(&subjects.all(), 1_000).await,
        Standing::Unknown
    );
    assert!(two.mark_whole(later).await.unwrap());
    assert_eq!(one.standing(&subjects.all(), 1_000).await, Standing::Live);
}

#[tokio::test]
async fn without_redis_the_list_knows_what_this_process_has_seen() {
    let nowhere = Cache::connect(&"redis://127.0.0.1:9/".into(), "").unwrap();
    let list = Revocations::new(nowhere, LIFETIME);
    let (ended, other) = (Subjects::new(), Subjects::new());
    assert!(list.revoke_session(ended.session).await.is_err());
    for (subjects, has_ended) in [(ended.all(), true), (other.all(), false)] {
        assert_eq!(list.standing(&subjects, 1_000).await, Standing::Unknown);
        assert_eq!(list.has_seen_end(&subjects, 1_000).await, has_ended);
    }
}
