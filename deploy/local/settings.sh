# shellcheck shell=bash
# The settings of each program in the local system, as lines of VARIABLE=VALUE. Sourced after lib.sh,
# secrets.sh and once the ports are chosen.
#
# Genesys Cloud and Meta are the sandbox unless their credentials are in the environment (or in .env,
# see .env.example): GENESYS_CLIENT_ID makes it the real Genesys Cloud, META_APP_SECRET the real Graph
# API.

DATABASE=whatsapp_genesys
SANDBOX_URL=http://localhost:3090
PORTAL_ORIGIN=http://localhost:3014
DASHBOARD_ORIGIN=http://localhost:3006
API_ORIGIN=${API_ORIGIN:-http://localhost:${GATEWAY_PORT:-3000}}
ADMIN_EMAIL=${ADMIN_EMAIL:-admin@portal.example}

real_genesys() { [ -n "${GENESYS_CLIENT_ID:-}" ]; }
real_meta() { [ -n "${META_APP_SECRET:-}" ]; }

# load_dotenv: takes .env, but what the caller has set wins.
load_dotenv() {
  local line name
  [ -f "$REPO/.env" ] || return 0
  while IFS= read -r line || [ -n "$line" ]; do
    [[ $line =~ ^[A-Z][A-Z0-9_]*= ]] || continue
    name=${line%%=*}
    [ -n "${!name:-}" ] || export "$name=${line#*=}"
  done <"$REPO/.env"
}

wanted_programs() {
  local program
  for program in "${PROGRAMS[@]}"; do
    if [ "$program" = portal-sandbox ] && real_genesys && real_meta; then continue; fi
    echo "$program"
  done
}

ready_url() {
  case $1 in
    portal-sandbox) echo "http://127.0.0.1:3090/health" ;;
    tenant-service) echo "http://127.0.0.1:3007/health/ready" ;;
    agent-portal-service) echo "http://127.0.0.1:3015/health/ready" ;;
    outbound-message-service) echo "http://127.0.0.1:3008/health/ready" ;;
  esac
}

# Loopback trusts every role; no password travels.
database_url() { echo "postgres://$1@127.0.0.1:$PG_PORT/$DATABASE"; }

# shared_settings PREFIX ROLE PORT
shared_settings() {
  local prefix=$1 role=$2 port=$3
  local user=${role//_/-}
  cat <<VARS
${prefix}__HTTP__BIND=127.0.0.1:$port
${prefix}__HTTP__ALLOWED_ORIGINS=$PORTAL_ORIGIN
${prefix}__HTTP__TRUSTED_PROXIES=127.0.0.1,::1
${prefix}__DATABASE__URL=$(database_url "$role")
${prefix}__RABBITMQ__URL=amqp://$user:$(secret "$user-rabbitmq-password")@127.0.0.1:$AMQP_PORT/%2f
${prefix}__REDIS__URL=redis://$user:$(secret "$user-redis-password")@127.0.0.1:$REDIS_PORT/0
${prefix}__VAULT__KEYS_FILE=$SECRETS/vault-keys
${prefix}__VAULT__ACTIVE_KEY=local
${prefix}__TELEMETRY__OTLP_ENDPOINT=${OTLP_ENDPOINT:-}
${prefix}__TELEMETRY__LOG=${LOG:-info}
VARS
}

settings_of_portal_sandbox() {
  cat <<VARS
SANDBOX_BIND=127.0.0.1:3090
SANDBOX_WEBHOOK_URL=http://127.0.0.1:3008/webhooks/whatsapp
SANDBOX_APP_SECRET=$(secret meta-app-secret)
SANDBOX_REDIRECT_URI=$API_ORIGIN/api/agents/auth/callback
VARS
}

settings_of_tenant_service() {
  shared_settings TENANT_SERVICE tenant_service 3007
  cat <<VARS
TENANT_SERVICE__DASHBOARD__BIND=127.0.0.1:3006
TENANT_SERVICE__DASHBOARD__ORIGIN=$DASHBOARD_ORIGIN
TENANT_SERVICE__DASHBOARD__SECURE_COOKIES=false
TENANT_SERVICE__SERVICE_KEYS__AGENT_PORTAL=$(digest_of_secret agent-portal-service-key)
TENANT_SERVICE__SERVICE_KEYS__OUTBOUND=$(digest_of_secret outbound-service-key)
TENANT_SERVICE__ADMIN__REQUIRE_TOTP=false
VARS
  # The sandbox as a region of Genesys Cloud, as agent-portal-service has it.
  if ! real_genesys; then
    cat <<VARS
TENANT_SERVICE__GENESYS__HOSTS__SANDBOX__LOGIN_URL=$SANDBOX_URL
TENANT_SERVICE__GENESYS__HOSTS__SANDBOX__API_URL=$SANDBOX_URL
VARS
  fi
  if real_meta; then
    cat <<VARS
TENANT_SERVICE__META__APP_ID=${META_APP_ID:-}
TENANT_SERVICE__META__APP_SECRET=${META_APP_ID:+$META_APP_SECRET}
TENANT_SERVICE__META__CONFIG_ID=${META_CONFIG_ID:-}
VARS
  else
    cat <<VARS
TENANT_SERVICE__META__APP_ID=300000000000001
TENANT_SERVICE__META__APP_SECRET_FILE=$SECRETS/meta-app-secret
TENANT_SERVICE__META__CONFIG_ID=600000000000001
TENANT_SERVICE__META__GRAPH_URL=http://127.0.0.1:3090
TENANT_SERVICE__META__SDK_URL=http://localhost:3090/sdk.js
VARS
  fi
}

settings_of_agent_portal_service() {
  shared_settings AGENT_PORTAL agent_portal_service 3015
  cat <<VARS
AGENT_PORTAL__PORTAL__BIND=127.0.0.1:3014
AGENT_PORTAL__PORTAL__ORIGIN=$PORTAL_ORIGIN
AGENT_PORTAL__PORTAL__API_ORIGIN=$API_ORIGIN
AGENT_PORTAL__COOKIES__SECURE=false
AGENT_PORTAL__TENANT_SERVICE__URL=http://127.0.0.1:3007
AGENT_PORTAL__TENANT_SERVICE__SERVICE_KEY_FILE=$SECRETS/agent-portal-service-key
AGENT_PORTAL__GENESYS__REDIRECT_URI=$API_ORIGIN/api/agents/auth/callback
VARS
  if real_genesys; then
    cat <<VARS
AGENT_PORTAL__GENESYS__REGIONS=${GENESYS_REGIONS:-mypurecloud.com}
AGENT_PORTAL__GENESYS__CLIENT_ID=$GENESYS_CLIENT_ID
AGENT_PORTAL__GENESYS__CLIENT_SECRET=${GENESYS_CLIENT_SECRET:-}
VARS
  else
    cat <<VARS
AGENT_PORTAL__GENESYS__REGIONS=sandbox
AGENT_PORTAL__GENESYS__HOSTS__SANDBOX__LOGIN_URL=$SANDBOX_URL
AGENT_PORTAL__GENESYS__HOSTS__SANDBOX__API_URL=$SANDBOX_URL
AGENT_PORTAL__GENESYS__CLIENT_ID=agent-portal-confidential
AGENT_PORTAL__GENESYS__CLIENT_SECRET=agent-portal-sandbox-secret
VARS
  fi
}

settings_of_outbound_message_service() {
  shared_settings OUTBOUND outbound_message_service 3008
  cat <<VARS
OUTBOUND__AUTH__JWKS_URL=http://127.0.0.1:3015/.well-known/jwks.json
OUTBOUND__TENANT_SERVICE__URL=http://127.0.0.1:3007
OUTBOUND__TENANT_SERVICE__SERVICE_KEY_FILE=$SECRETS/outbound-service-key
OUTBOUND__META__VERIFY_TOKEN=${META_VERIFY_TOKEN:-$(secret meta-verify-token)}
VARS
  if real_meta; then
    echo "OUTBOUND__META__APP_SECRETS=$META_APP_SECRET"
  else
    cat <<VARS
OUTBOUND__META__GRAPH_URL=http://127.0.0.1:3090
OUTBOUND__META__APP_SECRETS_FILE=$SECRETS/meta-app-secret
VARS
  fi
}
