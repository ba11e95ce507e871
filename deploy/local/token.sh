#!/usr/bin/env bash
# Prints an access token of a person of the sandbox: token.sh [EMAIL]

# shellcheck source=deploy/local/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=deploy/local/settings.sh
. "$LOCAL/settings.sh"
# shellcheck source=deploy/local/signin.sh
. "$LOCAL/signin.sh"

load_dotenv
! real_genesys || die "with the real Genesys Cloud a person signs in, in a browser"
access_token "${1:-agent@acme.example}"
