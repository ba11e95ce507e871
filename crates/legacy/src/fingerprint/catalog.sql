-- A line for each thing of the schema $1, without numbers that another server would choose otherwise.
-- What extensions own is left out, and so is whatever has a name that begins with two underscores.
WITH s AS MATERIALIZED (
    SELECT oid, nspname, nspowner, nspacl FROM pg_namespace WHERE nspname = $1),
t AS MATERIALIZED (
    SELECT c.* FROM pg_class c JOIN s ON s.oid = c.relnamespace
    WHERE left(c.relname, 2) <> '__' AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
        AND NOT EXISTS (SELECT FROM pg_depend e
                        WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')),
c AS MATERIALIZED (
    SELECT t.oid AS owner_oid, t.relname, a.*,
        row_number() OVER (PARTITION BY t.oid ORDER BY a.attnum) AS place
    FROM t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE t.relkind <> 'S'),
f AS MATERIALIZED (
    SELECT p.* FROM pg_proc p JOIN s ON s.oid = p.pronamespace
    WHERE left(p.proname, 2) <> '__'
        AND NOT EXISTS (SELECT FROM pg_depend e
                        WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e')),
y AS MATERIALIZED (
    SELECT p.* FROM pg_type p JOIN s ON s.oid = p.typnamespace
    WHERE left(p.typname, 2) <> '__' AND p.typtype IN ('e', 'd', 'r', 'c')
        AND (p.typrelid = 0 OR EXISTS (SELECT FROM pg_class k WHERE k.oid = p.typrelid AND k.relkind = 'c'))
        AND NOT EXISTS (SELECT FROM pg_depend e
                        WHERE e.classid = 'pg_type'::regclass AND e.objid = p.oid AND e.deptype = 'e')),
acl AS (
    SELECT format('schema %I', nspname) AS of, coalesce(nspacl, acldefault('n', nspowner)) AS acl FROM s
    UNION ALL SELECT format('%I', relname),
        coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's'::"char" ELSE 'r'::"char" END, relowner)) FROM t
    UNION ALL SELECT format('%I.%I', relname, attname), attacl FROM c WHERE attacl IS NOT NULL
    UNION ALL SELECT format('function %s', oid::regprocedure), coalesce(proacl, acldefault('f', proowner)) FROM f
    UNION ALL SELECT format('type %I', typname), coalesce(typacl, acldefault('T', typowner)) FROM y)
SELECT format('schema %I: owner %s', nspname, nspowner::regrole) AS line FROM s
UNION ALL SELECT format('relation %I: kind %s, owner %s, persistence %s, row security %s, forced %s, '
        'replica identity %s, options %s, access method %s%s', t.relname, t.relkind, t.relowner::regrole,
        t.relpersistence, t.relrowsecurity, t.relforcerowsecurity, t.relreplident, t.reloptions, m.amname,
        ', bound ' || pg_get_expr(t.relpartbound, t.oid))
    FROM t LEFT JOIN pg_am m ON m.oid = t.relam
UNION ALL SELECT format('partitioned %I by %s', relname, pg_get_partkeydef(oid)) FROM t WHERE relkind = 'p'
UNION ALL SELECT format('relation %I inherits %s, place %s', t.relname, i.inhparent::regclass, i.inhseqno)
    FROM t JOIN pg_inherits i ON i.inhrelid = t.oid
UNION ALL SELECT format('column %I.%s %I: %s%s%s%s%s, storage %s, statistics %s, options %s',
        c.relname, c.place, c.attname, format_type(c.atttypid, c.atttypmod),
        CASE WHEN c.attnotnull THEN ' not null' END,
        CASE WHEN c.attcollation <> y.typcollation THEN ' collate ' || c.attcollation::regcollation END,
        CASE WHEN c.attidentity <> '' THEN ' identity ' || c.attidentity::text
             WHEN c.attgenerated <> '' THEN ' generated ' || c.attgenerated::text END,
        ' default ' || pg_get_expr(d.adbin, d.adrelid),
        concat(c.attstorage, c.attcompression),
        coalesce(nullif(c.attstattarget, -1)::text, 'usual'), c.attoptions)
    FROM c JOIN pg_type y ON y.oid = c.atttypid
    LEFT JOIN pg_attrdef d ON d.adrelid = c.owner_oid AND d.adnum = c.attnum
UNION ALL SELECT format('constraint %I of %I: %s', k.conname, t.relname, pg_get_constraintdef(k.oid))
    FROM t JOIN pg_constraint k ON k.conrelid = t.oid WHERE left(k.conname, 2) <> '__' AND k.contype <> 'n'
-- pg_dump leaves out what a CREATE INDEX CONCURRENTLY that failed has left behind.
UNION ALL SELECT format('index %s%s%s', pg_get_indexdef(i.indexrelid),
        CASE WHEN i.indisreplident THEN ', replica identity' END, CASE WHEN i.indisclustered THEN ', clustered' END)
    FROM t JOIN pg_index i ON i.indrelid = t.oid JOIN pg_class x ON x.oid = i.indexrelid
    WHERE left(x.relname, 2) <> '__' AND (i.indisvalid OR t.relkind = 'p')
UNION ALL SELECT format('statistics %s', pg_get_statisticsobjdef(x.oid))
    FROM t JOIN pg_statistic_ext x ON x.stxrelid = t.oid WHERE left(x.stxname, 2) <> '__'
UNION ALL SELECT format('view %I: %s', relname, pg_get_viewdef(oid)) FROM t WHERE relkind IN ('v', 'm')
UNION ALL SELECT format('rule %I of %I, enabled %s: %s', r.rulename, t.relname, r.ev_enabled, pg_get_ruledef(r.oid))
    FROM t JOIN pg_rewrite r ON r.ev_class = t.oid WHERE r.rulename <> '_RETURN' AND left(r.rulename, 2) <> '__'
UNION ALL SELECT format('trigger, enabled %s: %s', g.tgenabled, pg_get_triggerdef(g.oid))
    FROM t JOIN pg_trigger g ON g.tgrelid = t.oid WHERE NOT g.tgisinternal AND left(g.tgname, 2) <> '__'
UNION ALL SELECT format('policy %I of %I: %s %s to %s using (%s) check (%s)', p.policyname, p.tablename, p.permissive,
        p.cmd, p.roles, p.qual, p.with_check)
    FROM pg_policies p JOIN t ON t.relname = p.tablename WHERE p.schemaname = $1 AND left(p.policyname, 2) <> '__'
UNION ALL SELECT format('sequence %I: %s from %s by %s, %s to %s, cache %s, cycle %s%s', t.relname,
        format_type(q.seqtypid, NULL), q.seqstart, q.seqincrement, q.seqmin, q.seqmax, q.seqcache, q.seqcycle,
        (SELECT format(', of %s.%I', d.refobjid::regclass, a.attname)
         FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
         WHERE d.classid = 'pg_class'::regclass AND d.objid = t.oid
             AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')))
    FROM t JOIN pg_sequence q ON q.seqrelid = t.oid
UNION ALL SELECT format('function %s: owner %s, %s', f.oid::regprocedure, f.proowner::regrole,
        encode(sha256(convert_to(
            CASE WHEN f.prokind = 'a' THEN
                (SELECT format('%s %s %s %s %s %s %s', a.aggkind, a.aggtransfn, a.aggfinalfn, a.aggcombinefn,
                     format_type(a.aggtranstype, NULL), a.agginitval, a.aggsortop::regoperator)
                 FROM pg_aggregate a WHERE a.aggfnoid = f.oid)
            ELSE pg_get_functiondef(f.oid) END, 'UTF8')), 'hex'))
    FROM f
UNION ALL SELECT format('type %I: kind %s, owner %s, %s', y.typname, y.typtype, y.typowner::regrole,
        CASE y.typtype
            WHEN 'e' THEN (SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
                           FROM pg_enum e WHERE e.enumtypid = y.oid)
            WHEN 'd' THEN (SELECT concat_ws(' ', format_type(y.typbasetype, y.typtypmod),
                               CASE WHEN y.typnotnull THEN 'not null' END, 'default ' || y.typdefault,
                               string_agg(k.conname || ' ' || pg_get_constraintdef(k.oid), ', ' ORDER BY k.conname))
                           FROM pg_constraint k WHERE k.contypid = y.oid AND k.contype <> 'n')
            WHEN 'c' THEN (SELECT string_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod),
                               ', ' ORDER BY a.attnum)
                           FROM pg_attribute a WHERE a.attrelid = y.typrelid AND a.attnum > 0 AND NOT a.attisdropped)
            ELSE (SELECT format_type(r.rngsubtype, NULL) FROM pg_range r WHERE r.rngtypid = y.oid) END)
    FROM y
UNION ALL SELECT format('grant of %s on %s to %s%s', x.privilege_type, acl.of,
        CASE WHEN x.grantee = 0 THEN 'public' ELSE quote_ident(pg_get_userbyid(x.grantee)) END,
        CASE WHEN x.is_grantable THEN ' with grant option' END)
    FROM acl, aclexplode(acl.acl) x
UNION ALL SELECT format('default grant of %s on new %s of %s to %s%s', x.privilege_type, d.defaclobjtype,
        d.defaclrole::regrole,
        CASE WHEN x.grantee = 0 THEN 'public' ELSE quote_ident(pg_get_userbyid(x.grantee)) END,
        CASE WHEN x.is_grantable THEN ' with grant option' END)
    FROM pg_default_acl d JOIN s ON s.oid = d.defaclnamespace, aclexplode(d.defaclacl) x
UNION ALL SELECT format('comment on %I%s: %s', t.relname,
        (SELECT format('.%I', a.attname) FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attnum = d.objsubid
             AND d.objsubid > 0), d.description)
    FROM t JOIN pg_description d ON d.classoid = 'pg_class'::regclass AND d.objoid = t.oid
UNION ALL SELECT format('extension %I in %I', e.extname, n.nspname)
    FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
