//! Settings of a tenant, its map of roles, and what the service that signs people in gets of them.

use portal_tenant_client::RoleMapping;
use portal_types::TenantId;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::world::{Admin, bad_fields, ok, refused, with_world};

const MAP: &str = "/api/tenants/acme_corp/role-map";

async fn put_map(admin: &Admin<'_>, body: Value) -> Response {
    admin.send(Method::PUT, MAP, Some(body)).await
}

#[tokio::test]
async fn settings_are_changed_one_by_one_and_told() {
    with_world(async |world| {
        let admin = world.admin().await;
        admin.two_tenants().await;
        let settings = |tenant: &Value| {
            json!([
                tenant["rate_limit"],
                tenant["allow_trustees"],
                tenant["user_sync_minutes"]
            ])
        };
        for (body, expected) in [
            (json!({}), json!([null, false, null])),
            (json!({"rate_limit": 600}), json!([600, false, null])),
            (json!({"allow_trustees": true}), json!([600, true, null])),
            (json!({"user_sync_minutes": 0}), json!([600, true, 0])),
            (json!({"name": "Acme"}), json!([600, true, 0])),
            (
                json!({"rate_limit": null, "user_sync_minutes": null}),
                json!([null, true, null]),
            ),
        ] {
            let tenant = ok(admin.patch("acme_corp", body.clone()).await, 200).await;
            assert_eq!(settings(&tenant), expected, "{body}");
            let read = ok(admin.get("/api/tenants/acme_corp").await, 200).await;
            assert_eq!(settings(&read), expected, "{body}");
        }
        let other = ok(admin.get("/api/tenants/globex").await, 200).await;
        assert_eq!(settings(&other), json!([null, false, null]));
        let told = "SELECT payload->'data'->>'changed' FROM outbox_events \
                    WHERE routing_key = 'tenant.updated' ORDER BY event_id";
        assert_eq!(
            world.db.query(told),
            [
                r#"["rate_limit"]"#,
                r#"["allow_trustees"]"#,
                r#"["user_sync_minutes"]"#,
                r#"["name"]"#,
                r#"["rate_limit", "user_sync_minutes"]"#,
            ]
        );
        let bad = json!({"rate_limit": 0, "user_sync_minutes": 10_081, "allow_trustees": "yes"});
        let fields = bad_fields(admin.patch("acme_corp", bad).await).await;
        assert_eq!(fields, ["allow_trustees"]);
        let bad = json!({"rate_limit": 0, "user_sync_minutes": 10_081});
        let fields = bad_fields(admin.patch("acme_corp", bad).await).await;
        assert_eq!(fields, ["rate_limit", "user_sync_minutes"]);
    })
    .await;
}

#[tokio::test]
async fn a_map_of_roles_is_written_as_a_whole() {
    with_world(async |world| {
        let admin = world.admin().await;
        admin.two_tenants().await;
        let fresh = ok(admin.get(MAP).await, 200).await;
        assert_eq!(
            (&fresh["unmapped_role"], &fresh["mappings"]),
            (&json!("agent"), &json!([]))
        );
        let defaults = fresh["defaults"].as_array().unwrap();
        let supervisor = json!({"genesys_role": "Supervisor", "portal_role": "supervisor"});
        assert!(defaults.contains(&supervisor), "{fresh}");

        let first = json!([
            {"genesys_role": "Team Lead", "portal_role": "supervisor"},
            {"genesys_role": "Visitor", "portal_role": "none"},
        ]);
        let body = json!({"unmapped_role": "none", "mappings": first});
        let written = ok(put_map(&admin, body.clone()).await, 200).await;
        assert_eq!(
            (&written["unmapped_role"], &written["mappings"]),
            (&json!("none"), &first)
        );
        // The same again is no change; a shorter one takes the rest away.
        ok(put_map(&admin, body).await, 200).await;
        let second = json!([{"genesys_role": "Visitor", "portal_role": "agent"}]);
        let written = ok(put_map(&admin, json!({"mappings": second})).await, 200).await;
        assert_eq!(written["unmapped_role"], "none", "it stays");
        assert_eq!(ok(admin.get(MAP).await, 200).await, written);
        let other = ok(admin.get("/api/tenants/globex/role-map").await, 200).await;
        assert_eq!(other, fresh);

        let told = "SELECT payload->'data'->>'changed' FROM outbox_events \
                    WHERE routing_key = 'tenant.updated'";
        assert_eq!(world.db.query(told), [r#"["role_map"]"#; 2]);
        let audited = "SELECT count(*) FROM audit_log WHERE action = 'tenant.role_map.write'";
        assert_eq!(world.db.query(audited), ["2"]);
        refused(
            admin.get("/api/tenants/none/role-map").await,
            404,
            "TENANT_NOT_FOUND",
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn every_bad_mapping_is_named_by_its_place() {
    with_world(async |world| {
        let admin = world.admin().await;
        admin.two_tenants().await;
        let body = json!({"unmapped_role": "guest", "mappings": [
            {"genesys_role": "Lead", "portal_role": "owner"},
            {"genesys_role": " ", "portal_role": "agent"},
            {"genesys_role": "LEAD", "portal_role": "agent"},
        ]});
        assert_eq!(
            bad_fields(put_map(&admin, body).await).await,
            [
                "mappings[0].portal_role",
                "mappings[1].genesys_role",
                "mappings[2].genesys_role",
                "unmapped_role"
            ]
        );
        let many = |count: usize| {
            let mapping = |n| json!({"genesys_role": format!("role {n}"), "portal_role": "agent"});
            json!({"mappings": (0..count).map(mapping).collect::<Vec<_>>()})
        };
        assert_eq!(
            bad_fields(put_map(&admin, many(201)).await).await,
            ["mappings"]
        );
        ok(put_map(&admin, many(200)).await, 200).await;
    })
    .await;
}

#[tokio::test]
async fn who_signs_people_in_gets_the_whole_profile() {
    with_world(async |world| {
        let admin = world.admin().await;
        admin.two_tenants().await;
        let changes = json!({"allow_trustees": true, "user_sync_minutes": 30});
        ok(admin.patch("acme_corp", changes).await, 200).await;
        let mappings = json!([{"genesys_role": "Lead", "portal_role": "supervisor"}]);
        let map = json!({"unmapped_role": "none", "mappings": mappings});
        ok(put_map(&admin, map).await, 200).await;
        let client = world.tenant_client();
        let tenant = |id| TenantId::parse(id).unwrap();
        let acme = client
            .genesys_profile(&tenant("acme_corp"))
            .await
            .unwrap()
            .unwrap();
        assert!(acme.status.is_active() && acme.allow_trustees);
        assert_eq!(acme.genesys_org_id.as_deref(), Some("org-acme"));
        assert_eq!(acme.genesys_region.as_deref(), Some("mypurecloud.com"));
        assert_eq!(
            (acme.unmapped_role.as_str(), acme.user_sync_minutes),
            ("none", Some(30))
        );
        let lead = RoleMapping {
            genesys_role: "Lead".to_owned(),
            portal_role: "supervisor".to_owned(),
        };
        assert_eq!(acme.role_mappings, [lead]);
        assert!(acme.sign_in_client.is_none() && acme.sync_client.is_none());
        let globex = client
            .genesys_profile(&tenant("globex"))
            .await
            .unwrap()
            .unwrap();
        assert!(globex.role_mappings.is_empty() && !globex.allow_trustees);
        assert!(
            client
                .genesys_profile(&tenant("none"))
                .await
                .unwrap()
                .is_none()
        );

        // The limit of a tenant goes to who sends for it.
        ok(
            admin.patch("acme_corp", json!({"rate_limit": 600})).await,
            200,
        )
        .await;
        let sending = client.sending_profile(&tenant("acme_corp")).await.unwrap();
        assert_eq!(sending.unwrap().rate_limit, Some(600));
    })
    .await;
}
