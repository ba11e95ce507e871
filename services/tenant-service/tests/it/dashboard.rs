//! The dashboard's port: its page, what guards it, and the API beside it.

use reqwest::{Response, header};
use serde_json::{Value, json};

use crate::world::{World, with_world};

/// As the page's own scripts ask.
pub(crate) fn from_page(world: &World, path: &str, body: &Value) -> reqwest::RequestBuilder {
    let request = world.client.post(format!("{}{path}", world.dashboard()));
    request
        .header("origin", "http://localhost:3006")
        .header("sec-fetch-site", "same-origin")
        .header("x-portal-request", "1")
        .json(body)
}

async fn code(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap_or_default();
    let code = body["error"]["code"].as_str().unwrap_or_default();
    (status, code.to_owned())
}

#[tokio::test]
async fn the_page_runs_nothing_but_its_own_scripts() {
    with_world(async |world| {
        for path in [
            "/",
            "/login",
            "/tenants",
            "/tenants/acme_corp",
            "/import",
            "/audit",
            "/account",
        ] {
            let page = world.client.get(format!("{}{path}", world.dashboard()));
            let page = page.send().await.unwrap();
            assert_eq!(page.status(), 200, "{path}");
            let header = |name: &str| page.headers()[name].to_str().unwrap().to_owned();
            let policy = header("content-security-policy");
            for part in [
                "default-src 'none'",
                "script-src 'self'",
                "frame-ancestors 'none'",
            ] {
                assert!(policy.contains(part), "{policy}");
            }
            assert!(
                !policy.contains("unsafe") && !policy.contains('*'),
                "{policy}"
            );
            assert_eq!(
                header("cross-origin-opener-policy"),
                "same-origin-allow-popups"
            );
            assert_eq!(header("cache-control"), "no-store");
            assert!(!page.headers().contains_key(header::SET_COOKIE));
            let html = page.text().await.unwrap();
            for inline in ["<style", " style=", " onclick=", "<script>"] {
                assert!(!html.contains(inline), "{inline}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn assets_are_asked_for_again_and_not_sent_twice() {
    with_world(async |world| {
        let url = format!("{}/assets/views/tenant.js", world.dashboard());
        let first = world.client.get(&url).send().await.unwrap();
        assert_eq!(first.headers()[header::CONTENT_TYPE], "text/javascript");
        assert_eq!(first.headers()[header::CACHE_CONTROL], "no-cache");
        let etag = first.headers()[header::ETAG].clone();
        let again = world.client.get(&url).header(header::IF_NONE_MATCH, etag);
        assert_eq!(again.send().await.unwrap().status(), 304);
        for missing in ["views/none.js", "..%2findex.html", "../index.html"] {
            let url = format!("{}/assets/{missing}", world.dashboard());
            assert_eq!(
                world.client.get(&url).send().await.unwrap().status(),
                404,
                "{missing}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn the_api_is_on_the_pages_origin_with_its_own_guard_and_no_other_page_may_read_it() {
    with_world(async |world| {
        let url = format!("{}/api/tenants", world.dashboard());
        let nobody = world.client.get(&url).send().await.unwrap();
        assert_eq!(code(nobody).await, (401, "TOKEN_MISSING".to_owned()));
        let admin = world.admin().await;
        let list = world.client.get(&url).bearer_auth(&admin.token);
        let list = list
            .header("origin", "https://evil.example")
            .send()
            .await
            .unwrap();
        let allowed = list.headers().get("access-control-allow-origin");
        assert_eq!(allowed, None);
    })
    .await;
}

#[tokio::test]
async fn a_qr_code_is_drawn_for_the_page_alone() {
    with_world(async |world| {
        let body = json!({"text": "otpauth://totp/Agent%20Portal:ada?secret=JBSWY3DPEHPK3PXP"});
        let drawn = from_page(world, "/session/qr", &body).send().await.unwrap();
        assert_eq!(drawn.status(), 200);
        let drawn: Value = drawn.json().await.unwrap();
        let size = drawn["size"].as_u64().unwrap();
        assert_eq!((size - 17) % 4, 0, "{size}");
        let path = drawn["path"].as_str().unwrap();
        // The corner of every QR code: seven dark modules, then a light one.
        assert!(
            path.starts_with("M0 0h1v1h-1zM1 0")
                && path.contains("M6 0h")
                && !path.contains("M7 0h")
        );

        let long = json!({"text": "x".repeat(513)});
        let refused = from_page(world, "/session/qr", &long).send().await.unwrap();
        assert_eq!(code(refused).await, (400, "VALIDATION_FAILED".to_owned()));
        let url = format!("{}/session/qr", world.dashboard());
        let without = world
            .client
            .post(&url)
            .header("origin", "http://localhost:3006");
        let foreign = world.client.post(&url).header("x-portal-request", "1");
        let foreign = foreign.header("origin", "https://evil.example");
        for request in [without, foreign] {
            let refused = request.json(&body).send().await.unwrap();
            assert_eq!(code(refused).await, (403, "ORIGIN_NOT_ALLOWED".to_owned()));
        }
    })
    .await;
}
