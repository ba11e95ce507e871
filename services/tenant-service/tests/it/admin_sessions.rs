//! Sessions of platform administrators: refreshed, listed, ended.

use futures_util::future::join_all;
use portal_test_harness::eventually;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::world::{Admin, PASSWORD, World, bad_fields, ok, refused, with_world};

async fn refresh(world: &World, token: &str) -> Response {
    let body = json!({"refreshToken": token});
    let request = world.post("/api/admin/auth/refresh").json(&body);
    request.send().await.unwrap()
}

async fn signed_in(world: &World) -> (Admin<'_>, String) {
    let body = ok(world.sign_in(PASSWORD, None).await, 200).await;
    let admin = Admin {
        world,
        token: text(&body["accessToken"]),
    };
    (admin, text(&body["refreshToken"]))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

async fn works(admin: &Admin<'_>) {
    ok(admin.get("/api/tenants").await, 200).await;
}

async fn is_out(admin: &Admin<'_>) {
    refused(admin.get("/api/tenants").await, 401, "TOKEN_REVOKED").await;
}

#[tokio::test]
async fn fifty_refreshes_at_once_leave_one_live_family() {
    with_world(async |world| {
        let (_, first) = signed_in(world).await;
        let answers = join_all((0..50).map(|_| refresh(world, &first))).await;
        let mut tokens = Vec::new();
        for answer in answers {
            tokens.push(text(&ok(answer, 200).await["refreshToken"]));
        }
        tokens.dedup();
        assert_eq!(tokens.len(), 1, "all get the same successor");
        assert!(tokens[0].starts_with("rta_"));
        let next = ok(refresh(world, &tokens[0]).await, 200).await;
        let admin = Admin {
            world,
            token: text(&next["accessToken"]),
        };
        works(&admin).await;
        let stored = "SELECT count(*) FROM platform_admin_sessions s WHERE s::text LIKE '%rta\\_%'";
        assert_eq!(world.db.query(stored), ["0"]);

        // The first is two generations old: somebody has a copy.
        refused(refresh(world, &first).await, 401, "REFRESH_TOKEN_REUSED").await;
        is_out(&admin).await;
        let newest = text(&next["refreshToken"]);
        refused(refresh(world, &newest).await, 401, "SESSION_REVOKED").await;
        let entry = "SELECT concat_ws(' ', action, outcome, details->>'reason') FROM audit_log \
                     WHERE action <> 'admin.login'";
        assert_eq!(
            world.db.query(entry),
            ["admin.refresh refused token_reused"]
        );
    })
    .await;
}

#[tokio::test]
async fn the_grace_is_short_and_sessions_end_by_time() {
    with_world(async |world| {
        let (_, first) = signed_in(world).await;
        ok(refresh(world, &first).await, 200).await;
        let earlier =
            "UPDATE platform_admin_sessions SET rotated_at = rotated_at - interval '11 s'";
        world.db.execute(earlier);
        refused(refresh(world, &first).await, 401, "REFRESH_TOKEN_REUSED").await;

        for column in ["idle_expires_at", "expires_at"] {
            let (admin, token) = signed_in(world).await;
            world.db.execute(&format!(
                "UPDATE platform_admin_sessions SET {column} = now() - interval '1 second'"
            ));
            refused(refresh(world, &token).await, 401, "SESSION_EXPIRED").await;
            is_out(&admin).await;
        }
        let lives = "SELECT extract(epoch FROM idle_expires_at - created_at)::int || ' ' || \
                     extract(epoch FROM expires_at - created_at)::int \
                     FROM platform_admin_sessions ORDER BY created_at DESC LIMIT 1";
        signed_in(world).await;
        assert_eq!(world.db.query(lives), ["3600 43200"]);
    })
    .await;
}

#[tokio::test]
async fn what_is_no_refresh_token_ends_nothing() {
    with_world(async |world| {
        let (admin, token) = signed_in(world).await;
        let (session, _) = token.split_once('.').unwrap();
        let forged = format!("{session}.{}", "A".repeat(64));
        for bad in ["x", "rta_", &forged, &"r".repeat(3_000), &admin.token] {
            refused(refresh(world, bad).await, 401, "REFRESH_TOKEN_INVALID").await;
        }
        let wrong = world
            .post("/api/admin/auth/refresh")
            .json(&json!({"refresh_token": token}));
        let fields = bad_fields(wrong.send().await.unwrap()).await;
        assert!(fields.contains(&"refreshToken".to_owned()), "{fields:?}");
        works(&admin).await;
        ok(refresh(world, &token).await, 200).await;
    })
    .await;
}

#[tokio::test]
async fn sessions_are_listed_and_ended_by_their_owner_alone() {
    with_world(async |world| {
        let (here, _) = signed_in(world).await;
        let (there, _) = signed_in(world).await;
        let list = ok(here.get("/api/admin/auth/sessions").await, 200).await;
        assert_eq!(list["total"], 2);
        let of = |is_current: bool| {
            let sessions = list["sessions"].as_array().unwrap();
            let found = sessions.iter().find(|s| s["is_current"] == is_current);
            text(&found.unwrap()["session_id"])
        };
        // Of somebody else, and of nobody.
        world.db.execute(
            "INSERT INTO platform_admins (admin_id, email, name, password_hash) \
                 VALUES ('0199f000-0000-7000-8000-00000000ad02', 'b@example.com', 'Bob', 'x'); \
             INSERT INTO platform_admin_sessions \
                 (session_id, admin_id, refresh_token_hash, idle_expires_at, expires_at) \
             VALUES ('0199f000-0000-7000-8000-00000000ad03', \
                 '0199f000-0000-7000-8000-00000000ad02', '\\x01', now() + '1h', now() + '1h')",
        );
        for foreign in [
            "0199f000-0000-7000-8000-00000000ad03",
            "0199f000-0000-7000-8000-00000000ad04",
        ] {
            let path = format!("/api/admin/auth/sessions/{foreign}");
            refused(here.delete(&path).await, 404, "SESSION_NOT_FOUND").await;
        }
        let bad = here.delete("/api/admin/auth/sessions/x").await;
        assert_eq!(bad_fields(bad).await, ["session_id"]);

        let path = format!("/api/admin/auth/sessions/{}", of(false));
        ok(here.delete(&path).await, 200).await;
        is_out(&there).await;
        works(&here).await;
        refused(here.delete(&path).await, 404, "SESSION_NOT_FOUND").await;

        let (other, token) = signed_in(world).await;
        let out = other
            .send(Method::POST, "/api/admin/auth/logout", None)
            .await;
        ok(out, 200).await;
        is_out(&other).await;
        refused(refresh(world, &token).await, 401, "SESSION_REVOKED").await;
        works(&here).await;
        let (third, _) = signed_in(world).await;
        let all = third
            .send(Method::POST, "/api/admin/auth/logout-all", None)
            .await;
        assert_eq!(ok(all, 200).await["sessionCount"], 2);
        is_out(&here).await;
        is_out(&third).await;
        let bobs =
            "SELECT revoked_at FROM platform_admin_sessions WHERE refresh_token_hash = '\\x01'";
        assert_eq!(world.db.query(bobs), [""]);
    })
    .await;
}

#[tokio::test]
async fn a_deactivated_administrator_is_out_at_once() {
    with_world(async |world| {
        let (admin, token) = signed_in(world).await;
        world
            .db
            .execute("UPDATE platform_admins SET is_active = false");
        is_out(&admin).await;
        refused(refresh(world, &token).await, 401, "SESSION_REVOKED").await;
    })
    .await;
}

#[tokio::test]
async fn a_new_password_is_chosen_by_its_owner_and_ends_other_sessions() {
    const NEW: &str = "staple battery 7 horse";
    with_world(async |world| {
        let (here, _) = signed_in(world).await;
        let (there, _) = signed_in(world).await;
        let change = async |current: &str, new: &str| {
            let body = json!({"current_password": current, "new_password": new});
            here.send(Method::POST, "/api/admin/me/password", Some(body))
                .await
        };
        for bad in [
            "short",
            "passwordpassword",
            &"x".repeat(300),
            "aaaaaaaaaaaaaaaaaaaa",
        ] {
            assert_eq!(
                bad_fields(change(PASSWORD, bad).await).await,
                ["new_password"]
            );
        }
        refused(change("wrong", NEW).await, 401, "INVALID_CREDENTIALS").await;
        let failures = "SELECT failed_logins FROM platform_admins";
        assert_eq!(world.db.query(failures), ["1"]);
        works(&there).await;

        assert_eq!(
            ok(change(PASSWORD, NEW).await, 200).await["sessionCount"],
            1
        );
        works(&here).await;
        is_out(&there).await;
        refused(
            world.sign_in(PASSWORD, None).await,
            401,
            "INVALID_CREDENTIALS",
        )
        .await;
        ok(world.sign_in(NEW, None).await, 200).await;
        let entries =
            "SELECT outcome FROM audit_log WHERE action = 'admin.password_change' ORDER BY seq";
        assert_eq!(world.db.query(entries), ["refused", "succeeded"]);
        let leaks = "SELECT count(*) FROM audit_log a WHERE a::text LIKE '%staple%'";
        assert_eq!(world.db.query(leaks), ["0"]);
    })
    .await;
}

#[tokio::test]
async fn sessions_that_were_over_long_ago_are_forgotten() {
    with_world(async |world| {
        signed_in(world).await;
        let old = "INSERT INTO platform_admin_sessions \
                       (session_id, admin_id, refresh_token_hash, idle_expires_at, expires_at) \
                   SELECT gen_random_uuid(), admin_id, sha256(days::text::bytea), \
                       now() - days * interval '1 day', now() - days * interval '1 day' \
                   FROM platform_admins, unnest(ARRAY[1, 29, 31, 400]) days";
        world.db.execute(old);
        world.start_replica(&[]).await;
        eventually("old sessions are gone", async || {
            let count = "SELECT count(*) FROM platform_admin_sessions";
            (world.db.query(count) == ["3"]).then_some(())
        })
        .await;
    })
    .await;
}
