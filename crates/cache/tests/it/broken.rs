//! A Redis that is down, silent or restarted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use portal_cache::{Cache, CacheError, Key};
use secrecy::SecretString;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use url::Url;

use crate::{cache_at, redis_url};

const HOUR: Duration = Duration::from_hours(1);

/// Stands before the test server; its connections can be cut.
struct Proxy {
    url: String,
    cuts: watch::Sender<usize>,
    open: watch::Receiver<usize>,
    accepted: Arc<AtomicUsize>,
}

impl Proxy {
    async fn start() -> Self {
        let mut url = Url::parse(&redis_url()).unwrap();
        let server = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(6379));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port()))
            .unwrap();
        let (cuts, cut) = watch::channel(0);
        let (opened, open) = watch::channel(0_usize);
        let accepted = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&accepted);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                opened.send_modify(|count| *count += 1);
                let (server, mut cut, opened) = (server.clone(), cut.clone(), opened.clone());
                cut.mark_unchanged();
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(server).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => {}
                        _ = cut.changed() => {}
                    }
                    drop(client);
                    opened.send_modify(|count| *count -= 1);
                });
            }
        });
        Self {
            url: url.into(),
            cuts,
            open,
            accepted,
        }
    }

    /// Cuts all connections; none of them carries anything once this returns.
    async fn cut(&self) {
        self.cuts.send_modify(|count| *count += 1);
        self.open.clone().wait_for(|open| *open == 0).await.unwrap();
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn many_callers_share_one_connection() {
    let proxy = Proxy::start().await;
    let cache = cache_at(proxy.url.clone());
    let calls = (0..50).map(|n| {
        let cache = cache.clone();
        async move {
            cache
                .set_with_ttl(&Key::global("n", &[&n.to_string()]), &n, HOUR)
                .await
        }
    });
    for result in futures_util::future::join_all(calls).await {
        result.unwrap();
    }
    assert_eq!(proxy.accepted(), 1);
}

#[tokio::test]
async fn a_cut_connection_is_replaced_without_the_caller_noticing() {
    let proxy = Proxy::start().await;
    let (cache, key) = (cache_at(proxy.url.clone()), Key::<u8>::global("n", &["1"]));
    cache.set_with_ttl(&key, &1, HOUR).await.unwrap();
    proxy.cut().await;
    assert_eq!(cache.get(&key).await, Ok(Some(1)));
    assert_eq!(proxy.accepted(), 2);
}

#[tokio::test]
async fn what_must_not_happen_twice_is_not_repeated() {
    let proxy = Proxy::start().await;
    let (cache, key) = (cache_at(proxy.url.clone()), Key::<u8>::global("n", &["1"]));
    cache.set_with_ttl(&key, &1, HOUR).await.unwrap();
    proxy.cut().await;
    assert_eq!(
        cache.take(&key).await,
        Err(CacheError::Unavailable {
            reason: "connection lost"
        })
    );
    assert_eq!(cache.take(&key).await, Ok(Some(1)));
}

#[tokio::test]
async fn a_server_that_is_down_is_unavailable_and_found_again_when_it_is_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let cache = cache_at(format!("redis://{address}"));
    assert_eq!(
        cache.ping().await,
        Err(CacheError::Unavailable {
            reason: "connection refused"
        })
    );

    let listener = TcpListener::bind(address).await.unwrap();
    let server = Url::parse(&redis_url()).unwrap();
    let server = format!(
        "{}:{}",
        server.host_str().unwrap(),
        server.port().unwrap_or(6379)
    );
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = TcpStream::connect(&server).await.unwrap();
            tokio::spawn(async move { copy_bidirectional(&mut client, &mut server).await });
        }
    });
    // A server that wants a password refuses the ping, which is an answer all the same.
    assert!(!matches!(
        cache.ping().await,
        Err(CacheError::Timeout
            | CacheError::Unavailable {
                reason: "connection refused"
            })
    ));
}

#[tokio::test]
async fn a_server_that_never_answers_costs_the_deadline_and_no_more() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let cache = cache_at(format!("redis://{}", listener.local_addr().unwrap()));
    let silent = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((client, _)) = listener.accept().await {
            held.push(client);
        }
    });
    let callers = futures_util::future::join_all((0..20).map(|_| cache.ping()));
    // Twenty callers one after the other would need 10 s.
    let results = tokio::time::timeout(Duration::from_secs(5), callers)
        .await
        .unwrap();
    assert!(
        results
            .iter()
            .all(|result| *result == Err(CacheError::Timeout)),
        "{results:?}"
    );
    silent.abort();
}

#[test]
fn a_bad_url_is_named_and_not_shown() {
    let url = SecretString::from("http://user:hunter2@host");
    let error = Cache::connect(&url, "").unwrap_err().to_string();
    assert!(error.starts_with("redis.url: "), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}
