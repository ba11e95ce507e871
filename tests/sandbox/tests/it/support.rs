//! A sandbox, a client and a webhook receiver for each test.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portal_sandbox::{Sandbox, SandboxConfig, StatusDelays, seed};
use reqwest::{Client, Response};
use serde_json::{Value, json};
use url::Url;

pub(crate) const REDIRECT: &str = seed::DEFAULT_REDIRECT_URI;

/// Fast, and quick to repeat.
pub(crate) fn config() -> SandboxConfig {
    let mut config = SandboxConfig {
        workers: 1,
        ..SandboxConfig::default()
    };
    config.webhook.delays = StatusDelays::every(Duration::from_millis(5));
    config.webhook.retry = vec![Duration::from_millis(20); 200];
    config.graph.slow_answer = Duration::from_millis(50);
    config.graph.hang = Duration::from_millis(50);
    config
}

pub(crate) fn start() -> Sandbox {
    Sandbox::start(config()).unwrap()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the sandbox's tests use none of our crates"
)]
pub(crate) fn client() -> Client {
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(20))
        .build()
        .unwrap()
}

/// Polls until the condition gives something; panics when it never does.
pub(crate) async fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) async fn json_of(response: Response) -> Value {
    let text = response.text().await.unwrap();
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("not JSON: {text}"))
}

/// Checks the status and reads the body.
pub(crate) async fn expect_json(response: Response, status: u16) -> Value {
    let have = response.status().as_u16();
    let body = json_of(response).await;
    assert_eq!(have, status, "{body}");
    body
}

/// Query of the redirect that an answer makes.
pub(crate) fn redirect_query(response: &Response) -> HashMap<String, String> {
    assert_eq!(response.status(), 302);
    let location = response.headers()["location"].to_str().unwrap();
    assert!(location.starts_with(REDIRECT), "{location}");
    Url::parse(location)
        .unwrap()
        .query_pairs()
        .into_owned()
        .collect()
}

pub(crate) struct Pkce {
    pub(crate) verifier: String,
    pub(crate) challenge: String,
}

pub(crate) fn pkce() -> Pkce {
    let verifier = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 48]>());
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier.as_bytes());
    Pkce {
        verifier,
        challenge: URL_SAFE_NO_PAD.encode(hash),
    }
}

pub(crate) async fn authorize(
    sandbox: &Sandbox,
    client_id: &str,
    more: &[(&str, &str)],
) -> Response {
    let mut query = vec![
        ("response_type", "code"),
        ("client_id", client_id),
        ("redirect_uri", REDIRECT),
    ];
    query.extend_from_slice(more);
    let url = format!("{}/oauth/authorize", sandbox.base_url());
    client().get(url).query(&query).send().await.unwrap()
}

pub(crate) async fn token(
    sandbox: &Sandbox,
    basic: Option<(&str, &str)>,
    form: &[(&str, &str)],
) -> Response {
    let request = client()
        .post(format!("{}/oauth/token", sandbox.base_url()))
        .form(form);
    let request = match basic {
        Some((id, secret)) => request.basic_auth(id, Some(secret)),
        None => request,
    };
    request.send().await.unwrap()
}

pub(crate) const CONFIDENTIAL: (&str, &str) = (
    seed::CONFIDENTIAL_CLIENT_ID,
    seed::CONFIDENTIAL_CLIENT_SECRET,
);

/// Signs a person in with the confidential client: access and refresh token.
pub(crate) async fn sign_in(sandbox: &Sandbox, email: &str) -> (String, String) {
    let answer = authorize(sandbox, CONFIDENTIAL.0, &[("login_hint", email)]).await;
    let code = redirect_query(&answer)["code"].clone();
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", REDIRECT),
    ];
    let body = expect_json(token(sandbox, Some(CONFIDENTIAL), &form).await, 200).await;
    let text = |name: &str| body[name].as_str().unwrap().to_owned();
    (text("access_token"), text("refresh_token"))
}

pub(crate) async fn api(sandbox: &Sandbox, token: &str, path: &str) -> Response {
    let url = format!("{}/api/v2{path}", sandbox.base_url());
    client().get(url).bearer_auth(token).send().await.unwrap()
}

pub(crate) fn text_message(to: &str) -> Value {
    json!({
        "messaging_product": "whatsapp",
        "to": to,
        "type": "text",
        "text": {"body": "Grüße/hello"},
        "biz_opaque_callback_data": "our-id-1",
    })
}

/// Posts to Acme's number with Acme's token.
pub(crate) async fn post_message(
    sandbox: &Sandbox,
    body: &Value,
) -> Result<Response, reqwest::Error> {
    let url = format!(
        "{}/v25.0/{}/messages",
        sandbox.base_url(),
        seed::ACME_PHONE_NUMBER_ID
    );
    client()
        .post(url)
        .bearer_auth(seed::ACME_TOKEN)
        .json(body)
        .send()
        .await
}

/// Sends a text that must be accepted; its id.
pub(crate) async fn send(sandbox: &Sandbox, to: &str) -> String {
    let response = post_message(sandbox, &text_message(to)).await.unwrap();
    let body = expect_json(response, 200).await;
    body["messages"][0]["id"].as_str().unwrap().to_owned()
}

#[derive(Clone)]
pub(crate) struct Hook {
    pub(crate) genuine: bool,
    pub(crate) raw: String,
    pub(crate) body: Value,
}

impl Hook {
    pub(crate) fn value(&self) -> &Value {
        &self.body["entry"][0]["changes"][0]["value"]
    }

    pub(crate) fn statuses(&self) -> Vec<&str> {
        let statuses = self.value()["statuses"].as_array().unwrap();
        statuses
            .iter()
            .map(|status| status["status"].as_str().unwrap())
            .collect()
    }
}

struct Inbox {
    secret: String,
    hooks: Mutex<Vec<Hook>>,
    /// Answered, in turn, before 200.
    refusals: Mutex<Vec<u16>>,
}

/// Receives webhooks and checks their signatures.
pub(crate) struct Receiver {
    inbox: Arc<Inbox>,
    pub(crate) url: Url,
    handle: ServerHandle,
}

async fn receive(req: HttpRequest, body: web::Bytes, inbox: web::Data<Inbox>) -> HttpResponse {
    let key = hmac::Key::new(hmac::HMAC_SHA256, inbox.secret.as_bytes());
    let genuine = req
        .headers()
        .get("x-hub-signature-256")
        .and_then(|value| value.to_str().ok()?.strip_prefix("sha256="))
        .and_then(|signature| hex::decode(signature).ok())
        .is_some_and(|signature| hmac::verify(&key, &body, &signature).is_ok());
    let raw = String::from_utf8(body.to_vec()).unwrap();
    let refusal = inbox.refusals.lock().unwrap().pop();
    if let Some(status) = refusal {
        return HttpResponse::build(status.try_into().unwrap()).finish();
    }
    let hook = Hook {
        genuine,
        body: serde_json::from_str(&raw).unwrap(),
        raw,
    };
    inbox.hooks.lock().unwrap().push(hook);
    HttpResponse::Ok().finish()
}

async fn verify(query: web::Query<HashMap<String, String>>) -> HttpResponse {
    if query["hub.mode"] == "subscribe" && query["hub.verify_token"] == "the verify token" {
        HttpResponse::Ok().body(query["hub.challenge"].clone())
    } else {
        HttpResponse::Forbidden().finish()
    }
}

impl Receiver {
    /// Listens on `address`; port 0 takes a free one.
    pub(crate) fn listen(address: impl std::net::ToSocketAddrs + Debug, secret: &str) -> Self {
        let inbox = Arc::new(Inbox {
            secret: secret.to_owned(),
            hooks: Mutex::default(),
            refusals: Mutex::default(),
        });
        let data = web::Data::from(Arc::clone(&inbox));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(web::Data::clone(&data))
                .route("/hook", web::post().to(receive))
                .route("/hook", web::get().to(verify))
        })
        .workers(1)
        .disable_signals()
        .bind(address)
        .unwrap();
        let url = format!("http://{}/hook", server.addrs()[0])
            .parse()
            .unwrap();
        let server = server.run();
        let handle = server.handle();
        tokio::spawn(server);
        Self { inbox, url, handle }
    }

    /// A receiver that the sandbox already knows.
    pub(crate) fn of(sandbox: &Sandbox) -> Self {
        let receiver = Self::listen("127.0.0.1:0", seed::APP_SECRET);
        sandbox.set_webhook_url(Some(receiver.url.clone()));
        receiver
    }

    pub(crate) fn refuse_next(&self, statuses: &[u16]) {
        *self.inbox.refusals.lock().unwrap() = statuses.to_vec();
    }

    pub(crate) fn hooks(&self) -> Vec<Hook> {
        self.inbox.hooks.lock().unwrap().clone()
    }

    /// Waits for so many webhooks.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Hook> {
        eventually(&format!("{count} webhooks"), || {
            let hooks = self.hooks();
            (hooks.len() >= count).then_some(hooks)
        })
        .await
    }

    pub(crate) async fn stop(self) {
        self.handle.stop(false).await;
    }
}

/// Waits until the sandbox has nothing left to send.
pub(crate) async fn quiet(sandbox: &Sandbox) {
    eventually("no webhook under way", || {
        (sandbox.webhooks_under_way() == 0).then_some(())
    })
    .await;
}
