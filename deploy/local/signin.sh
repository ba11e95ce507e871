# shellcheck shell=bash
# Signs a person in as a browser would, without the form: the sandbox takes login_hint. Sourced after
# lib.sh and settings.sh.

# sign_in EMAIL: prints the message that the callback page posts to its opener, as JSON.
sign_in() {
  local email=$1 jar authorize page status=0
  jar=$(mktemp)
  # The cookie ties the sign-in to this browser, so the same jar goes with both requests.
  authorize=$(curl -fsS -m 20 -c "$jar" -b "$jar" -o /dev/null -w '%{redirect_url}' \
    "$API_ORIGIN/api/agents/auth/login") || status=1
  if [ "$status" = 0 ] && [ -n "$authorize" ]; then
    # A refused sign-in is a page too, with the reason in it.
    page=$(curl -sS -m 30 -L --max-redirs 5 -c "$jar" -b "$jar" --get \
      --data-urlencode "login_hint=$email" "$authorize") || status=1
  fi
  rm -f "$jar"
  [ "$status" = 0 ] || return 1
  page_message "${page:-}"
}

# The page carries {"targetOrigin", "message"} as JSON in a script element.
page_message() {
  tr -d '\n' <<<"$1" | sed -n 's|.*<script[^>]*type="application/json"[^>]*>\([^<]*\)</script>.*|\1|p' |
    jq -ce '.message // empty' 2>/dev/null
}

# access_token EMAIL
access_token() {
  local message
  # jq is content with no input at all, so emptiness is asked for.
  if ! message=$(sign_in "$1") || [ -z "$message" ]; then
    warn "nobody was signed in as $1: is the system running, and is that a person of the sandbox?"
    return 1
  fi
  if [ "$(jq -r .type <<<"$message")" != GENESYS_AUTH_SUCCESS ]; then
    warn "the sign-in of $1 was refused: $(jq -r '.error // "no reason given"' <<<"$message")"
    return 1
  fi
  jq -r .accessToken <<<"$message"
}
