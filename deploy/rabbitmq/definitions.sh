#!/bin/sh
# Prints definitions.json with the passwords' salted digests in it. One user for each service: it makes
# and deletes its own queues only, publishes to and binds to the exchanges that it uses (a queue with
# dead letters needs both on theirs), and reads nobody else's queues. The exchanges are there before
# the services, none of which may make or delete one. `portal` is the operator.
#
# Passwords come from RABBITMQ_PASSWORD (the operator's), TENANT_SERVICE_RABBITMQ_PASSWORD,
# AGENT_PORTAL_RABBITMQ_PASSWORD and OUTBOUND_RABBITMQ_PASSWORD. NAMESPACE_PATTERN is a regular
# expression for what `rabbitmq.namespace` puts before each name: nothing, but in tests.
set -eu

# Only what every image has: no openssl.
bytes() {
  for pair in $(printf %s "$1" | sed 's/../& /g'); do
    printf '%b' "\\0$(printf %03o "0x$pair")"
  done
}

# RabbitMQ's form: base64 of the salt, followed by the SHA-256 of salt and password.
digest() {
  salt=$(od -A n -N 4 -t x1 /dev/urandom | tr -d ' \n')
  hash=$({ bytes "$salt" && printf %s "$1"; } | sha256sum | cut -d ' ' -f 1)
  bytes "$salt$hash" | base64 -w 0
}

prefix=$(printf %s "${NAMESPACE_PATTERN:-}" | sed 's/[\\&|]/\\&/g')
sed -e "s|@OPERATOR@|$(digest "${RABBITMQ_PASSWORD:?}")|" \
  -e "s|@TENANT_SERVICE@|$(digest "${TENANT_SERVICE_RABBITMQ_PASSWORD:?}")|" \
  -e "s|@AGENT_PORTAL_SERVICE@|$(digest "${AGENT_PORTAL_RABBITMQ_PASSWORD:?}")|" \
  -e "s|@OUTBOUND_MESSAGE_SERVICE@|$(digest "${OUTBOUND_RABBITMQ_PASSWORD:?}")|" \
  -e "s|@PREFIX@|$prefix|" \
  "$(dirname "$0")/definitions.json"
