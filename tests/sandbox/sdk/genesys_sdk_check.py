"""Runs the official Genesys Cloud Python SDK, unchanged, against the sandbox.

    python -m venv venv && venv/bin/pip install PureCloudPlatformClientV2==269.0.0
    venv/bin/python genesys_sdk_check.py http://127.0.0.1:3090

Ends with status 0 when every call answered as the SDK expects it. Leave time between runs or
restart the sandbox if a low rate limit was set.
"""

import json
import sys
import urllib.error
import urllib.parse
import urllib.request

import PureCloudPlatformClientV2 as genesys
from PureCloudPlatformClientV2.rest import ApiException

BASE = sys.argv[1].rstrip("/") if len(sys.argv) > 1 else "http://127.0.0.1:3090"
REDIRECT = sys.argv[2] if len(sys.argv) > 2 else "http://localhost:3000/api/agents/auth/callback"
CONFIDENTIAL = ("agent-portal-confidential", "agent-portal-sandbox-secret")
PUBLIC = "agent-portal-pkce"
ACME = "6f1d2c3b-4a5e-4f60-8a7b-9c0d1e2f3a4b"

done = 0


def check(what, condition):
    global done
    if not condition:
        sys.exit(f"FAILED: {what}")
    done += 1
    print(f"ok  {what}")


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args):
        return None


def authorize(email, client_id, **extra):
    """Plays the browser: the SDK has no helper for the authorize step."""
    query = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": REDIRECT,
        "state": "the state",
        "login_hint": email,
        **extra,
    }
    url = f"{BASE}/oauth/authorize?{urllib.parse.urlencode(query)}"
    try:
        urllib.request.build_opener(NoRedirect).open(url)
    except urllib.error.HTTPError as redirect:
        location = urllib.parse.urlsplit(redirect.headers["Location"])
        answer = dict(urllib.parse.parse_qsl(location.query))
        check("authorize returns the state", answer["state"] == "the state")
        return answer["code"]
    sys.exit("FAILED: authorize did not redirect")


def refused(call, status, code=None):
    try:
        call()
    except ApiException as error:
        body = json.loads(error.body) if error.body else {}
        return error.status == status and (code is None or body.get("code") == code)
    return False


# Client credentials.
machine = genesys.ApiClient(BASE).get_client_credentials_token(
    "acme-client-credentials", "acme-sandbox-secret"
)
check("client credentials give a token", bool(machine.access_token))
org = genesys.OrganizationApi(machine).get_organizations_me()
check("organizations/me with client credentials", org.id == ACME and org.name == "Acme Corp")
check(
    "users/me refuses client credentials",
    refused(lambda: genesys.UsersApi(machine).get_users_me(), 400, "bad.request"),
)
try:
    genesys.ApiClient(BASE).get_client_credentials_token("acme-client-credentials", "wrong")
    sys.exit("FAILED: a wrong secret was accepted")
except ApiException as error:
    check("a wrong secret is invalid_client", json.loads(error.body)["error"] == "invalid_client")

# Confidential code client.
client = genesys.ApiClient(BASE)
code = authorize("agent@acme.example", CONFIDENTIAL[0])
client, answer = client.get_code_authorization_token(*CONFIDENTIAL, code, REDIRECT)
check("code gives tokens", answer["token_type"] == "bearer" and bool(client.refresh_token))
users = genesys.UsersApi(client)
me = users.get_users_me(expand=["authorization", "organization", "token"])
check("users/me", me.email == "agent@acme.example" and me.state == "active")
check("expand=authorization", [role.name for role in me.authorization.roles] == ["employee", "User"])
check("expand=organization", me.organization.id == ACME)
check("expand=token", me.token.organization.id == ACME)
check("organizations/me", genesys.OrganizationApi(client).get_organizations_me().state == "active")
tokens = genesys.TokensApi(client)
mine = tokens.get_tokens_me()
check("tokens/me", mine.organization.id == ACME and mine.home_organization.id == ACME)
tokens.head_tokens_me()
check("HEAD tokens/me", True)

# Refresh with rotation.
old = client.refresh_token
before = client.access_token
client.refresh_code_authorization_token(*CONFIDENTIAL, old)
check("refresh rotates both tokens", client.refresh_token != old and client.access_token != before)
try:
    genesys.ApiClient(BASE).refresh_code_authorization_token(*CONFIDENTIAL, old)
    sys.exit("FAILED: a used refresh token was accepted")
except ApiException as error:
    check("a used refresh token is invalid_grant", json.loads(error.body)["error"] == "invalid_grant")

# Listing, with paging, a single user, roles.
seen, page = [], 1
while True:
    listing = genesys.UsersApi(client).get_users(page_size=2, page_number=page, state="any")
    seen += [user.email for user in listing.entities]
    if page >= listing.page_count:
        break
    page += 1
check("get_users pages through all", len(seen) == len(set(seen)) == listing.total and page > 1)
check("get_users by default lists the active", "inactive@acme.example" not in [
    user.email for user in genesys.UsersApi(client).get_users().entities
])
check("get_user", genesys.UsersApi(client).get_user(me.id).email == me.email)
check("get_user of nobody is 404", refused(
    lambda: genesys.UsersApi(client).get_user("00000000-0000-4000-8000-000000000000"),
    404, "not.found"))
check("get_user_roles", genesys.UsersApi(client).get_user_roles(me.id).roles[0].name == "employee")
check("an agent may not list roles", refused(
    lambda: genesys.AuthorizationApi(client).get_authorization_roles(), 403, "missing.permissions"))
check("subjects/me", genesys.AuthorizationApi(client).get_authorization_subjects_me().id == me.id)

# PKCE client.
pkce = genesys.ApiClient(BASE)
verifier = pkce.generate_pkce_code_verifier(64)
code = authorize("admin@acme.example", PUBLIC, code_challenge_method="S256",
                 code_challenge=pkce.compute_pkce_code_challenge(verifier))
pkce, answer = pkce.get_pkce_token(PUBLIC, verifier, code, REDIRECT)
check("PKCE gives a token and no refresh token", "refresh_token" not in answer)
roles = genesys.AuthorizationApi(pkce).get_authorization_roles(page_size=100)
check("an administrator lists roles", "Master Admin" in [role.name for role in roles.entities])

# Sign-out. Without a refresh token at hand the SDK shows the 401 at once.
genesys.TokensApi(pkce).delete_tokens_me()
check("a deleted token is 401", refused(lambda: genesys.TokensApi(pkce).get_tokens_me(), 401))
check("an unknown token is 401", refused(
    lambda: genesys.UsersApi(genesys.ApiClient(BASE)).get_users_me(), 401))
tokens = genesys.TokensApi(client)
tokens.delete_tokens_me()
check("delete_tokens_me of a confidential client", True)

print(f"{done} checks passed against {BASE}")
