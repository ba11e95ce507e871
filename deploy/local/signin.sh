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
    jq -e .message 2>/dev/null
}

# access_token EMAIL
access_token() {
  local message
  message=$(sign_in "$1") || {
    warn "the sign-in of $1 failed"
    return 1
  }
  jq -er '.accessToken // empty' <<<"$message" || {
    warn "the sign-in of $1 was refused: $(jq -r '.error // "no reason given"' <<<"$message")"
    return 1
  }
}
