#!/usr/bin/env bash
# Stops everything that run.sh started, in order. --remove-data also removes databases, secrets, logs.

# shellcheck source=deploy/local/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=deploy/local/servers.sh
. "$LOCAL/servers.sh"
# shellcheck source=deploy/local/stack.sh
. "$LOCAL/stack.sh"
# shellcheck source=deploy/local/gateway.sh
. "$LOCAL/gateway.sh"

gateway_stop "$(server_home gateway)"
for ((index = ${#PROGRAMS[@]} - 1; index >= 0; index--)); do
  program_stop "${PROGRAMS[index]}"
done
servers_stop "$(server_home servers)"
say "stopped"

if [ "${1:-}" = --remove-data ]; then
  for name in servers gateway; do
    # Outside the checkout when .local only links to it.
    rm -rf "$(server_home "$name")"
    rm -rf "${STATE:?}/$name"
  done
  # The test servers (make servers) have their own end.
  rm -rf "$STATE/run" "$STATE/logs" "$STATE/secrets"
  say "data, secrets and logs are removed"
fi
