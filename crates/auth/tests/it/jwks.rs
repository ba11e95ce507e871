//! Keys that another service publishes.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix_web::{App, HttpResponse, HttpServer, web};
use portal_auth::{
    AccessClaims, JwksClient, JwksOptions, KeySource, SigningKey, SigningKeys, Verifier,
    VerifyError,
};
use portal_service_kit::http_client::{self, ClientOptions};

use super::{AUD, ISS, access, eventually, issuer, keys};

#[derive(Clone)]
struct Published {
    keys: SigningKeys,
    asked: Arc<AtomicUsize>,
    answer: Arc<Mutex<Answer>>,
}

#[derive(Clone, Copy)]
enum Answer {
    Keys,
    Error,
    Junk,
    Never,
}

impl Published {
    fn start(keys: SigningKeys) -> (Self, String) {
        let published = Self {
            keys,
            asked: Arc::default(),
            answer: Arc::new(Mutex::new(Answer::Keys)),
        };
        let data = published.clone();
        let server = HttpServer::new(move || {
            App::new()
                .app_data(web::Data::new(data.clone()))
                .default_service(web::to(serve))
        })
        .workers(1)
        .disable_signals()
        .bind("127.0.0.1:0")
        .unwrap();
        let url = format!("http://{}/.well-known/jwks.json", server.addrs()[0]);
        tokio::spawn(server.run());
        (published, url)
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn answers(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }
}

async fn serve(published: web::Data<Published>) -> HttpResponse {
    published.asked.fetch_add(1, Ordering::SeqCst);
    let answer = *published.answer.lock().unwrap();
    match answer {
        Answer::Keys => HttpResponse::Ok().json(published.keys.jwks()),
        Answer::Error => HttpResponse::InternalServerError().finish(),
        Answer::Junk => HttpResponse::Ok().body("<html>"),
        Answer::Never => std::future::pending().await,
    }
}

fn verifier(url: &str, options: JwksOptions) -> Verifier<AccessClaims> {
    let client = http_client::build(&ClientOptions::default()).unwrap();
    let keys = KeySource::Published(JwksClient::new(url, client, options));
    Verifier::new(ISS, AUD, keys)
}

#[tokio::test]
async fn keys_are_fetched_once_for_all_that_wait() {
    let keys = keys();
    let (published, url) = Published::start(keys.clone());
    let verifier = verifier(&url, JwksOptions::default());
    let checks: Vec<_> = (0..50)
        .map(|_| {
            let (verifier, token) = (verifier.clone(), access(&issuer(&keys)));
            tokio::spawn(async move { verifier.verify(&token).await.map(|_| ()) })
        })
        .collect();
    for check in checks {
        check.await.unwrap().unwrap();
    }
    assert_eq!(published.asked(), 1);
}

#[tokio::test]
async fn unknown_keys_are_looked_for_once_per_pause() {
    let keys = keys();
    let (published, url) = Published::start(keys.clone());
    let verifier = verifier(&url, JwksOptions::default());
    verifier.verify(&access(&issuer(&keys))).await.unwrap();
    for _ in 0..20 {
        let foreign = access(&issuer(&super::keys()));
        assert_eq!(
            verifier.verify(&foreign).await.unwrap_err(),
            VerifyError::UnknownKey
        );
    }
    // The first fetch counts too: an unknown key right after it is no reason to ask again.
    assert_eq!(published.asked(), 1);
}

#[tokio::test]
async fn a_rotated_key_is_found() {
    let keys = keys();
    let (published, url) = Published::start(keys.clone());
    let options = JwksOptions {
        unknown_pause: Duration::ZERO,
        ..JwksOptions::default()
    };
    let verifier = verifier(&url, options);
    let before = access(&issuer(&keys));
    verifier.verify(&before).await.unwrap();
    keys.replace(SigningKey::generate().unwrap(), &[]);
    verifier.verify(&access(&issuer(&keys))).await.unwrap();
    assert_eq!(published.asked(), 2);
}

#[tokio::test]
async fn rotation_with_both_keys_published_refuses_nobody() {
    let (old, new) = (
        SigningKey::generate().unwrap(),
        SigningKey::generate().unwrap(),
    );
    let keys = SigningKeys::new(old.clone(), std::slice::from_ref(&new));
    let (published, url) = Published::start(keys.clone());
    let verifier = verifier(&url, JwksOptions::default());
    for round in 0..200 {
        if round == 100 {
            keys.replace(new.clone(), std::slice::from_ref(&old));
        }
        verifier.verify(&access(&issuer(&keys))).await.unwrap();
    }
    assert_eq!(published.asked(), 1);
}

#[tokio::test]
async fn an_unknown_key_is_not_called_wrong_while_the_keys_cannot_be_had() {
    let keys = keys();
    let (published, url) = Published::start(keys.clone());
    let options = JwksOptions {
        fresh_for: Duration::ZERO,
        failure_pause: Duration::ZERO,
        ..JwksOptions::default()
    };
    let verifier = verifier(&url, options);
    verifier.verify(&access(&issuer(&keys))).await.unwrap();
    published.answers(Answer::Error);
    keys.replace(SigningKey::generate().unwrap(), &[]);
    let token = access(&issuer(&keys));
    assert_eq!(
        verifier.verify(&token).await.unwrap_err(),
        VerifyError::KeysUnavailable
    );
    published.answers(Answer::Keys);
    verifier.verify(&token).await.unwrap();
}

#[tokio::test]
async fn old_keys_serve_while_new_ones_cannot_be_had() {
    let keys = keys();
    let (published, url) = Published::start(keys.clone());
    let options = JwksOptions {
        fresh_for: Duration::ZERO,
        failure_pause: Duration::ZERO,
        ..JwksOptions::default()
    };
    let verifier = verifier(&url, options);
    verifier.verify(&access(&issuer(&keys))).await.unwrap();
    for answer in [Answer::Error, Answer::Junk] {
        published.answers(answer);
        let asked = published.asked();
        verifier.verify(&access(&issuer(&keys))).await.unwrap();
        assert!(published.asked() > asked);
    }
}

#[tokio::test]
async fn without_keys_we_cannot_tell() {
    let keys = keys();
    let (published, url) = Published::start(keys.clone());
    published.answers(Answer::Error);
    let options = JwksOptions {
        failure_pause: Duration::ZERO,
        ..JwksOptions::default()
    };
    let verifier = verifier(&url, options);
    let token = access(&issuer(&keys));
    assert_eq!(
        verifier.verify(&token).await.unwrap_err(),
        VerifyError::KeysUnavailable
    );
    published.answers(Answer::Keys);
    eventually("the keys are fetched", || async {
        verifier.verify(&token).await.is_ok()
    })
    .await;

    let nobody = super::jwks::verifier("http://127.0.0.1:9/jwks", JwksOptions::default());
    assert_eq!(
        nobody.verify(&token).await.unwrap_err(),
        VerifyError::KeysUnavailable
    );
}

#[tokio::test]
async fn keys_that_are_too_old_are_not_used() {
    let keys = keys();
    let (published, url) = Published::start(keys.clone());
    let options = JwksOptions {
        fresh_for: Duration::ZERO,
        stale_for: Duration::ZERO,
        failure_pause: Duration::ZERO,
        ..JwksOptions::default()
    };
    let verifier = verifier(&url, options);
    published.answers(Answer::Error);
    let token = access(&issuer(&keys));
    assert_eq!(
        verifier.verify(&token).await.unwrap_err(),
        VerifyError::KeysUnavailable
    );
}

#[tokio::test]
async fn nobody_waits_for_a_fetch_that_hangs_while_old_keys_serve() {
    let keys = keys();
    let (published, url) = Published::start(keys.clone());
    let options = JwksOptions {
        fresh_for: Duration::ZERO,
        ..JwksOptions::default()
    };
    let verifier = verifier(
        &url,
        JwksOptions {
            failure_pause: Duration::ZERO,
            ..options
        },
    );
    verifier.verify(&access(&issuer(&keys))).await.unwrap();
    published.answers(Answer::Never);
    let asked = published.asked();
    let (first, token) = (verifier.clone(), access(&issuer(&keys)));
    let first = tokio::spawn(async move { first.verify(&token).await.map(|_| ()) });
    eventually("the fetch hangs", || async { published.asked() > asked }).await;
    for _ in 0..10 {
        verifier.verify(&access(&issuer(&keys))).await.unwrap();
    }
    assert!(!first.is_finished());
    // It gives up after a while, and the old key serves it, too.
    first.await.unwrap().unwrap();
}
