//! A large legacy installation, migrated while its writers go on; beside the statements that somebody
//! would write by hand for the same rows.

use std::time::{Duration, Instant};

use portal_test_harness::TestDb;
use serde_json::Value;

use crate::{
    legacy::{AGENTS, ASSIGNMENTS, FIXTURE, TENANTS, answer, fill, mapping, portalctl},
    report::{Report, millis},
    writers::{WRITES, Writers},
};

/// In one transaction, as the superuser, into the same tables with their indexes. It reads the states that
/// it finds and knows of no other; the accounts, whose tokens it could not seal, are left out.
const BY_HAND: &str = "\
BEGIN; \
INSERT INTO agent_portal.tenants (tenant_id, name) SELECT tenant_id, name FROM public.tenants; \
INSERT INTO agent_portal.genesys_users (user_id, tenant_id, genesys_org_id, genesys_user_id, genesys_email, name) \
    SELECT agent_id, tenant_id, '', 'g' || agent_id, email, name FROM public.agents; \
WITH a AS (SELECT g.assignment_id, md5(u.tenant_id || chr(31) || g.conversation_id)::uuid AS conversation_id, \
        g.conversation_id AS external, u.tenant_id, u.agent_id, lower(g.status) AS status, \
        g.assigned_at AT TIME ZONE 'UTC' AS assigned_at, g.last_activity_at AT TIME ZONE 'UTC' AS active_at \
    FROM public.agent_conversation_assignments g JOIN public.agents u USING (agent_id)), \
r AS (SELECT a.*, row_number() OVER (PARTITION BY conversation_id \
        ORDER BY status = 'active' DESC, active_at DESC) AS place FROM a), \
c AS (INSERT INTO agent_portal.conversations (conversation_id, tenant_id, phone_number_id, status, \
        last_activity_at, genesys_conversation_id, assigned_to, assigned_at) \
    SELECT conversation_id, tenant_id, '', 'open', active_at, external, \
        CASE WHEN status = 'active' THEN agent_id END, assigned_at FROM r WHERE place = 1) \
INSERT INTO agent_portal.conversation_assignments (assignment_id, tenant_id, conversation_id, user_id, status, \
        assigned_at, ended_at) \
    SELECT assignment_id, tenant_id, conversation_id, agent_id, \
        CASE WHEN status = 'active' AND place > 1 THEN 'released' ELSE status END, assigned_at, \
        CASE WHEN NOT (status = 'active' AND place = 1) THEN active_at END FROM r; \
COMMIT";

/// From the schema's being there to the end of the first copy.
const COPY_SECONDS: &str = "SELECT extract(epoch FROM copied_at - began_at)::numeric(10, 1) FROM agent_portal.__legacy_state";

pub(crate) async fn run() -> Report {
    tokio::task::spawn_blocking(measure).await.unwrap()
}

fn by_hand() -> Duration {
    let db = TestDb::beside_legacy();
    db.execute(&fill());
    let begun = Instant::now();
    db.execute(BY_HAND);
    let took = begun.elapsed();
    let rows = db.query("SELECT count(*) FROM conversation_assignments");
    assert_eq!(rows, [ASSIGNMENTS.to_string()]);
    took
}

fn wrong(answer: &Value) -> i64 {
    let checks = answer["checks"].as_array().unwrap().iter();
    checks.map(|check| check["wrong"].as_i64().unwrap()).sum()
}

fn measure() -> Report {
    let by_hand = by_hand();
    let db = TestDb::unmigrated();
    db.execute(FIXTURE);
    db.execute(&fill());
    let mapping = mapping(&db);
    let migrate = ["db", "migrate", "--json", "--mapping", &mapping];

    let writers = Writers::start(&db);
    let first = portalctl(&db, "migrate", &migrate);
    let followed = answer(&first)["changes"].clone();
    let mut written = writers.stop();
    let copy: f64 = db.query(COPY_SECONDS)[0].parse().unwrap();
    let rest = portalctl(&db, "migrate-rest", &migrate);
    let rest_of = answer(&rest)["changes"].clone();
    let verify = portalctl(&db, "verify", &["db", "verify", "--json"]);
    let wrong = wrong(&answer(&verify));
    let lost = written.lost(&db);

    let mut report = Report::new(
        "migrate",
        "A legacy installation, migrated while its writers go on",
    );
    report.line(format_args!(
        "{TENANTS} tenants with an account each, {AGENTS} agents, {ASSIGNMENTS} assignments; {WRITES} writes a \
         second from outside.\n"
    ));
    let ratio = |seconds: f64| seconds / by_hand.as_secs_f64();
    let whole = first.took.as_secs_f64();
    report.line(format_args!(
        "- `INSERT … SELECT` by hand into the same tables, nobody writing: {:.1} s",
        by_hand.as_secs_f64()
    ));
    report.line(format_args!(
        "- `db migrate`, whole: {whole:.1} s, {:.2} times as long (3 is the goal)",
        ratio(whole)
    ));
    report.line(format_args!(
        "- from the schema to the end of the copy, with the changes meanwhile: {copy:.1} s, {:.2} times",
        ratio(copy)
    ));
    report.line(format_args!(
        "- most memory of `portalctl`: {:.1} MiB",
        mib(first.most_kib)
    ));
    report.line(format_args!(
        "- writes: {} to {} rows; {followed} changes followed in the first run, {rest_of} in a second one of {:.1} s",
        written.latencies.len(),
        written.rows(),
        rest.took.as_secs_f64()
    ));
    let [half, most, longest] =
        [50, 99, 100].map(|percent| millis(written.latencies.percentile(percent)));
    report.line(format_args!(
        "- a write took {half} (median), {most} (99th percentile), {longest} at the longest (500 ms is the goal)"
    ));
    report.line(format_args!(
        "- `db verify`: {:.1} s, most memory {:.1} MiB",
        verify.took.as_secs_f64(),
        mib(verify.most_kib)
    ));
    report.goal(
        format_args!("rows that break a rule of `db verify`: {wrong}"),
        wrong == 0,
    );
    report.goal(format_args!("writes lost: {lost}"), lost == "0");
    report
}

pub(crate) fn mib(kib: u64) -> f64 {
    f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0
}
