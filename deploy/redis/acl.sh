#!/bin/sh
# Prints users.acl with the passwords' digests in it: Redis' file of users allows no comments, so here
# is what they are. One user for each service with the keys and commands that it uses (tenants' keys
# begin with t:, those of the whole system with g:), and no user without a name. Who holds one
# service's password can neither read another's keys nor list, flush or configure anything.
#
# Passwords come from TENANT_SERVICE_REDIS_PASSWORD, AGENT_PORTAL_REDIS_PASSWORD and
# OUTBOUND_REDIS_PASSWORD.
set -eu

digest() { printf %s "$1" | sha256sum | cut -d ' ' -f 1; }

sed -e "s/@TENANT_SERVICE@/$(digest "${TENANT_SERVICE_REDIS_PASSWORD:?}")/" \
  -e "s/@AGENT_PORTAL_SERVICE@/$(digest "${AGENT_PORTAL_REDIS_PASSWORD:?}")/" \
  -e "s/@OUTBOUND_MESSAGE_SERVICE@/$(digest "${OUTBOUND_REDIS_PASSWORD:?}")/" \
  "$(dirname "$0")/users.acl"
