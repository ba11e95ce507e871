//! `portalctl db drift`: the database's catalogue, held against the one that its migrations make.

use std::collections::BTreeSet;

use diesel::{PgConnection, QueryableByName, RunQueryDsl as _, sql_types::Text};
use secrecy::SecretString;
use serde_json::json;

use crate::{Answer, db, scratch::Scratch};

/// Everything that migrations make, a line for each thing; not the order of columns, which follows from
/// history, and not tables of tools. It is asked of the schema that comes first in `search_path`, whose name
/// does not matter: PostgreSQL leaves it out of what it prints so.
const CATALOGUE: &str = "
WITH t AS (
    SELECT c.oid, c.relname, c.relkind, c.relacl, c.relowner, c.relrowsecurity, c.relforcerowsecurity
    FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace AND left(c.relname, 2) <> '__'
        AND c.relkind IN ('r', 'p', 'v', 'm'))
SELECT format('table %s: row security %s, forced %s', relname, relrowsecurity, relforcerowsecurity) AS line
    FROM t
UNION ALL SELECT format('column %s.%s: %s%s%s', t.relname, a.attname, format_type(a.atttypid, a.atttypmod),
        CASE WHEN a.attnotnull THEN ' not null' ELSE '' END,
        coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), ''))
    FROM t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
UNION ALL SELECT format('constraint %s of %s: %s', k.conname, t.relname, pg_get_constraintdef(k.oid, true))
    FROM t JOIN pg_constraint k ON k.conrelid = t.oid
UNION ALL SELECT 'index ' || pg_get_indexdef(i.indexrelid, 0, true) FROM t JOIN pg_index i ON i.indrelid = t.oid
UNION ALL SELECT format('policy %s of %s: %s to %s using (%s) check (%s)', p.policyname, p.tablename, p.cmd, p.roles,
        p.qual, p.with_check)
    FROM pg_policies p WHERE p.schemaname = current_schema()
UNION ALL SELECT 'trigger ' || pg_get_triggerdef(g.oid, true) FROM t JOIN pg_trigger g ON g.tgrelid = t.oid
    WHERE NOT g.tgisinternal
UNION ALL SELECT format('function %s: definer %s, %s, body %s', f.oid::regprocedure, f.prosecdef,
        coalesce((SELECT string_agg(regexp_replace(setting, '\\m' || current_schema() || '\\M', '<schema>'), ', '
            ORDER BY setting) FROM unnest(f.proconfig) setting), 'no settings'), md5(f.prosrc))
    FROM pg_proc f WHERE f.pronamespace = current_schema()::regnamespace AND left(f.proname, 2) <> '__'
        AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.objid = f.oid AND e.deptype = 'e')
UNION ALL SELECT format('grant of %s on %s to %s', x.privilege_type, t.relname, x.grantee::regrole)
    FROM t, aclexplode(t.relacl) x WHERE x.grantee <> t.relowner
UNION ALL SELECT format('grant of %s on %s.%s to %s', x.privilege_type, t.relname, a.attname, x.grantee::regrole)
    FROM t JOIN pg_attribute a ON a.attrelid = t.oid AND NOT a.attisdropped, aclexplode(a.attacl) x";

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

fn catalogue(conn: &mut PgConnection) -> anyhow::Result<BTreeSet<String>> {
    let lines: Vec<Line> = diesel::sql_query(CATALOGUE).load(conn)?;
    Ok(lines.into_iter().map(|line| line.line).collect())
}

pub(crate) fn run(conn: &mut PgConnection, url: &SecretString) -> anyhow::Result<Answer> {
    let has = catalogue(conn)?;
    let scratch = Scratch::create(url, "drift", "")?;
    let mut beside = scratch.open()?;
    db::apply_all(&mut beside)?;
    let wanted = catalogue(&mut beside)?;
    drop(beside);
    drop(scratch);
    let added: Vec<_> = has.difference(&wanted).collect();
    let missing: Vec<_> = wanted.difference(&has).collect();
    let as_wanted = added.is_empty() && missing.is_empty();
    let text = if as_wanted {
        format!(
            "No drift: {} things are as the migrations make them.",
            has.len()
        )
    } else {
        let lines = added.iter().map(|line| format!("+ {line}"));
        let lines = lines.chain(missing.iter().map(|line| format!("- {line}")));
        let lines: Vec<String> = lines.collect();
        format!(
            "{} differences (+ is here, - is made by the migrations):\n{}",
            lines.len(),
            lines.join("\n")
        )
    };
    Ok(Answer {
        text,
        json: json!({ "added": added, "missing": missing }),
        as_wanted,
    })
}
