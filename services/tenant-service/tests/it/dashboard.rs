//! The dashboard's port: its page, what guards it, and the API beside it.

use reqwest::{Response, header};
use serde_json::{Value, json};

use crate::world::{ADMIN_EMAIL, PASSWORD, World, with_world};

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

fn set_cookie(response: &Response) -> String {
    let cookie = &response.headers()[header::SET_COOKIE];
    cookie.to_str().unwrap().to_owned()
}

async fn with_cookie(world: &World, path: &str, cookie: &str) -> Response {
    let request = from_page(world, path, &json!({}));
    request.header("cookie", cookie).send().await.unwrap()
}

#[tokio::test]
async fn the_refresh_token_stays_in_a_cookie_and_the_page_gets_access_tokens() {
    with_world(async |world| {
        let credentials = json!({"email": ADMIN_EMAIL, "password": PASSWORD});
        let signed_in = from_page(world, "/session/login", &credentials);
        let signed_in = signed_in.send().await.unwrap();
        assert_eq!(signed_in.status(), 200);
        let cookie = set_cookie(&signed_in);
        let (pair, attributes) = cookie.split_once("; ").unwrap();
        assert!(pair.starts_with("__Host-ap_admin="), "the name is guarded");
        assert_eq!(
            attributes,
            "HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=43200"
        );
        let body: Value = signed_in.json().await.unwrap();
        let secret = pair.split_once('=').unwrap().1;
        assert!(
            !body.to_string().contains(secret),
            "the page gets no refresh token"
        );
        let email = body["admin"]["email"].as_str().unwrap();
        assert!(email.eq_ignore_ascii_case(ADMIN_EMAIL), "{email}");

        let refreshed = with_cookie(world, "/session/refresh", pair).await;
        assert_eq!(refreshed.status(), 200);
        let next = set_cookie(&refreshed);
        let next = next.split(';').next().unwrap().to_owned();
        assert_ne!(next, pair, "a refresh token is used once");
        let body: Value = refreshed.json().await.unwrap();
        let token = body["accessToken"].as_str().unwrap();
        let me = world.get("/api/admin/me").bearer_auth(token);
        assert_eq!(me.send().await.unwrap().status(), 200);

        let ended = with_cookie(world, "/session/logout", &next).await;
        assert_eq!(ended.status(), 200);
        assert!(set_cookie(&ended).contains("Max-Age=0"));
        let over = with_cookie(world, "/session/refresh", &next).await;
        assert!(
            set_cookie(&over).contains("Max-Age=0"),
            "a dead session's cookie goes"
        );
        assert_eq!(over.status(), 401);
        let me = world.get("/api/admin/me").bearer_auth(token);
        assert_eq!(
            code(me.send().await.unwrap()).await,
            (401, "TOKEN_REVOKED".to_owned())
        );
    })
    .await;
}

#[tokio::test]
async fn only_the_page_itself_may_use_its_session() {
    with_world(async |world| {
        let credentials = json!({"email": ADMIN_EMAIL, "password": PASSWORD});
        let signed_in = from_page(world, "/session/login", &credentials);
        let cookie = set_cookie(&signed_in.send().await.unwrap());
        let pair = cookie.split(';').next().unwrap();
        for path in ["/session/login", "/session/refresh", "/session/logout"] {
            let headers = [
                [
                    ("origin", "https://evil.example"),
                    ("x-portal-request", "1"),
                ]
                .as_slice(),
                &[("origin", "http://localhost:3006")],
                &[("x-portal-request", "1")],
                &[
                    ("origin", "http://localhost:3006"),
                    ("x-portal-request", "1"),
                    ("sec-fetch-site", "same-site"),
                ],
            ];
            for headers in headers {
                let url = format!("{}{path}", world.dashboard());
                let request = world.client.post(url).json(&credentials);
                let request = headers.iter().fold(request, |request, (name, value)| {
                    request.header(*name, *value)
                });
                let refused = request.header("cookie", pair).send().await.unwrap();
                assert!(!refused.headers().contains_key(header::SET_COOKIE));
                let refused = code(refused).await;
                assert_eq!(refused, (403, "ORIGIN_NOT_ALLOWED".to_owned()), "{path}");
            }
        }
        assert_eq!(
            with_cookie(world, "/session/refresh", pair).await.status(),
            200
        );
        let nobody = from_page(world, "/session/refresh", &json!({}));
        let nobody = code(nobody.send().await.unwrap()).await;
        assert_eq!(nobody, (401, "SESSION_MISSING".to_owned()));
    })
    .await;
}
