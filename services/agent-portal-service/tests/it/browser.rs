//! A browser: it keeps cookies, follows no redirect by itself, and knows what the gateway does.

use std::{collections::BTreeMap, sync::Mutex};

use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::Value;
use url::Url;

/// Where the local world's configuration says that things are.
pub(crate) const GATEWAY: &str = "http://localhost:3000";
pub(crate) const PORTAL: &str = "http://localhost:3014";

pub(crate) struct Browser {
    http: reqwest::Client,
    api: String,
    portal: String,
    cookies: Mutex<BTreeMap<String, String>>,
}

/// What a server answered.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Browser {
    pub(crate) fn new(http: reqwest::Client, api: &str, portal: &str) -> Self {
        Self {
            http,
            api: api.to_owned(),
            portal: portal.to_owned(),
            cookies: Mutex::default(),
        }
    }

    pub(crate) async fn get(&self, url: &str) -> Answer {
        self.send(Method::GET, url, &[("accept", "text/html")])
            .await
    }

    pub(crate) async fn send(&self, method: Method, url: &str, headers: &[(&str, &str)]) -> Answer {
        let url = match (url.strip_prefix(GATEWAY), url.strip_prefix(PORTAL)) {
            (Some(path), _) => format!("{}{path}", self.api),
            (_, Some(path)) => format!("{}{path}", self.portal),
            _ => url.to_owned(),
        };
        let mut request = self.http.request(method, url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let cookies: Vec<String> = self
            .cookies
            .lock()
            .unwrap()
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if !cookies.is_empty() {
            request = request.header("cookie", cookies.join("; "));
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        for cookie in headers.get_all("set-cookie") {
            self.keep(cookie.to_str().unwrap());
        }
        Answer {
            status,
            headers,
            body: response.text().await.unwrap(),
        }
    }

    fn keep(&self, set_cookie: &str) {
        let (pair, attributes) = set_cookie.split_once(';').unwrap_or((set_cookie, ""));
        let (name, value) = pair.split_once('=').unwrap();
        let mut cookies = self.cookies.lock().unwrap();
        if attributes.contains("Max-Age=0") {
            cookies.remove(name);
        } else {
            cookies.insert(name.to_owned(), value.to_owned());
        }
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.lock().unwrap().get(name).cloned()
    }

    pub(crate) fn set_cookie(&self, name: &str, value: &str) {
        self.keep(&format!("{name}={value}"));
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    /// Where it sends the browser.
    pub(crate) fn location(&self) -> Url {
        assert!(
            self.status.is_redirection(),
            "{} {}",
            self.status,
            self.body
        );
        self.header("location").parse().unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }

    /// The outcome in the page at the end of a sign-in.
    pub(crate) fn outcome(&self) -> Value {
        let start = r#"<script type="application/json" id="outcome">"#;
        let (_, rest) = self
            .body
            .split_once(start)
            .expect("the page has an outcome");
        let (text, _) = rest.split_once("</script>").unwrap();
        serde_json::from_str(text).unwrap()
    }
}

/// A parameter of an address.
pub(crate) fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}
