# shellcheck shell=bash
# The secrets of this checkout's local system: made once, kept in .local/secrets, one file each.
# Sourced after lib.sh.

SECRETS=$STATE/secrets

# secret_file NAME COMMAND...: makes the file from the command's output unless it is there.
secret_file() {
  local file=$SECRETS/$1
  shift
  [ ! -s "$file" ] || return 0
  (umask 077 && "$@" >"$file.new" && mv "$file.new" "$file")
}

secret() { cat "$SECRETS/$1"; }

# Base64 without the characters that would need escaping in an address.
random_text() { openssl rand -base64 33 | tr '+/' '-_' | tr -d '=\n'; }

random_vault_key() { printf 'local:%s' "$(openssl rand -base64 32)"; }

# service_key_for NAME: the form that tenant-service expects.
service_key_for() { printf 'svc_%s_%s' "$1" "$(openssl rand -hex 32)"; }

make_secrets() {
  install -d -m 700 "$SECRETS"
  secret_file rabbitmq-password random_text
  secret_file tenant-service-redis-password random_text
  secret_file agent-portal-service-redis-password random_text
  secret_file outbound-message-service-redis-password random_text
  secret_file tenant-service-rabbitmq-password random_text
  secret_file agent-portal-service-rabbitmq-password random_text
  secret_file outbound-message-service-rabbitmq-password random_text
  secret_file vault-keys random_vault_key
  secret_file agent-portal-service-key service_key_for agent_portal
  secret_file outbound-service-key service_key_for outbound
  secret_file meta-app-secret random_text
  secret_file meta-verify-token random_text
  secret_file admin-password random_text
}

# The file of Redis' users, for these passwords.
redis_users() {
  (
    umask 077
    TENANT_SERVICE_REDIS_PASSWORD=$(secret tenant-service-redis-password) \
      AGENT_PORTAL_REDIS_PASSWORD=$(secret agent-portal-service-redis-password) \
      OUTBOUND_REDIS_PASSWORD=$(secret outbound-message-service-redis-password) \
      "$REPO/deploy/redis/acl.sh" >"$SECRETS/redis-users.acl"
  )
  printf '%s' "$SECRETS/redis-users.acl"
}

# The file of RabbitMQ's users and exchanges, for these passwords.
rabbit_definitions() {
  (
    umask 077
    RABBITMQ_PASSWORD=$(secret rabbitmq-password) \
      TENANT_SERVICE_RABBITMQ_PASSWORD=$(secret tenant-service-rabbitmq-password) \
      AGENT_PORTAL_RABBITMQ_PASSWORD=$(secret agent-portal-service-rabbitmq-password) \
      OUTBOUND_RABBITMQ_PASSWORD=$(secret outbound-message-service-rabbitmq-password) \
      "$REPO/deploy/rabbitmq/definitions.sh" >"$SECRETS/rabbitmq-definitions.json"
  )
  printf '%s' "$SECRETS/rabbitmq-definitions.json"
}

# What tenant-service knows of a service key.
digest_of_secret() { printf '%s' "$(secret "$1")" | sha256sum | cut -d ' ' -f 1; }
