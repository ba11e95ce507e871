//! A tenant's own OAuth clients of Genesys: sealed, shown masked, tried out at a stand-in.

use portal_sandbox::{Outage, Sandbox, SandboxConfig, seed};
use portal_types::TenantId;
use portal_vault::{Binding, Vault};
use reqwest::{Method, Response};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::world::{Admin, VAULT_KEYS, World, bad_fields, ok, refused, with_settings, with_world};

const PATH: &str = "/api/tenants/acme_corp/genesys/credentials";
const SECRET: &str = "canary-client-secret-wxyz";

async fn put(admin: &Admin<'_>, body: Value) -> Response {
    admin.send(Method::PUT, PATH, Some(body)).await
}

fn machine(id: &str, secret: &str, region: &str) -> Value {
    json!({"region": region, "client_id": id, "client_secret": secret,
           "grant_type": "client_credentials"})
}

#[tokio::test]
async fn the_secret_goes_in_and_only_a_service_can_open_it() {
    with_world(async |world| {
        let admin = world.admin().await;
        admin.two_tenants().await;
        assert_eq!(ok(admin.get(PATH).await, 200).await, json!({"credentials": []}));
        ok(put(&admin, machine("c-1", SECRET, "mypurecloud.de")).await, 200).await;
        let public = json!({"region": "mypurecloud.de", "client_id": "c-2",
                            "grant_type": "authorization_code"});
        let written = ok(put(&admin, public).await, 200).await;
        assert_eq!(ok(admin.get(PATH).await, 200).await, written);
        let all = written["credentials"].as_array().unwrap();
        let facts = |client: &Value| {
            json!([client["grant_type"], client["client_id"], client["client_secret"],
                   client["verified_at"], client["last_error"]])
        };
        let facts: Vec<_> = all.iter().map(facts).collect();
        assert_eq!(
            facts,
            [
                json!(["client_credentials", "c-1", "****wxyz", null, null]),
                json!(["authorization_code", "c-2", null, null, null])
            ]
        );
        world.assert_no_canary_in(&["tenant_credentials", "outbox_events", "audit_log"]);
        opens_for_its_tenant_alone(world).await;
        let told = "SELECT concat_ws(' ', payload->'data'->>'tenant_id', payload->'data'->>'region') \
                    FROM outbox_events WHERE routing_key = 'tenant.genesys_credentials.changed'";
        assert_eq!(world.db.query(told), ["acme_corp mypurecloud.de"; 2]);
        // Another tenant has none, neither to see nor to remove.
        let other = "/api/tenants/globex/genesys/credentials";
        assert_eq!(ok(admin.get(other).await, 200).await, json!({"credentials": []}));
        let remove = |path: &str| format!("{path}?grant_type=client_credentials");
        let code = "GENESYS_CREDENTIALS_NOT_FOUND";
        refused(admin.delete(&remove(other)).await, 404, code).await;
        let verify = format!("{other}/verify");
        refused(admin.send(Method::POST, &verify, None).await, 404, code).await;
        assert_eq!(admin.delete(&remove(PATH)).await.status(), 204);
        refused(admin.delete(&remove(PATH)).await, 404, code).await;
        let left = ok(admin.get(PATH).await, 200).await;
        assert_eq!(left["credentials"].as_array().unwrap().len(), 1);
        let audited = "SELECT concat_ws(' ', action, details->>'grant_type') FROM audit_log \
                       WHERE action LIKE 'tenant.genesys_cred%' ORDER BY audit_id";
        assert_eq!(
            world.db.query(audited),
            [
                "tenant.genesys_credentials.write client_credentials",
                "tenant.genesys_credentials.write authorization_code",
                "tenant.genesys_credentials.remove client_credentials"
            ]
        );
    })
    .await;
}

async fn opens_for_its_tenant_alone(world: &World) {
    let client = world.tenant_client();
    let tenant = TenantId::parse("acme_corp").unwrap();
    let profile = client.genesys_profile(&tenant).await.unwrap().unwrap();
    let sign_in = profile.sign_in_client.unwrap();
    assert_eq!(
        (sign_in.client_id.as_str(), &sign_in.sealed_client_secret),
        ("c-2", &None)
    );
    let sync = profile.sync_client.unwrap();
    assert_eq!(
        (sync.client_id.as_str(), sync.region.as_str()),
        ("c-1", "mypurecloud.de")
    );
    let vault = Vault::from_keys(&VAULT_KEYS.into(), "k1").unwrap();
    let place = |tenant_id| Binding {
        table: "tenant_credentials",
        column: "client_secret",
        tenant_id,
        row_id: &sync.credential_row_id,
    };
    let sealed = sync.sealed_client_secret.as_ref().unwrap();
    let secret = vault.open(&place("acme_corp"), sealed).unwrap();
    assert_eq!(secret.expose_secret(), SECRET);
    assert!(vault.open(&place("globex"), sealed).is_err());
}

#[tokio::test]
async fn every_bad_field_of_a_client_is_named() {
    with_world(async |world| {
        let admin = world.admin().await;
        admin.two_tenants().await;
        for (body, fields) in [
            (
                json!({"region": "mypurecloud.xx", "client_id": "", "grant_type": "password"}),
                vec!["client_id", "grant_type", "region"],
            ),
            (
                json!({"region": "mypurecloud.de", "client_id": "c", "client_secret": "short",
                       "grant_type": "authorization_code"}),
                vec!["client_secret"],
            ),
            (
                json!({"region": "mypurecloud.de", "client_id": "c",
                       "grant_type": "client_credentials"}),
                vec!["client_secret"],
            ),
        ] {
            assert_eq!(
                bad_fields(put(&admin, body.clone()).await).await,
                fields,
                "{body}"
            );
        }
        for query in ["", "?grant_type=password"] {
            let fields = bad_fields(admin.delete(&format!("{PATH}{query}")).await).await;
            assert_eq!(fields, ["grant_type"], "{query}");
        }
    })
    .await;
}

async fn verdicts(admin: &Admin<'_>) -> Vec<Value> {
    let answer = admin
        .send(Method::POST, &format!("{PATH}/verify"), None)
        .await;
    let answer = ok(answer, 200).await;
    answer["results"].as_array().unwrap().clone()
}

/// The code of the only verdict, and what is noted of it.
async fn verdict(admin: &Admin<'_>, body: Value) -> (String, bool, Value) {
    ok(put(admin, body).await, 200).await;
    let found = verdicts(admin).await;
    let [found] = found.as_slice() else {
        panic!("{found:?}")
    };
    let noted = ok(admin.get(PATH).await, 200).await["credentials"][0].clone();
    assert_eq!(found["ok"], noted["verified_at"].is_string(), "{noted}");
    let code = found["code"].as_str().unwrap().to_owned();
    (code, found["ok"] == true, noted["last_error"].clone())
}

#[tokio::test]
async fn genesys_is_asked_what_it_makes_of_a_client() {
    let sandbox = Sandbox::start(SandboxConfig::default()).unwrap();
    let base = sandbox.base_url();
    let settings = [
        ("GENESYS__HOSTS__SANDBOX__LOGIN_URL", base.as_str()),
        ("GENESYS__HOSTS__SANDBOX__API_URL", base.as_str()),
    ];
    with_settings(&settings, async |world| {
        let admin = world.admin().await;
        admin.two_tenants().await;
        let map = async |org: Value| {
            let path = "/api/tenants/acme_corp/genesys-org";
            let body = json!({"genesys_org_id": org});
            ok(admin.send(Method::PUT, path, Some(body)).await, 200).await;
        };
        let (id, secret) = (seed::ACME_CC_CLIENT_ID, seed::ACME_CC_CLIENT_SECRET);
        let good = machine(id, secret, "sandbox");
        let no = |code: &str| (code.to_owned(), false, json!(code));
        assert_eq!(
            verdict(&admin, good.clone()).await,
            no("ORGANIZATION_MISMATCH")
        );
        map(Value::Null).await;
        assert_eq!(
            verdict(&admin, good.clone()).await,
            no("ORGANIZATION_NOT_MAPPED")
        );
        map(json!(seed::ACME_ORG_ID)).await;
        assert_eq!(
            verdict(&admin, good.clone()).await,
            ("VERIFIED".to_owned(), true, Value::Null)
        );
        let found = verdicts(&admin).await;
        assert_eq!(found[0]["genesys_org_id"], seed::ACME_ORG_ID);

        sandbox.set_genesys_outage(Outage::Unavailable);
        assert_eq!(verdicts(&admin).await[0]["code"], "GENESYS_UNAVAILABLE");
        sandbox.set_genesys_outage(Outage::None);
        // When Genesys took it last stays known.
        let noted = ok(admin.get(PATH).await, 200).await["credentials"][0].clone();
        assert!(noted["verified_at"].is_string());
        assert_eq!(noted["last_error"], "GENESYS_UNAVAILABLE");

        let wrong = machine(id, "not-the-secret", "sandbox");
        assert_eq!(verdict(&admin, wrong).await, no("INVALID_CLIENT"));
        let (id, secret) = (
            seed::CONFIDENTIAL_CLIENT_ID,
            seed::CONFIDENTIAL_CLIENT_SECRET,
        );
        let other = machine(id, secret, "sandbox");
        assert_eq!(verdict(&admin, other).await, no("WRONG_GRANT"));
        assert_eq!(
            admin
                .delete(&format!("{PATH}?grant_type=client_credentials"))
                .await
                .status(),
            204
        );

        let code = |id: &str, secret: Option<&str>| {
            json!({"region": "sandbox", "client_id": id, "client_secret": secret,
                   "grant_type": "authorization_code"})
        };
        let yes = ("VERIFIED".to_owned(), true, Value::Null);
        assert_eq!(verdict(&admin, code(id, Some(secret))).await, yes);
        assert_eq!(
            verdict(&admin, code(id, Some("not-the-secret"))).await,
            no("INVALID_CLIENT")
        );
        assert_eq!(verdict(&admin, code(seed::PKCE_CLIENT_ID, None)).await, yes);
        assert_eq!(
            verdict(&admin, code("nobody", None)).await,
            no("INVALID_CLIENT")
        );
        let audited = "SELECT count(*)::text FROM audit_log \
                       WHERE action = 'tenant.genesys_credentials.verify' \
                       AND (outcome = 'succeeded') = (details->>'verdict' = 'VERIFIED')";
        assert_eq!(world.db.query(audited), ["11"]);
    })
    .await;
    sandbox.stop().await;
}
