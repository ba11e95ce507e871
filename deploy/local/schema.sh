#!/usr/bin/env bash
# Writes crates/db-schema/src/schema.rs from the migrations: a database of its own is migrated and then
# described by diesel's command line (compiled once into .tools/).

# shellcheck source=deploy/local/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

DIESEL_VERSION=2.3.14
DIESEL=$REPO/.tools/cargo/bin/diesel

cd "$REPO"
"$LOCAL/test.sh" servers
# shellcheck source=/dev/null
. "$STATE/test.env"

if ! "$DIESEL" --version 2>/dev/null | grep -q "$DIESEL_VERSION"; then
  say "compiling diesel's command line (some minutes, once)"
  cargo install --quiet --locked --root "$REPO/.tools/cargo" diesel_cli --version "$DIESEL_VERSION" \
    --no-default-features --features postgres
fi

name=portal_schema_$$
admin=$TEST_DATABASE_URL
server=${admin%/*}
psql -q -X "$admin" -c "CREATE DATABASE $name"
trap 'psql -q -X "$admin" -c "DROP DATABASE $name WITH (FORCE)"' EXIT
PGOPTIONS='-c client_min_messages=warning' \
  psql -q -X -v ON_ERROR_STOP=1 "$server/$name" -f deploy/postgres/roles.sql >/dev/null
cargo run --quiet --bin portalctl -- --database-url "${server/postgres@/agent_portal_owner@}/$name" db migrate
"$DIESEL" print-schema --config-file diesel.toml --database-url "$server/$name" >"$STATE/schema.rs"
mv "$STATE/schema.rs" crates/db-schema/src/schema.rs
say "crates/db-schema/src/schema.rs is written"
