//! Setting a business account up, against an independent stand-in of the Graph API.

use portal_sandbox::{Outage, Sandbox, SandboxConfig, seed};
use portal_types::PhoneNumber;
use portal_whatsapp::{
    Caller, ErrorClass, MANAGEMENT_SCOPE, MESSAGING_SCOPE, MetaApp, Outcome, SendError,
};
use secrecy::{ExposeSecret as _, SecretString};

use crate::sandbox::client;

fn app() -> MetaApp {
    MetaApp {
        id: seed::APP_ID.to_owned(),
        secret: seed::APP_SECRET.into(),
    }
}

async fn token(sandbox: &Sandbox, waba_id: &str) -> SecretString {
    let code = sandbox.signup_code(waba_id).into();
    client(sandbox).exchange_code(&app(), &code).await.unwrap()
}

fn code(result: Result<(), SendError>) -> i64 {
    result.unwrap_err().code.unwrap()
}

#[tokio::test]
async fn from_a_code_to_a_number_that_sends() {
    let sandbox = Sandbox::start(SandboxConfig::default()).unwrap();
    let (client, app) = (client(&sandbox), app());
    let token = token(&sandbox, seed::FRESH_WABA_ID).await;
    let info = client.debug_token(&app, &token).await.unwrap();
    assert!(info.is_valid && info.expires_at.is_none());
    assert_eq!(info.app_id.as_deref(), Some(seed::APP_ID));
    for scope in [MANAGEMENT_SCOPE, MESSAGING_SCOPE] {
        assert!(info.has_scope_for(scope, seed::FRESH_WABA_ID));
        assert!(!info.has_scope_for(scope, seed::ACME_WABA_ID));
    }
    let caller = Caller {
        token: &token,
        app: Some(&app),
    };
    let numbers = client
        .phone_numbers(caller, seed::FRESH_WABA_ID)
        .await
        .unwrap();
    assert_eq!(numbers.len(), 1);
    assert_eq!(numbers[0].id, seed::FRESH_PHONE_NUMBER_ID);
    assert!(!numbers[0].is_registered() && !numbers[0].is_on_biz_app);

    let apps = async || {
        client
            .subscribed_apps(caller, seed::FRESH_WABA_ID)
            .await
            .unwrap()
    };
    assert!(apps().await.is_empty());
    client
        .subscribe_app(caller, seed::FRESH_WABA_ID)
        .await
        .unwrap();
    client
        .subscribe_app(caller, seed::FRESH_WABA_ID)
        .await
        .unwrap();
    assert_eq!(apps().await, [seed::APP_ID]);

    let to = PhoneNumber::parse("+1234567890").unwrap();
    let send = async || {
        let template = ("hello_world", "en_US");
        client
            .send_bare_template(caller, seed::FRESH_PHONE_NUMBER_ID, &to, template)
            .await
    };
    assert_eq!(code(send().await), 133_010);
    let register = async |pin: &str| {
        let pin = pin.into();
        client
            .register_number(caller, seed::FRESH_PHONE_NUMBER_ID, &pin)
            .await
    };
    register("123456").await.unwrap();
    register("123456").await.unwrap();
    assert_eq!(code(register("654321").await), 133_005);
    send().await.unwrap();
    let number = client
        .phone_number(caller, seed::FRESH_PHONE_NUMBER_ID)
        .await
        .unwrap();
    assert!(number.is_registered());
    sandbox.stop().await;
}

#[tokio::test]
async fn refusals_and_outages_are_told_without_secrets() {
    let sandbox = Sandbox::start(SandboxConfig::default()).unwrap();
    let (client, app) = (client(&sandbox), app());
    let used: SecretString = sandbox.signup_code(seed::FRESH_WABA_ID).into();
    let token = client.exchange_code(&app, &used).await.unwrap();
    let again = client.exchange_code(&app, &used).await.unwrap_err();
    assert_eq!((again.code, again.subcode), (Some(100), Some(36_009)));
    assert_eq!(again.outcome, Outcome::NotAccepted);

    // The proof of another app is refused; so is a token by an app that it is not of.
    let other = MetaApp {
        secret: "another".into(),
        ..app.clone()
    };
    let caller = Caller {
        token: &token,
        app: Some(&other),
    };
    let error = client
        .phone_numbers(caller, seed::FRESH_WABA_ID)
        .await
        .unwrap_err();
    assert_eq!(error.class, ErrorClass::Credential);
    assert!(client.debug_token(&other, &token).await.is_err());
    let junk = client.debug_token(&app, &"EAAjunk".into()).await.unwrap();
    assert!(!junk.is_valid && !junk.has_scope(MANAGEMENT_SCOPE));

    let code: SecretString = sandbox.signup_code(seed::FRESH_WABA_ID).into();
    for outage in [Outage::Unavailable, Outage::BadGateway, Outage::Drop] {
        sandbox.set_graph_outage(outage);
        let error = client.exchange_code(&app, &code).await.unwrap_err();
        let shown = format!("{error} {error:?} {} {:?}", error.title, error.details);
        for secret in [
            code.expose_secret(),
            seed::APP_SECRET,
            token.expose_secret(),
        ] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn all_pages_of_numbers_are_read() {
    let sandbox = Sandbox::start(SandboxConfig::default()).unwrap();
    let mut waba = sandbox.waba(seed::TWO_NUMBERS_WABA_ID).unwrap();
    let first = waba.phones.remove(0);
    waba.phones = (0..230)
        .map(|i| portal_sandbox::Phone {
            id: format!("21000000000{i:04}"),
            ..first.clone()
        })
        .collect();
    let mut acme = sandbox.token(seed::ACME_TOKEN_NAME).unwrap();
    acme.name = "many".to_owned();
    acme.value = "EAAmany".to_owned();
    acme.waba_ids = vec![waba.id.clone()];
    sandbox.add_waba(portal_sandbox::NewWaba { waba, token: acme });
    let token = "EAAmany".into();
    let caller = Caller {
        token: &token,
        app: None,
    };
    let numbers = client(&sandbox)
        .phone_numbers(caller, seed::TWO_NUMBERS_WABA_ID)
        .await
        .unwrap();
    assert_eq!(numbers.len(), 230);
    assert_eq!(numbers[229].id, "210000000000229");
    sandbox.stop().await;
}
