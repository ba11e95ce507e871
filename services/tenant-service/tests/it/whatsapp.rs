//! WhatsApp configurations: written, shown masked, sealed at rest, handed to services.

use portal_types::TenantId;
use portal_vault::{Binding, Vault};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::world::{
    SERVICE_KEY, VAULT_KEYS, World, bad_fields, ok, refused, whatsapp_body, with_world,
};

const PATH: &str = "/api/tenants/acme_corp/whatsapp";
const PROFILE: &str = "/api/tenants/acme_corp/sending-profile";

async fn profile(world: &World, path: &str) -> Value {
    ok(
        world
            .get(path)
            .bearer_auth(SERVICE_KEY)
            .send()
            .await
            .unwrap(),
        200,
    )
    .await
}

#[tokio::test]
async fn the_token_goes_in_and_never_comes_out() {
    with_world(async |world| {
        let admin = world.admin().await;
        admin.two_tenants().await;
        refused(admin.get(PATH).await, 404, "WHATSAPP_CONFIG_NOT_FOUND").await;
        let written = ok(admin.put_whatsapp("acme_corp", whatsapp_body(1)).await, 200).await;
        assert_eq!(written["access_token"], "****wxy1");
        assert_eq!(written["display_phone_number"], "+14155550101");
        assert_eq!(written["token_status"], "unknown");
        let shown = ok(admin.get(PATH).await, 200).await;
        assert_eq!(shown, written);
        assert_eq!(
            ok(admin.get("/api/tenants/acme_corp").await, 200).await["whatsapp_configured"],
            true
        );

        // Nowhere in the database: rows, events, audit.
        world.assert_no_canary_in(&["tenant_whatsapp_config", "outbox_events", "audit_log"]);
        assert!(!shown.to_string().contains("canary"));
        assert!(!profile(world, PROFILE).await.to_string().contains("canary"));
    })
    .await;
}

#[tokio::test]
async fn a_service_can_open_what_it_is_given() {
    with_world(async |world| {
        let admin = world.admin().await;
        admin.two_tenants().await;
        ok(admin.put_whatsapp("acme_corp", whatsapp_body(1)).await, 200).await;

        let client = world.tenant_client();
        let tenant = TenantId::parse("acme_corp").unwrap();
        let profile = client.sending_profile(&tenant).await.unwrap().unwrap();
        let whatsapp = profile.whatsapp.unwrap();
        let vault = Vault::from_keys(&VAULT_KEYS.into(), "k1").unwrap();
        let place = |tenant_id| Binding {
            table: "tenant_whatsapp_config",
            column: "access_token",
            tenant_id,
            row_id: &whatsapp.credential_row_id,
        };
        let token = vault
            .open(&place("acme_corp"), &whatsapp.sealed_access_token)
            .unwrap();
        assert_eq!(
            token.expose_secret(),
            whatsapp_body(1)["access_token"].as_str().unwrap()
        );
        assert!(
            vault
                .open(&place("globex"), &whatsapp.sealed_access_token)
                .is_err()
        );

        let record = client.by_genesys_org("org-acme").await.unwrap().unwrap();
        assert_eq!(record.tenant_id, tenant);
        assert!(client.by_genesys_org("unknown").await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn the_sending_profile_has_its_shape_and_says_the_status() {
    with_world(async |world| {
        let admin = world.admin().await;
        admin.two_tenants().await;
        let bare = profile(world, PROFILE).await;
        assert_eq!(
            bare,
            json!({"tenant_id": "acme_corp", "name": "Acme Corp", "status": "active",
                   "genesys_org_id": "org-acme", "genesys_region": "mypurecloud.com",
                   "rate_limit": null, "whatsapp": null})
        );
        ok(admin.put_whatsapp("acme_corp", whatsapp_body(1)).await, 200).await;
        let mut full = profile(world, PROFILE).await["whatsapp"].clone();
        for key in ["sealed_access_token", "credential_row_id", "created_at"] {
            assert!(
                full.as_object_mut()
                    .unwrap()
                    .remove(key)
                    .unwrap()
                    .is_string(),
                "{key}"
            );
        }
        assert_eq!(
            full,
            json!({"waba_id": "102290129340001", "phone_number_id": "106540329870001",
                   "display_phone_number": "+14155550101", "quality_rating": null,
                   "messaging_limit": null, "token_status": "unknown"})
        );
        ok(
            admin
                .patch("acme_corp", json!({"status": "suspended"}))
                .await,
            200,
        )
        .await;
        assert_eq!(profile(world, PROFILE).await["status"], "suspended");
        admin.delete("/api/tenants/acme_corp").await;
        assert_eq!(profile(world, PROFILE).await["status"], "deleted");

        let nobody = world
            .get("/api/tenants/nobody/sending-profile")
            .bearer_auth(SERVICE_KEY);
        refused(nobody.send().await.unwrap(), 404, "TENANT_NOT_FOUND").await;
        refused(admin.get(PROFILE).await, 403, "FORBIDDEN").await;
        refused(
            world.get(PROFILE).send().await.unwrap(),
            401,
            "TOKEN_MISSING",
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn writing_again_replaces_token_and_number_in_the_same_row() {
    with_world(async |world| {
        let admin = world.admin().await;
        admin.two_tenants().await;
        let first = ok(admin.put_whatsapp("acme_corp", whatsapp_body(1)).await, 200).await;
        let row = profile(world, PROFILE).await["whatsapp"]["credential_row_id"].clone();
        world.db.execute(
            "UPDATE tenant_whatsapp_config SET token_status = 'invalid', token_error_code = 190;
             UPDATE tenant_whatsapp_numbers SET quality_rating = 'GREEN'",
        );
        let mut same_number = whatsapp_body(2);
        same_number["phone_number_id"] = first["phone_number_id"].clone();
        let second = ok(admin.put_whatsapp("acme_corp", same_number).await, 200).await;
        assert_eq!(
            second["token_status"], "unknown",
            "a new token has not been tried"
        );
        assert_eq!(second["token_error_code"], Value::Null);
        assert_eq!(second["quality_rating"], "GREEN", "the number is the same");
        assert_eq!(second["access_token"], "****wxy2");
        assert_eq!(second["created_at"], first["created_at"]);

        let third = ok(admin.put_whatsapp("acme_corp", whatsapp_body(3)).await, 200).await;
        assert_eq!(
            third["quality_rating"],
            Value::Null,
            "the number is another"
        );
        assert_eq!(
            profile(world, PROFILE).await["whatsapp"]["credential_row_id"],
            row
        );
        assert_eq!(
            world
                .db
                .query("SELECT count(*) FROM tenant_whatsapp_numbers"),
            ["1"]
        );
    })
    .await;
}

#[tokio::test]
async fn accounts_and_numbers_belong_to_one_tenant() {
    with_world(async |world| {
        let admin = world.admin().await;
        admin.two_tenants().await;
        ok(admin.put_whatsapp("acme_corp", whatsapp_body(1)).await, 200).await;
        refused(
            admin.put_whatsapp("globex", whatsapp_body(1)).await,
            409,
            "WABA_TAKEN",
        )
        .await;
        let mut number = whatsapp_body(2);
        number["phone_number_id"] = whatsapp_body(1)["phone_number_id"].clone();
        refused(
            admin.put_whatsapp("globex", number).await,
            409,
            "PHONE_NUMBER_TAKEN",
        )
        .await;
        let globex = "SELECT count(*) FROM tenant_whatsapp_config WHERE tenant_id = 'globex'";
        assert_eq!(world.db.query(globex), ["0"], "nothing is half written");
        // A deleted tenant gives its account back.
        admin.delete("/api/tenants/acme_corp").await;
        let deleted = admin.put_whatsapp("acme_corp", whatsapp_body(1)).await;
        refused(deleted, 409, "TENANT_DELETED").await;
        assert_eq!(admin.delete(PATH).await.status(), 204);
        ok(admin.put_whatsapp("globex", whatsapp_body(1)).await, 200).await;
    })
    .await;
}

#[tokio::test]
async fn removing_ends_it_and_is_told() {
    with_world(async |world| {
        let admin = world.admin().await;
        admin.two_tenants().await;
        ok(admin.put_whatsapp("acme_corp", whatsapp_body(1)).await, 200).await;
        assert_eq!(admin.delete(PATH).await.status(), 204);
        refused(admin.delete(PATH).await, 404, "WHATSAPP_CONFIG_NOT_FOUND").await;
        refused(admin.get(PATH).await, 404, "WHATSAPP_CONFIG_NOT_FOUND").await;
        let nobody = "/api/tenants/nobody/whatsapp";
        refused(admin.get(nobody).await, 404, "TENANT_NOT_FOUND").await;
        refused(admin.delete(nobody).await, 404, "TENANT_NOT_FOUND").await;
        let events = "SELECT concat_ws(' ', routing_key, payload->'data'->>'waba_id', \
                      payload->'data'->>'display_phone_number') FROM outbox_events \
                      WHERE routing_key LIKE 'tenant.whatsapp.%' ORDER BY seq";
        assert_eq!(
            world.db.query(events),
            [
                "tenant.whatsapp.configured 102290129340001 +14155550101",
                "tenant.whatsapp.removed 102290129340001 +14155550101"
            ]
        );
        assert_eq!(
            world
                .db
                .query("SELECT count(*) FROM tenant_whatsapp_numbers"),
            ["0"]
        );
    })
    .await;
}

#[tokio::test]
async fn bad_configurations_list_every_field() {
    with_world(async |world| {
        let admin = world.admin().await;
        admin.two_tenants().await;
        let body = json!({"waba_id": "", "phone_number_id": "1 2", "display_phone_number": "12",
                          "access_token": "s p a c e s", "business_id": "/"});
        assert_eq!(
            bad_fields(admin.put_whatsapp("acme_corp", body).await).await,
            [
                "access_token",
                "business_id",
                "display_phone_number",
                "phone_number_id",
                "waba_id"
            ]
        );
        let response = admin
            .put_whatsapp("acme_corp", json!({"access_token": 7, "pins": "1"}))
            .await;
        assert_eq!(
            bad_fields(response).await,
            [
                "access_token",
                "display_phone_number",
                "phone_number_id",
                "pins",
                "waba_id"
            ]
        );
        let nobody = admin.put_whatsapp("nobody", whatsapp_body(1)).await;
        refused(nobody, 404, "TENANT_NOT_FOUND").await;
        assert_eq!(
            world
                .db
                .query("SELECT count(*) FROM tenant_whatsapp_config"),
            ["0"]
        );
    })
    .await;
}
