//! The Graph client and the webhook reader against an independent stand-in of the Graph API.

use std::time::Duration;

use portal_sandbox::{MAGIC_NUMBERS, Sandbox, SandboxConfig, magic_recipient, seed};
use portal_service_kit::http_client::{ClientOptions, build};
use portal_types::MessageId;
use portal_whatsapp::callback::{CallbackData, CallbackKey};
use portal_whatsapp::webhook::{Notification, StatusKind, signature};
use portal_whatsapp::{
    Accepted, Content, DEFAULT_VERSION, ErrorClass, GraphClient, OutboundMessage, Outcome,
    Recipient, RecipientType, SendError, Text,
};
use secrecy::{SecretBox, SecretString};

use crate::fake::{Fake, Reply};

pub(crate) fn client(sandbox: &Sandbox) -> GraphClient {
    let options = ClientOptions {
        timeout: Duration::from_secs(2),
        ..ClientOptions::default()
    };
    let base_url = sandbox.base_url().parse().unwrap();
    GraphClient::new(
        build(&options).unwrap(),
        base_url,
        DEFAULT_VERSION.to_owned(),
    )
    .unwrap()
}

fn message(to: &str, note: Option<String>) -> OutboundMessage {
    OutboundMessage {
        to: Recipient::parse(to).unwrap(),
        recipient_type: RecipientType::Individual,
        context: None,
        biz_opaque_callback_data: note,
        content: Content::Text(Text {
            body: "Test message".to_owned(),
            preview_url: false,
        }),
    }
}

async fn send(client: &GraphClient, token: &str, to: &str) -> Result<Accepted, SendError> {
    let token = SecretString::from(token);
    client
        .send_message(&token, seed::ACME_PHONE_NUMBER_ID, &message(to, None))
        .await
}

#[tokio::test]
async fn a_message_goes_out_once_and_its_signed_statuses_lead_back_to_it() {
    let receiver = Fake::start(vec![Reply::json(200, "")]).await;
    let sandbox = Sandbox::start(SandboxConfig::default()).unwrap();
    sandbox.set_webhook_url(Some(receiver.url.clone()));
    let key = CallbackKey::new(&SecretBox::new(Box::new([7; 32])));
    let data = CallbackData {
        message_id: MessageId::generate(),
        attempt: 1,
    };
    let message = message("+1234567890", Some(data.to_note(&key)));
    let token = SecretString::from(seed::ACME_TOKEN);
    let accepted = client(&sandbox)
        .send_message(&token, seed::ACME_PHONE_NUMBER_ID, &message)
        .await
        .unwrap();

    let calls = sandbox.journal().graph_messages();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].phone_number_id, seed::ACME_PHONE_NUMBER_ID);
    assert_eq!(calls[0].token_name.as_deref(), Some(seed::ACME_TOKEN_NAME));
    assert!(accepted.wamid.is_some());
    assert_eq!(accepted.wamid, calls[0].wamid);
    assert_eq!(accepted.wa_id.as_deref(), Some("1234567890"));

    while receiver.requests().len() < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut seen = Vec::new();
    for request in receiver.requests() {
        let header = Some(request.header(signature::SIGNATURE_HEADER));
        let secret = [
            SecretString::from("retired"),
            SecretString::from(seed::APP_SECRET),
        ];
        assert_eq!(
            signature::verify(&secret, header, request.body.as_bytes()),
            Ok(())
        );
        let notification = Notification::parse(request.body.as_bytes()).unwrap();
        assert_eq!(notification.unreadable, 0);
        for (number, status) in notification.statuses() {
            assert_eq!(number, Some(seed::ACME_PHONE_NUMBER_ID));
            assert_eq!(Some(&status.id), accepted.wamid.as_ref());
            assert!(status.timestamp.is_some());
            let note = status.biz_opaque_callback_data.as_deref().unwrap();
            assert_eq!(CallbackData::verify(&key, note), Ok(data));
            seen.push(status.status.clone());
        }
    }
    seen.sort_by_key(StatusKind::rank);
    assert_eq!(
        seen,
        [StatusKind::Sent, StatusKind::Delivered, StatusKind::Read]
    );
    sandbox.stop().await;
}

/// The one promise that duplicates hang on: what is called not accepted was not accepted.
#[tokio::test]
async fn no_misfortune_makes_an_accepted_message_look_unaccepted() {
    let sandbox = Sandbox::start(SandboxConfig::default()).unwrap();
    sandbox.change_graph(|graph| graph.slow_answer = Duration::from_millis(50));
    let client = client(&sandbox);
    for number in MAGIC_NUMBERS {
        sandbox.journal().clear();
        let recipient = magic_recipient(&number.digits.replace('N', "1"), 1);
        let result = send(&client, seed::ACME_TOKEN, &recipient).await;
        let calls = sandbox.journal().graph_messages();
        let [call] = calls.as_slice() else {
            panic!("{}: {} calls", number.effect, calls.len())
        };
        match result {
            Ok(accepted) => {
                assert!(call.wamid.is_some(), "{}", number.effect);
                assert!(accepted.wamid.is_none() || accepted.wamid == call.wamid);
            }
            Err(error) if error.outcome == Outcome::NotAccepted => {
                assert_eq!(call.wamid, None, "{}: {error}", number.effect);
            }
            Err(error) => assert_eq!(error.class, ErrorClass::Unknown, "{}", number.effect),
        }
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn magic_numbers_have_the_classes_of_the_table() {
    let sandbox = Sandbox::start(SandboxConfig::default()).unwrap();
    let client = client(&sandbox);
    for (digits, class) in [
        ("000", ErrorClass::Weak5xx),
        ("001", ErrorClass::Weak5xx),
        ("002", ErrorClass::Weak5xx),
        ("003", ErrorClass::Credential),
        ("004", ErrorClass::RateLimitApp),
        ("005", ErrorClass::Credential),
        ("009", ErrorClass::Permanent),
        ("016", ErrorClass::Weak5xx),
        ("031", ErrorClass::AccountState),
        ("033", ErrorClass::AccountState),
        ("045", ErrorClass::AccountState),
        ("048", ErrorClass::SpamLimit),
        ("056", ErrorClass::RateLimitPair),
        ("057", ErrorClass::Retryable),
        ("100", ErrorClass::Permanent),
        ("190", ErrorClass::Credential),
        ("310", ErrorClass::AccountState),
        ("429", ErrorClass::RateLimitNumber),
        ("430", ErrorClass::RateLimitNumber),
        ("502", ErrorClass::Unknown),
        ("503", ErrorClass::Unknown),
        ("601", ErrorClass::Unknown),
        ("602", ErrorClass::Unknown),
        ("604", ErrorClass::Unknown),
    ] {
        let result = send(&client, seed::ACME_TOKEN, &magic_recipient(digits, 2)).await;
        assert_eq!(result.unwrap_err().class, class, "{digits}");
    }
    for digits in ["605", "606"] {
        let result = send(&client, seed::ACME_TOKEN, &magic_recipient(digits, 2)).await;
        assert_eq!(result.unwrap().wamid, None, "{digits}");
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn tokens_that_do_not_fit_are_a_matter_of_credentials() {
    let sandbox = Sandbox::start(SandboxConfig::default()).unwrap();
    let client = client(&sandbox);
    for token in [seed::EXPIRED_TOKEN, "EAAwrong"] {
        let error = send(&client, token, "+1234567890").await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Credential, "{token}");
        let token = SecretString::from(token);
        let probed = client
            .probe_phone_number(&token, seed::ACME_PHONE_NUMBER_ID)
            .await;
        assert_eq!(probed.unwrap_err().class, ErrorClass::Credential);
    }
    // A number of somebody else holds the number back, not the message.
    let foreign = send(&client, seed::GLOBEX_TOKEN, "+1234567890")
        .await
        .unwrap_err();
    let held = [ErrorClass::AccountState, ErrorClass::Credential];
    assert!(held.contains(&foreign.class), "{foreign}");

    let token = SecretString::from(seed::ACME_TOKEN);
    let profile = client
        .probe_phone_number(&token, seed::ACME_PHONE_NUMBER_ID)
        .await
        .unwrap();
    assert_eq!(profile.id, seed::ACME_PHONE_NUMBER_ID);
    assert_eq!(
        profile.display_phone_number.as_deref(),
        Some(seed::ACME_DISPLAY_PHONE_NUMBER)
    );
    assert!(
        profile.quality_rating.is_some() && profile.messaging_limit.is_some(),
        "{profile:?}"
    );
    assert!(sandbox.journal().accepted_messages().is_empty());
    sandbox.stop().await;
}
