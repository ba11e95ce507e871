//! Meta as use cases ask it: the Graph API and our app.

use portal_whatsapp::{ErrorClass, GraphClient, MetaApp, SendError};

use crate::domain::whatsapp_signup::codes;

/// The Graph API, our app, and what the dashboard needs of both.
#[derive(Clone)]
pub(crate) struct Meta {
    pub(crate) graph: GraphClient,
    pub(crate) app: Option<MetaApp>,
    pub(crate) config_id: Option<String>,
    pub(crate) graph_version: String,
    pub(crate) sdk_url: String,
}

impl Meta {
    /// Whether an organization can sign up in the browser.
    pub(crate) fn offers_signup(&self) -> bool {
        self.app.is_some() && self.config_id.is_some()
    }
}

/// Our code and sentence for a failed call.
pub(crate) fn explain(error: &SendError) -> (String, String) {
    let sentence = match error.class {
        ErrorClass::NotSent | ErrorClass::Unknown | ErrorClass::Weak5xx | ErrorClass::Retryable => {
            let message = "Meta did not answer as it should; try again shortly.";
            return (codes::GRAPH_UNAVAILABLE.to_owned(), message.to_owned());
        }
        _ => match &error.details {
            Some(details) => format!("Meta says: {} ({details})", error.title),
            None => format!("Meta says: {}", error.title),
        },
    };
    let code = match (error.code, error.class) {
        (Some(133_005), _) => codes::PIN_NEEDED.to_owned(),
        (Some(133_006), _) => "NUMBER_NOT_VERIFIED".to_owned(),
        (Some(133_016), _) => "REGISTRATION_LIMIT".to_owned(),
        (_, ErrorClass::Credential) => "TOKEN_REFUSED".to_owned(),
        (Some(code), _) => format!("META_{code}"),
        (None, _) => "META_REFUSED".to_owned(),
    };
    (code, sentence)
}
