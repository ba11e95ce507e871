#!/usr/bin/env bash
# Every check that is not a test. All of them run, so that one call shows everything; the exit code says
# whether any failed. `lint.sh NAME...` runs only those.

# shellcheck source=deploy/local/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../local/lib.sh"
# shellcheck source=deploy/local/rabbitmq.sh
. "$LOCAL/rabbitmq.sh"
# shellcheck source=deploy/local/install.sh
. "$LOCAL/install.sh"
# shellcheck source=deploy/local/gateway.sh
. "$LOCAL/gateway.sh"

ALL_CHECKS=(format shell yaml python dockerfile compose kubernetes gateway sql openapi dependencies licences advisories clippy settings)
# The oldest and the newest Kubernetes that the manifests are meant for.
KUBERNETES_VERSIONS=(1.31 1.33 1.35)

WORK=$(mktemp -d "$(temp_root)/agent-portal-lint.XXXXXX")
chmod 711 "$WORK"
trap 'rm -rf "$WORK"' EXIT

check_format() { cargo fmt --all --check; }

check_shell() {
  local -a scripts
  mapfile -t scripts < <(find . \( -name target -o -name .tools -o -name .local -o -name node_modules \) -prune \
    -o -name '*.sh' -print)
  shellcheck -x "${scripts[@]}" .ci/run
}

check_yaml() { yamllint --strict .; }

check_python() { PYTHONPYCACHEPREFIX=$WORK/pycache python3 -m py_compile deploy/checks/*.py; }

check_dockerfile() { hadolint deploy/Dockerfile; }

# The client reads the whole file, fills in the variables and refuses what it does not know. The
# example environment lacks only the secrets, which get stand-ins of the right form here.
render_compose() {
  sed -E -e "s/^([A-Z0-9_]+_SHA256)=$/\1=$(printf '0%.0s' {1..64})/" -e 's/^(VAULT_KEYS)=$/\1=key1:stand-in/' \
    -e 's/^([A-Z0-9_]+)=$/\1=stand-in/' .env.example >"$WORK/compose.env"
  docker-compose --env-file "$WORK/compose.env" --profile '*' -f docker-compose.yml config "$@"
}

check_compose() { render_compose --quiet; }

check_kubernetes() {
  local overlay version out
  for overlay in k8s/overlays/*/; do
    out=$WORK/$(basename "$overlay").yaml
    kubectl kustomize "$overlay" >"$out" || return 1
    for version in "${KUBERNETES_VERSIONS[@]}"; do
      kubernetes-validate -k "$version" --strict --quiet "$out" >"$WORK/validate.log" 2>&1 ||
        { cat "$WORK/validate.log" && return 1; }
      # A kind without a schema is only a warning to the tool.
      if grep -q WARN "$WORK/validate.log"; then
        cat "$WORK/validate.log"
        return 1
      fi
    done
    python3 deploy/checks/k8s_policy.py "$out" || return 1
  done
}

# What compose and the manifests set, read by the services themselves.
check_settings() {
  local overlay bin_dir
  local -a rendered=()
  cargo build --quiet --locked --bin tenant-service --bin agent-portal-service --bin outbound-message-service || return 1
  bin_dir=$(cargo metadata --no-deps --format-version 1 | jq -r .target_directory)/debug
  render_compose --format json >"$WORK/compose.json" || return 1
  for overlay in k8s/overlays/*/; do
    rendered+=("$WORK/settings-$(basename "$overlay").yaml")
    kubectl kustomize "$overlay" >"${rendered[-1]}" || return 1
  done
  python3 deploy/checks/settings.py "$bin_dir" "$WORK/compose.json" "${rendered[@]}"
}

check_gateway() {
  mkdir -p "$WORK/gateway"
  gateway_files "$WORK/gateway" 3000
  # nginx opens the access log even to test the file.
  gateway_check "$WORK/gateway"
}

check_sql() { squawk migrations/*/up.sql; }

check_openapi() {
  local document found=0
  for document in services/*/openapi.json; do
    [ -e "$document" ] || continue
    found=1
    openapi-spec-validator "$document" || return 1
  done
  [ "$found" = 1 ] || echo "no OpenAPI document is committed yet"
}

check_dependencies() { cargo-shear --locked --deny-warnings; }

check_licences() { cargo-deny --locked check --hide-inclusion-graph bans licenses sources; }

# Needs a copy of the RustSec database: ADVISORY_DB is the folder that holds the clone, under the name
# that cargo-deny gives it (its error names it).
check_advisories() {
  if [ ! -d "${ADVISORY_DB:-}" ]; then
    echo "not checked: ADVISORY_DB names no copy of the RustSec database"
    return 0
  fi
  sed "s|^db-urls|db-path = \"$ADVISORY_DB\"\ndb-urls|" deny.toml >"$WORK/deny.toml"
  cargo-deny --config "$WORK/deny.toml" --offline --locked check --hide-inclusion-graph advisories
}

check_clippy() { cargo clippy --workspace --all-targets --locked -- -D warnings; }

failed=()
run_check() {
  local name=$1 begun
  begun=$(date +%s)
  if "check_$name" >"$WORK/$name.log" 2>&1; then
    say "ok      $name ($(($(date +%s) - begun)) s)"
  else
    say "FAILED  $name"
    failed+=("$name")
  fi
  # What a check has to say is shown when it failed, and when it left something out.
  if [[ " ${failed[*]} " == *" $name "* ]] || [ "$(wc -l <"$WORK/$name.log")" -le 2 ]; then
    sed 's/^/        /' "$WORK/$name.log"
  fi
}

cd "$REPO"
require_rust
install_servers
tools_install || die "the checkers could not be installed"
for name in "${@:-${ALL_CHECKS[@]}}"; do
  declare -F "check_$name" >/dev/null || die "there is no check '$name'; there are: ${ALL_CHECKS[*]}"
  run_check "$name"
done
[ "${#failed[@]}" = 0 ] || die "failed: ${failed[*]}"
