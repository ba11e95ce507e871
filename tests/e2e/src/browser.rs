//! What a browser does during a sign-in: follows redirects by hand and keeps cookies.

use std::time::Duration;

use reqwest::{Response, StatusCode, header};
use serde_json::Value;
use url::Url;

use crate::installation::Installation;

#[expect(clippy::disallowed_methods, reason = "a plain client, as callers have")]
/// Follows no redirect by itself.
pub fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(20))
        .build()
        .unwrap()
}

/// A browser of one person.
pub struct Browser {
    http: reqwest::Client,
}

impl Default for Browser {
    fn default() -> Self {
        Self { http: client() }
    }
}

impl Browser {
    /// From our login to Genesys and back; answers the message for the opener.
    pub async fn sign_in(&self, to: &Installation, email: &str) -> (StatusCode, Value) {
        let mut login = Url::parse(&format!("{}/api/agents/auth/login", to.portal_url)).unwrap();
        login.query_pairs_mut().append_pair("login_hint", email);
        let begun = self.http.get(login).send().await.unwrap();
        assert_eq!(begun.status(), StatusCode::FOUND);
        let cookie = cookie(&begun);
        let at_genesys = self.http.get(location(&begun)).send().await.unwrap();
        // Genesys knows the callback by its public address; here it is the service's own.
        let back = Url::parse(&location(&at_genesys)).unwrap();
        let callback = format!(
            "{}{}?{}",
            to.portal_url,
            back.path(),
            back.query().unwrap_or_default()
        );
        let page = self
            .http
            .get(callback)
            .header(header::COOKIE, cookie)
            .send()
            .await
            .unwrap();
        let status = page.status();
        let policy = page.headers()["content-security-policy"]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(policy.contains("default-src 'none'"), "{policy}");
        let html = page.text().await.unwrap();
        (status, outcome(&html)["message"].clone())
    }
}

fn cookie(response: &Response) -> String {
    let set = response.headers()[header::SET_COOKIE].to_str().unwrap();
    set.split(';').next().unwrap().to_owned()
}

fn location(response: &Response) -> String {
    response.headers()[header::LOCATION]
        .to_str()
        .unwrap()
        .to_owned()
}

/// The data block of the callback page.
fn outcome(html: &str) -> Value {
    let (_, rest) = html
        .split_once("type=\"application/json\"")
        .expect("a data block");
    let (_, rest) = rest.split_once('>').unwrap();
    let (data, _) = rest.split_once("</script>").unwrap();
    serde_json::from_str(data).unwrap()
}
