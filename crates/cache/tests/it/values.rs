//! Values, buckets and locks on a Redis that works.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use portal_cache::{Cache, CacheError, Key, LockKey, Rate, RateBucket};
use portal_types::TenantId;
use serde::{Deserialize, Serialize};

use crate::{cache, cache_at, redis_url};

const HOUR: Duration = Duration::from_hours(1);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Login {
    verifier: String,
    region: Option<String>,
}

fn login() -> Login {
    Login {
        verifier: "v\u{e9}rif\"ier".to_owned(),
        region: None,
    }
}

/// Whether the key is gone before long.
async fn disappears(cache: &Cache, key: &Key<Login>) -> bool {
    for _ in 0..200 {
        if !cache.exists(key).await.unwrap() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

#[tokio::test]
async fn a_value_comes_back_as_it_was_until_it_is_deleted() {
    let (cache, key) = (cache(), Key::<Login>::global("login", &["a"]));
    cache.ping().await.unwrap();
    assert_eq!(cache.get(&key).await, Ok(None));
    assert_eq!(cache.exists(&key).await, Ok(false));
    cache.set_with_ttl(&key, &login(), HOUR).await.unwrap();
    assert_eq!(cache.get(&key).await, Ok(Some(login())));
    assert_eq!(cache.exists(&key).await, Ok(true));
    cache.delete(&key).await.unwrap();
    assert_eq!(cache.get(&key).await, Ok(None));
    cache.delete(&key).await.unwrap();
}

#[tokio::test]
async fn a_value_ends_with_its_time() {
    let (cache, key) = (cache(), Key::<Login>::global("login", &["a"]));
    cache
        .set_with_ttl(&key, &login(), Duration::ZERO)
        .await
        .unwrap();
    assert!(disappears(&cache, &key).await);
}

#[tokio::test]
async fn of_many_who_take_a_value_one_gets_it() {
    let (cache, key) = (cache(), Key::<Login>::global("login", &["a"]));
    cache.set_with_ttl(&key, &login(), HOUR).await.unwrap();
    let taken = join_all((0..20).map(|_| cache.take(&key))).await;
    let values: Vec<_> = taken.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(values, [login()]);
}

#[tokio::test]
async fn of_many_who_set_a_value_that_is_not_there_one_succeeds() {
    let (cache, key) = (cache(), Key::<u32>::global("first", &["a"]));
    let results = join_all((0..20_u32).map(|n| {
        let (cache, key) = (cache.clone(), key.clone());
        async move { cache.set_nx(&key, &n, HOUR).await.unwrap().then_some(n) }
    }))
    .await;
    let winners: Vec<u32> = results.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(cache.get(&key).await, Ok(winners.first().copied()));
}

#[tokio::test]
async fn several_keys_go_in_one_call() {
    let cache = cache();
    let keys = ["a", "b", "c"].map(|id| Key::<bool>::global("revoked", &[id]));
    let [a, b, c] = &keys;
    cache.set_with_ttl(b, &true, HOUR).await.unwrap();
    assert_eq!(cache.exists_any(&keys).await, Ok(true));
    assert_eq!(cache.exists_any(&[a.clone(), c.clone()]).await, Ok(false));
    assert_eq!(cache.exists_any::<bool>(&[]).await, Ok(false));
    cache.delete_many(&keys).await.unwrap();
    cache.delete_many::<bool>(&[]).await.unwrap();
    assert_eq!(cache.exists_any(&keys).await, Ok(false));
}

#[tokio::test]
async fn prefixes_and_tenants_keep_keys_apart() {
    let (one, other) = (cache(), cache_at(redis_url()));
    let tenants = ["acme", "globex"].map(|id| TenantId::parse(id).unwrap());
    let [acme, globex] = tenants.map(|tenant| Key::<u8>::of_tenant(&tenant, "n", &["1"]));
    one.set_with_ttl(&acme, &7, HOUR).await.unwrap();
    assert_eq!(one.get(&acme).await, Ok(Some(7)));
    assert_eq!(one.get(&globex).await, Ok(None));
    assert_eq!(other.get(&acme).await, Ok(None));
}

#[tokio::test]
async fn a_value_of_another_form_is_a_decode_error() {
    let cache = cache();
    cache
        .set_with_ttl(&Key::<u32>::global("x", &["a"]), &1, HOUR)
        .await
        .unwrap();
    let read = cache.get(&Key::<Login>::global("x", &["a"])).await;
    assert_eq!(read, Err(CacheError::Decode));
    // A key that holds no string at all, but a bucket.
    let bucket = RateBucket::new(Key::global("x", &["b"]), 1, 1.0);
    cache.take_token(&bucket).await.unwrap();
    let read = cache.get(&Key::<u32>::global("x", &["b"])).await;
    assert_eq!(
        read,
        Err(CacheError::Unavailable {
            reason: "refused by the server"
        })
    );
}

#[tokio::test]
async fn a_bucket_gives_its_capacity_and_then_tells_when_to_come_back() {
    let cache = cache();
    // One token in 1000 s: nothing refills while the test runs.
    let bucket = RateBucket::new(Key::global("pair", &["a"]), 3, 0.001);
    let mut remaining = Vec::new();
    for _ in 0..3 {
        match cache.take_token(&bucket).await.unwrap() {
            Rate::Allowed { remaining: left } => remaining.push(left),
            Rate::Denied { .. } => break,
        }
    }
    assert_eq!(remaining, [2, 1, 0]);
    let Rate::Denied { retry_after } = cache.take_token(&bucket).await.unwrap() else {
        panic!("a fourth token was given out");
    };
    assert!(retry_after <= Duration::from_secs(1000), "{retry_after:?}");
    assert!(retry_after > Duration::from_mins(15), "{retry_after:?}");
}

#[tokio::test]
async fn callers_at_once_get_no_more_than_the_capacity() {
    let cache = cache();
    let bucket = RateBucket::new(Key::global("number", &["a"]), 10, 0.001);
    let answers = join_all((0..50).map(|_| cache.take_token(&bucket))).await;
    let left: Vec<u32> = answers
        .into_iter()
        .filter_map(|answer| match answer.unwrap() {
            Rate::Allowed { remaining } => Some(remaining),
            Rate::Denied { .. } => None,
        })
        .collect();
    assert_eq!(left.len(), 10);
    assert_eq!(left.iter().collect::<HashSet<_>>().len(), 10);
}

#[tokio::test]
async fn a_bucket_fills_again() {
    let cache = cache();
    let bucket = RateBucket::new(Key::global("number", &["a"]), 1, 50.0);
    assert_eq!(
        cache.take_token(&bucket).await,
        Ok(Rate::Allowed { remaining: 0 })
    );
    for _ in 0..200 {
        match cache.take_token(&bucket).await.unwrap() {
            Rate::Allowed { .. } => return,
            Rate::Denied { retry_after } => {
                assert!(retry_after <= Duration::from_millis(20), "{retry_after:?}");
                tokio::time::sleep(retry_after).await;
            }
        }
    }
    panic!("the bucket stayed empty");
}

#[tokio::test]
async fn senseless_rates_are_raised_to_one_token_a_day() {
    let cache = cache();
    for (index, rate) in [0.0, -1.0, f64::NAN].into_iter().enumerate() {
        let bucket = RateBucket::new(Key::global("number", &[&index.to_string()]), 0, rate);
        assert_eq!(
            cache.take_token(&bucket).await,
            Ok(Rate::Allowed { remaining: 0 })
        );
        let Rate::Denied { retry_after } = cache.take_token(&bucket).await.unwrap() else {
            panic!("a second token was given out");
        };
        assert!(
            retry_after <= Duration::from_secs(86_401),
            "{retry_after:?}"
        );
    }
}

#[tokio::test]
async fn a_lock_has_one_holder_at_a_time() {
    let (cache, key) = (cache(), LockKey::global("refresh", &["a"]));
    let held = cache.try_lock(&key, HOUR).await.unwrap().unwrap();
    assert!(cache.try_lock(&key, HOUR).await.unwrap().is_none());
    assert_eq!(held.release().await, Ok(true));
    let again = cache.try_lock(&key, HOUR).await.unwrap().unwrap();
    assert_eq!(again.release().await, Ok(true));
}

#[tokio::test]
async fn a_holder_whose_lock_expired_does_not_release_the_next_holders() {
    let (cache, key) = (cache(), LockKey::global("refresh", &["a"]));
    let late = cache.try_lock(&key, HOUR).await.unwrap().unwrap();
    cache.delete(&key).await.unwrap(); // what the end of its time does
    let next = cache.try_lock(&key, HOUR).await.unwrap().unwrap();
    assert_eq!(late.release().await, Ok(false));
    assert_eq!(next.release().await, Ok(true));
}

#[tokio::test]
async fn several_buckets_give_all_or_nothing_in_one_trip() {
    let cache = cache();
    let narrow = RateBucket::new(Key::global("caller", &["a"]), 2, 0.001);
    let wide = RateBucket::new(Key::global("tenant", &["a"]), 5, 0.001);
    let both = [narrow.clone(), wide.clone()];
    for left in [(1, 4), (0, 3)] {
        let rates = cache.take_tokens(&both).await.unwrap();
        let expected = [left.0, left.1].map(|remaining| Rate::Allowed { remaining });
        assert_eq!(rates, expected);
    }
    let rates = cache.take_tokens(&both).await.unwrap();
    assert!(matches!(rates[0], Rate::Denied { .. }), "{rates:?}");
    assert_eq!(rates[1], Rate::Allowed { remaining: 3 });
    assert_eq!(
        cache.take_token(&wide).await.unwrap(),
        Rate::Allowed { remaining: 2 }
    );
}
