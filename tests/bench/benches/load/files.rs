//! Lists of 100,000 rows, checked by `portalctl`: how long that takes and how much memory it holds.

use std::{fmt::Write as _, fs};

use portal_bench::Ended;
use portal_test_harness::TestDb;

use crate::{
    legacy::{FIXTURE, answer, file, mapping, portalctl},
    migrate::mib,
    report::Report,
};

const ROWS: usize = 100_000;
/// What the command may hold.
const MOST_MIB: f64 = 64.0;

pub(crate) async fn run() -> Report {
    tokio::task::spawn_blocking(measure).await.unwrap()
}

fn measure() -> Report {
    let mut report = Report::new("files", "Lists of 100,000 rows");
    report.line("| list | time | most memory |");
    report.line("|---|---|---|");
    let (orgs, agents) = (tenant_orgs(), agents());
    for (name, ended) in [
        ("import tenant-orgs --dry-run", &orgs),
        ("db check-agents", &agents),
    ] {
        report.line(format_args!(
            "| `{name}` | {:.1} s | {:.1} MiB |",
            ended.took.as_secs_f64(),
            mib(ended.most_kib)
        ));
    }
    report.line("");
    for (name, ended) in [("organizations", &orgs), ("agents", &agents)] {
        report.goal(
            format_args!("a list of {name} takes at most {MOST_MIB:.0} MiB"),
            mib(ended.most_kib) <= MOST_MIB,
        );
    }
    report
}

fn tenant_orgs() -> Ended {
    let db = TestDb::new();
    db.execute(&format!(
        "INSERT INTO tenants (tenant_id, name) SELECT 'tenant_' || g, 'Tenant ' || g FROM generate_series(1, {ROWS}) g; \
         ANALYZE tenants"
    ));
    let mut list = "tenant_id,genesys_org_id\n".to_owned();
    for n in 1..=ROWS {
        writeln!(list, "tenant_{n},00000000-0000-4000-8000-{n:012}").unwrap();
    }
    let path = file("orgs.csv");
    fs::write(&path, list).unwrap();
    let arguments = ["import", "tenant-orgs", path.to_str().unwrap(), "--dry-run"];
    let ended = portalctl(&db, "tenant-orgs", &arguments);
    assert!(ended.status.success(), "{}", ended.status);
    ended
}

fn agents() -> Ended {
    let db = TestDb::unmigrated();
    db.execute(FIXTURE);
    db.execute(&format!(
        "TRUNCATE agents, tenants CASCADE; \
         INSERT INTO tenants (tenant_id, name) SELECT 'tenant_' || g, 'Tenant ' || g FROM generate_series(0, 1999) g; \
         INSERT INTO agents (agent_id, tenant_id, email, name) SELECT lpad(g::text, 32, '0')::uuid, \
             'tenant_' || g % 2000, 'agent' || g || '@example.com', 'Agent ' || g FROM generate_series(1, {ROWS}) g; \
         GRANT SELECT, TRIGGER ON ALL TABLES IN SCHEMA public TO agent_portal_owner; ANALYZE"
    ));
    let mut list = "old_agent_id,genesys_user_id,tenant_id,name,email\n".to_owned();
    for n in 1..=ROWS {
        writeln!(
            list,
            "00000000-0000-0000-0000-{n:012},10000000-0000-4000-8000-{n:012},tenant_{},Agent {n},agent{n}@example.com",
            n % 2_000
        )
        .unwrap();
    }
    let path = file("agents.csv");
    fs::write(&path, list).unwrap();
    let mapping = mapping(&db);
    let arguments = [
        "db",
        "check-agents",
        path.to_str().unwrap(),
        "--mapping",
        &mapping,
        "--json",
    ];
    let ended = portalctl(&db, "check-agents", &arguments);
    assert_eq!(answer(&ended)["rejected"], 0);
    ended
}
