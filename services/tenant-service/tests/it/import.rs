//! A file of organizations: all of it or nothing.

use reqwest::{Response, header};
use serde_json::{Value, json};

use crate::world::{Admin, World, bad_fields, ok, refused, with_world};

const HEADER: &str = "tenant_id,genesys_org_id\n";

async fn import(admin: &Admin<'_>, query: &str, file: impl Into<Vec<u8>>) -> Response {
    let path = format!("/api/tenants/import{query}");
    let request = admin.world.post(&path).bearer_auth(&admin.token);
    let request = request.header(header::CONTENT_TYPE, "text/csv; charset=utf-8");
    request.body(file.into()).send().await.unwrap()
}

/// Three tenants: two with organizations of their own, one without.
async fn three_tenants(admin: &Admin<'_>) {
    admin.two_tenants().await;
    let body = json!({"tenant_id": "initech", "name": "Initech"});
    ok(admin.create(body).await, 201).await;
}

fn orgs(world: &World) -> Vec<String> {
    let sql = "SELECT concat_ws('=', tenant_id, genesys_org_id) FROM tenants ORDER BY tenant_id";
    world.db.query(sql)
}

fn events(world: &World) -> Vec<String> {
    let sql = "SELECT concat_ws(' ', tenant_id, payload->'data'->>'previous', \
               payload->'data'->>'genesys_org_id') FROM outbox_events \
               WHERE routing_key = 'tenant.genesys_org.mapped' ORDER BY event_id DESC LIMIT 3";
    let mut found = world.db.query(sql);
    found.sort();
    found
}

fn results(report: &Value) -> Vec<String> {
    let rows = report["rows"].as_array().unwrap().iter();
    rows.map(|row| {
        let code = row["code"].as_str().unwrap_or_default();
        let result = row["result"].as_str().unwrap();
        format!("{} {result} {code}", row["line"]).trim().to_owned()
    })
    .collect()
}

#[tokio::test]
async fn tenants_of_a_file_may_swap_their_organizations() {
    with_world(async |world| {
        let admin = world.admin().await;
        three_tenants(&admin).await;
        let file =
            format!("\u{feff}{HEADER}acme_corp,org-globex\r\nglobex,org-acme\r\ninitech,org-3");
        let before = orgs(world);
        let rehearsal = ok(import(&admin, "?dry_run=true", file.clone()).await, 200).await;
        assert_eq!(
            (
                &rehearsal["applied"],
                &rehearsal["dry_run"],
                &rehearsal["set"]
            ),
            (&json!(false), &json!(true), &json!(3))
        );
        assert_eq!(orgs(world), before);

        let report = ok(import(&admin, "", file.clone()).await, 200).await;
        assert_eq!(results(&report), ["2 set", "3 set", "4 set"]);
        assert_eq!(report["rows"][0]["tenant_id"], "acme_corp");
        assert_eq!(
            (&report["applied"], &report["total"], &report["errors"]),
            (&json!(true), &json!(3), &json!(0))
        );
        let after = ["acme_corp=org-globex", "globex=org-acme", "initech=org-3"];
        assert_eq!(orgs(world), after);
        assert_eq!(
            events(world),
            [
                "acme_corp org-acme org-globex",
                "globex org-globex org-acme",
                "initech org-3"
            ]
        );
        let audited = "SELECT concat_ws(' ', tenant_id, target, actor_kind) FROM audit_log \
                       WHERE action = 'tenant.map_genesys_org' ORDER BY tenant_id";
        let entry = |tenant| format!("{tenant} {tenant} platform_admin");
        assert_eq!(
            world.db.query(audited),
            ["acme_corp", "globex", "initech"].map(entry)
        );

        // The same again changes nothing and tells nothing.
        let again = ok(import(&admin, "", file).await, 200).await;
        assert_eq!(again["unchanged"], 3);
        assert_eq!(world.db.query(audited).len(), 3);
        let found = world.get("/api/tenants/by-genesys-org/org-globex");
        let found = ok(found.send().await.unwrap(), 200).await;
        assert_eq!(found["tenant_id"], "acme_corp");
    })
    .await;
}

#[tokio::test]
async fn one_bad_row_stops_the_whole_file_and_every_row_is_reported() {
    with_world(async |world| {
        let admin = world.admin().await;
        three_tenants(&admin).await;
        let before = orgs(world);
        let file =
            format!("{HEADER}initech,org-3\nacme_corp,org-acme\nnobody,org-4\ninitech,org-5\n");
        let expected = [
            "2 set",
            "3 unchanged",
            "4 unknown_tenant TENANT_NOT_FOUND",
            "5 conflict TENANT_DUPLICATE",
        ];
        let error = refused(
            import(&admin, "", file.clone()).await,
            400,
            "IMPORT_REJECTED",
        )
        .await;
        let report = &error["details"];
        assert_eq!(results(report), expected);
        assert_eq!(
            json!([
                report["applied"],
                report["total"],
                report["set"],
                report["unchanged"],
                report["errors"]
            ]),
            json!([false, 4, 1, 1, 2])
        );
        let rehearsal = ok(import(&admin, "?dry_run=true", file).await, 200).await;
        assert_eq!(results(&rehearsal), expected);

        // An organization of a tenant that the file does not name, also of a deleted one.
        assert_eq!(admin.delete("/api/tenants/globex").await.status(), 204);
        let file = format!("{HEADER}initech,org-globex\n");
        let error = refused(import(&admin, "", file).await, 400, "IMPORT_REJECTED").await;
        assert_eq!(results(&error["details"]), ["2 conflict GENESYS_ORG_TAKEN"]);
        assert_eq!(orgs(world), before);
        let told = "SELECT count(*) FROM audit_log WHERE action = 'tenant.map_genesys_org'";
        assert_eq!(world.db.query(told), ["0"]);
    })
    .await;
}

#[tokio::test]
async fn a_body_that_is_no_such_file_is_refused() {
    with_world(async |world| {
        let admin = world.admin().await;
        three_tenants(&admin).await;
        for file in [
            Vec::new(),
            b"initech,org-3\n".to_vec(),
            HEADER.as_bytes().to_vec(),
            [HEADER.as_bytes(), b"initech,\xff\n"].concat(),
            (HEADER.to_owned() + &"a,b\n".repeat(10_001)).into_bytes(),
        ] {
            assert_eq!(bad_fields(import(&admin, "", file).await).await, ["body"]);
        }
        let large = HEADER.to_owned() + &" ".repeat(1024 * 1024);
        refused(import(&admin, "", large).await, 413, "BODY_TOO_LARGE").await;
        let body = Some(json!({}));
        let json = admin.send(reqwest::Method::POST, "/api/tenants/import", body);
        refused(json.await, 415, "UNSUPPORTED_MEDIA_TYPE").await;
        let fields = bad_fields(import(&admin, "?dry_run=maybe", HEADER).await).await;
        assert_eq!(fields, ["dry_run"]);
    })
    .await;
}

#[tokio::test]
async fn a_long_file_is_applied() {
    with_world(async |world| {
        let admin = world.admin().await;
        world.db.execute(
            "INSERT INTO tenants (tenant_id, name, genesys_org_id)
             SELECT 't' || n, 'T', 'o' || n FROM generate_series(1, 2000) n",
        );
        // Everybody gets the next one's.
        let row = |n: usize| format!("t{n},o{}\n", n % 2_000 + 1);
        let file: String = std::iter::once(HEADER.to_owned())
            .chain((1..=2_000).map(row))
            .collect();
        let report = ok(import(&admin, "", file).await, 200).await;
        assert_eq!(report["set"], 2_000);
        let moved = "SELECT count(*) FROM tenants \
                     WHERE genesys_org_id = 'o' || (substr(tenant_id, 2)::int % 2000 + 1)";
        assert_eq!(world.db.query(moved), ["2000"]);
    })
    .await;
}
