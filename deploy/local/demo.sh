# shellcheck shell=bash
# A platform admin, two tenants with WhatsApp, and what a person needs to try the system: all through
# the same doors that everybody uses. Sourced after settings.sh and signin.sh.

# The seeds of the sandbox: organizations, business accounts, numbers and tokens. With real credentials
# the first tenant is the one that DEMO_* describes.
ACME_ORG=${DEMO_GENESYS_ORG_ID:-6f1d2c3b-4a5e-4f60-8a7b-9c0d1e2f3a4b}
ACME_WABA=${DEMO_WABA_ID:-100000000000001}
ACME_NUMBER_ID=${DEMO_PHONE_NUMBER_ID:-200000000000001}
ACME_NUMBER=${DEMO_DISPLAY_PHONE_NUMBER:-+15550100001}
ACME_TOKEN=${DEMO_WHATSAPP_TOKEN:-EAASANDBOXacme0000000000000000000000000001}
GLOBEX_ORG=7a2e3d4c-5b6f-4071-9b8c-0d1e2f3a4b5c
DEMO_PEOPLE='agent@acme.example supervisor@acme.example admin@acme.example agent@globex.example'

# api METHOD PATH TOKEN [JSON]: prints the body, then the status on a line of its own. The token goes in
# through a file descriptor, not through an argument that every process could see.
api() {
  local method=$1 path=$2 token=$3
  local -a body=()
  [ -z "${4:-}" ] || body=(-H 'Content-Type: application/json' --data-binary "$4")
  curl -sS -m 20 -X "$method" "$API_ORIGIN$path" -w '\n%{http_code}' \
    -H @<([ -z "$token" ] || printf 'Authorization: Bearer %s\n' "$token") "${body[@]}"
}

# expect STATUSES ANSWER WHAT: the body when the answer has one of those statuses.
expect() {
  local statuses=$1 answer=$2 what=$3 status
  status=${answer##*$'\n'}
  [[ " $statuses " == *" $status "* ]] || die "$what failed: $status ${answer%$'\n'*}"
  printf '%s' "${answer%$'\n'*}"
}

create_admin() {
  DATABASE_URL=$(database_url agent_portal_owner) "$BIN_DIR/portalctl" admin create \
    --email "$ADMIN_EMAIL" --name 'Platform Admin' --password-file "$SECRETS/admin-password" >/dev/null
}

admin_token() {
  local body answer
  body=$(jq -n --arg email "$ADMIN_EMAIL" --rawfile password "$SECRETS/admin-password" \
    '{$email, password: ($password | rtrimstr("\n"))}')
  answer=$(api POST /api/admin/auth/login '' "$body")
  expect 200 "$answer" 'the sign-in of the platform admin' | jq -er .accessToken
}

# create_tenant TOKEN ID NAME ORG REGION WABA NUMBER_ID NUMBER WHATSAPP_TOKEN
create_tenant() {
  local token=$1 id=$2 name=$3 org=$4 region=$5 body answer
  body=$(jq -n --arg id "$id" --arg name "$name" --arg org "$org" --arg region "$region" \
    '{tenant_id: $id, $name, genesys_org_id: $org, genesys_region: $region}')
  answer=$(api POST /api/tenants "$token" "$body")
  # 409: an earlier run made it.
  expect '201 409' "$answer" "making the tenant $id" >/dev/null
  answer=$(api GET "/api/tenants/$id/whatsapp" "$token")
  [ "${answer##*$'\n'}" != 200 ] || return 0
  body=$(jq -n --arg waba "$6" --arg number_id "$7" --arg number "$8" --arg token "$9" \
    '{waba_id: $waba, phone_number_id: $number_id, display_phone_number: $number, access_token: $token}')
  answer=$(api PUT "/api/tenants/$id/whatsapp" "$token" "$body")
  expect '200 201' "$answer" "the WhatsApp configuration of $id" >/dev/null
}

# Real organizations and numbers are only used when they are named.
demo_is_possible() {
  if real_genesys && [ -z "${DEMO_GENESYS_ORG_ID:-}" ]; then return 1; fi
  if real_meta && [ -z "${DEMO_WHATSAPP_TOKEN:-}" ]; then return 1; fi
}

create_demo() {
  local token region=sandbox
  create_admin
  if ! demo_is_possible; then
    say "no demo tenant: .env.example names the DEMO_ variables that describe a real one"
    return
  fi
  if real_genesys; then region=${GENESYS_REGIONS:-mypurecloud.com} && region=${region%%,*}; fi
  token=$(admin_token)
  create_tenant "$token" acme_corp 'Acme Corp' "$ACME_ORG" "$region" \
    "$ACME_WABA" "$ACME_NUMBER_ID" "$ACME_NUMBER" "$ACME_TOKEN"
  if ! real_genesys && ! real_meta; then
    create_tenant "$token" globex_inc 'Globex Inc' "$GLOBEX_ORG" "$region" \
      100000000000002 200000000000002 +49305550002 EAASANDBOXglobex00000000000000000000000002
  fi
  say "demo tenants, people and the platform admin are there"
}

print_summary() {
  local token='<access token, see the browser>'
  if ! real_genesys; then token=$(access_token agent@acme.example) || die "no token for the commands below"; fi
  cat <<TEXT

  Agent portal      $PORTAL_ORIGIN/login
  API (gateway)     $API_ORIGIN          documentation: $API_ORIGIN/docs
  Admin dashboard   $DASHBOARD_ORIGIN
  Platform admin    $ADMIN_EMAIL, password in ${SECRETS#"$PWD/"}/admin-password
TEXT
  if ! real_genesys || ! real_meta; then
    echo "  Sandbox           $SANDBOX_URL          every call: $SANDBOX_URL/journal"
  fi
  real_genesys || echo "  Genesys sign-in   ${DEMO_PEOPLE// /, }"
  cat <<TEXT
  Logs              ${LOGS#"$PWD/"}/

The four tests:

TOKEN='$token'   # short-lived; a new one: TOKEN=\$(make -s token)
curl $API_ORIGIN/api/tenants/by-genesys-org/$ACME_ORG
# browser: $PORTAL_ORIGIN/login, "Sign in with Genesys Cloud"
curl -H "Authorization: Bearer \$TOKEN" $API_ORIGIN/api/agents/whatsapp/status
curl -X POST -H "Authorization: Bearer \$TOKEN" -H "Content-Type: application/json" \\
  -d '{"to": "+1234567890", "text": "Test message"}' $API_ORIGIN/api/messages/send
TEXT
}
