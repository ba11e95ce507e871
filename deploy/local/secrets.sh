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
