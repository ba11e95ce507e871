#!/usr/bin/env bash
# The tests and the servers they need.
#   test.sh run [nextest arguments]   fresh servers, all tests, everything removed again
#   test.sh chaos [nextest arguments] fresh servers, faults under load for CHAOS_SECONDS each
#   test.sh bench [cargo bench args]  fresh servers, benchmarks of a release build, a report
#   test.sh servers                   servers that stay up; .local/test.env has their addresses
#   test.sh servers-stop              stops those and removes their data

# shellcheck source=deploy/local/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=deploy/local/servers.sh
. "$LOCAL/servers.sh"
# shellcheck source=deploy/local/install.sh
. "$LOCAL/install.sh"

# Test data is worthless after the run, so PostgreSQL need not wait for the disk. Many connections:
# every test has a database and pools of its own.
TEST_PG_OPTIONS=(max_connections=400 fsync=off synchronous_commit=off full_page_writes=off)
TEST_ENV=$STATE/test.env

test_urls() {
  cat <<ENV
export TEST_DATABASE_URL=postgres://postgres@127.0.0.1:$PG_PORT/postgres
export TEST_AMQP_URL=amqp://portal:portal@127.0.0.1:$AMQP_PORT/%2f
export TEST_REDIS_URL=redis://127.0.0.1:$REDIS_PORT/
ENV
}

start_test_servers() {
  # Services' users have the same rights in each test's namespace.
  NAMESPACE_PATTERN='(t[0-9a-f]{32}[.])?' RABBITMQ_PASSWORD=portal TENANT_SERVICE_RABBITMQ_PASSWORD=test \
    AGENT_PORTAL_RABBITMQ_PASSWORD=test OUTBOUND_RABBITMQ_PASSWORD=test \
    "$REPO/deploy/rabbitmq/definitions.sh" >"$1/rabbitmq-definitions.json"
  servers_start "$1" no "$1/rabbitmq-definitions.json" "${TEST_PG_OPTIONS[@]}" || die "the test servers did not start"
}

# The roles belong to the whole PostgreSQL, not to one database: make them once, so that tests that
# begin at the same moment do not race to create them.
apply_roles() {
  [ -f "$REPO/deploy/postgres/roles.sql" ] || return 0
  psql -q -X -v ON_ERROR_STOP=1 -d "postgres://postgres@127.0.0.1:$PG_PORT/postgres" \
    -f "$REPO/deploy/postgres/roles.sql" >/dev/null
}

servers_up() {
  local home
  install_servers
  install_browser
  home=$(server_home test)
  choose_ports "$home" 23400
  start_test_servers "$home"
  apply_roles
  test_urls >"$TEST_ENV"
  say "test servers are up: . .local/test.env && cargo nextest run -p <package>"
}

servers_down() {
  local home
  home=$(server_home test)
  servers_stop "$home"
  rm -rf "${home:?}" "$TEST_ENV"
  [ ! -L "$STATE/test" ] || rm -f "$STATE/test"
  say "test servers are stopped"
}

# Runs on every way out; TEST_HOME is empty until there is something to remove.
TEST_HOME=
cleanup() {
  local status=$?
  trap - EXIT INT TERM
  if [ -n "$TEST_HOME" ]; then
    say "stopping the test servers"
    servers_stop "$TEST_HOME" || true
    rm -rf "${TEST_HOME:?}"
  fi
  exit "$status"
}

# Fresh servers for what comes next, removed on every way out.
start_fresh_servers() {
  local home
  home=$(mktemp -d "$(temp_root)/agent-portal-test.XXXXXX")
  chmod 711 "$home"
  trap cleanup EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  TEST_HOME=$home
  say "starting the test servers"
  # A place of its own for every run, so that two runs at once seldom look at the same port.
  choose_ports "$home" $((24000 + RANDOM % 70 * 100))
  start_test_servers "$home"
  apply_roles
  eval "$(test_urls)"
}

run_tests() {
  install_all
  cd "$REPO"
  # Compile before the servers start: a build that fails then costs nothing else.
  say "building the tests"
  cargo nextest run --locked --no-run "${@:---workspace}"
  # The end-to-end tests run it as an operator does; built by a test it would take that test's time.
  [ $# -gt 0 ] || cargo build --locked --quiet --package portalctl
  # nextest does not run the examples in the documentation; they need no servers.
  [ $# -gt 0 ] || cargo test --locked --workspace --doc --quiet
  start_fresh_servers
  say "running the tests"
  cargo nextest run --locked "${@:---workspace}"
}

# The short form is among the tests. Exported by make or the caller: CHAOS_SECONDS, CHAOS_SEED.
run_chaos() {
  local suite=(--locked --package outbound-message-service --test chaos)
  export CHAOS_SECONDS=${CHAOS_SECONDS:-60}
  [[ $CHAOS_SECONDS =~ ^[0-9]+$ ]] || die "CHAOS_SECONDS must be a number of seconds, such as 60"
  [[ ${CHAOS_SEED:-0} =~ ^[0-9]+$ ]] || die "CHAOS_SEED must be a number, as a case that failed has printed it"
  install_all
  cd "$REPO"
  say "building the tests"
  cargo nextest run "${suite[@]}" --no-run
  start_fresh_servers
  say "running each case for $CHAOS_SECONDS s"
  cargo nextest run --profile chaos "${suite[@]}" "$@"
}

run_benchmarks() {
  install_all
  cd "$REPO"
  say "building the benchmarks"
  cargo build --locked --release --package outbound-message-service --package agent-portal-service \
    --package portal-sandbox --package portalctl
  cargo bench --locked --package portal-bench --no-run
  # A commit that does not wait for the disk would measure nothing.
  TEST_PG_OPTIONS=(max_connections=400)
  start_fresh_servers
  say "running the benchmarks"
  cargo bench --locked --package portal-bench "$@"
}

case ${1:-run} in
  run)
    shift || true
    run_tests "$@"
    ;;
  chaos)
    shift
    run_chaos "$@"
    ;;
  bench)
    shift
    run_benchmarks "$@"
    ;;
  servers) servers_up ;;
  servers-stop) servers_down ;;
  *) die "usage: $0 run [nextest arguments] | chaos [nextest arguments] | bench [cargo bench arguments] | servers | servers-stop" ;;
esac
