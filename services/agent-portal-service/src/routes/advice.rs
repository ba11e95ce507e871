//! What a person can do about a sign-in that did not work.

use crate::error::{TENANT_NOT_FOUND, USER_IN_OTHER_ORGANIZATION};

/// A headline and what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Advice {
    pub(crate) headline: &'static str,
    pub(crate) what_to_do: &'static str,
}

/// Codes, headline, and what to do.
const TABLE: &[(&[&str], &str, &str)] = &[
    (
        &["TENANT_NOT_FOUND"],
        TENANT_NOT_FOUND,
        "Your organization has not been connected to Agent Portal yet. Ask your administrator to have it connected; they need the id of your Genesys organization.",
    ),
    (
        &["USER_IN_OTHER_ORGANIZATION"],
        USER_IN_OTHER_ORGANIZATION,
        "Your Genesys user is known here in another organization. Ask your administrator to have it moved, and give them the reference below.",
    ),
    (
        &["TENANT_SUSPENDED"],
        "Your organization is suspended",
        "Nobody of your organization can sign in at the moment. Ask your administrator.",
    ),
    (
        &["USER_DEACTIVATED"],
        "Your access was switched off",
        "Ask an administrator of your organization to switch it on again.",
    ),
    (
        &["ORGANIZATION_INACTIVE"],
        "Your Genesys organization is not active",
        "Ask the administrator of your Genesys organization.",
    ),
    (
        &["GENESYS_USER_INACTIVE"],
        "Your Genesys user is not active",
        "Ask the administrator of your Genesys organization to activate it.",
    ),
    (
        &["TRUSTEE_NOT_ALLOWED"],
        "Guests of other organizations cannot sign in here",
        "Sign in to the organization that you belong to.",
    ),
    (
        &["ROLE_NOT_ALLOWED"],
        "None of your Genesys roles may use the agent portal",
        "Ask the administrator of your Genesys organization for a role that may.",
    ),
    (
        &["REGION_MISMATCH", "REGION_UNKNOWN"],
        "This is not the region of your organization",
        "Choose the Genesys region of your organization and sign in again.",
    ),
    (
        &["GENESYS_ACCESS_DENIED"],
        "Access was denied at Genesys Cloud",
        "Sign in again and allow access. If Genesys says that the portal is not approved, ask your Genesys administrator to approve it.",
    ),
    (
        &["GENESYS_NOT_APPROVED"],
        "Your Genesys organization has not approved this portal",
        "Ask a Genesys administrator of your organization to approve it: they open this sign-in themselves and agree, or approve the client under Authorized Applications (permission OAuth > Client > Authorize).",
    ),
    (
        &["LOGIN_TENANT_UNKNOWN"],
        "This link is for no organization here",
        "Sign in without it, or ask your administrator for the right one.",
    ),
    (
        &["LOGIN_TENANT_MISMATCH"],
        "You signed in to another organization",
        "Sign out of Genesys Cloud, then sign in again with an account of the organization whose link you used.",
    ),
    (
        &["GENESYS_CODE_REFUSED", "LOGIN_STATE_UNKNOWN"],
        "This sign-in is over",
        "It took too long, or was finished already. Sign in again.",
    ),
    (
        &["LOGIN_STATE_FOREIGN"],
        "This sign-in was begun elsewhere",
        "It began in another browser, or your browser did not keep our cookie. Sign in again here, with cookies allowed.",
    ),
    (
        &["GENESYS_CLIENT_REFUSED"],
        "Genesys Cloud does not accept this portal",
        "There is nothing that you can do. Give the reference below to your administrator.",
    ),
    (
        &["GENESYS_UNAVAILABLE"],
        "Genesys Cloud does not answer",
        "Wait a moment and sign in again.",
    ),
    (
        &["RATE_LIMITED"],
        "Too many sign-ins",
        "Wait a moment and sign in again.",
    ),
    (
        &["ORIGIN_NOT_ALLOWED"],
        "This page may not begin a sign-in",
        "Open the agent portal at its own address and sign in there.",
    ),
    (
        &[
            "STARTING",
            "SIGN_IN_UNAVAILABLE",
            "TENANT_DIRECTORY_UNAVAILABLE",
            "DATABASE_UNAVAILABLE",
        ],
        "Signing in is not possible at the moment",
        "This is a passing fault of the portal, and not yours. Wait a moment and sign in again; whoever is signed in already can go on working.",
    ),
    (
        &["SESSION_REVOKED"],
        "You were signed out",
        "The session was ended, here or at Genesys Cloud. Sign in again.",
    ),
    (
        &["SESSION_EXPIRED"],
        "You were signed out",
        "You had not used the portal for a while. Sign in again.",
    ),
];

const OTHERWISE: Advice = Advice {
    headline: "The sign-in did not work",
    what_to_do: "Sign in again. If it keeps happening, give the reference below to your administrator.",
};

/// Advice for an error code; codes come back in addresses, so an unknown one gets general advice.
pub(crate) fn advice(code: &str) -> Advice {
    let found = TABLE.iter().find(|(codes, ..)| codes.contains(&code));
    found.map_or(OTHERWISE, |(_, headline, what_to_do)| Advice {
        headline,
        what_to_do,
    })
}

#[cfg(test)]
mod tests {
    use portal_service_kit::ApiError;

    use super::*;
    use crate::usecases::sign_in::{Refusal, SignInError};

    #[test]
    fn every_refusal_has_advice_of_its_own() {
        let refusals = [
            Refusal::OrganizationInactive,
            Refusal::PersonInactive,
            Refusal::Trustee,
            Refusal::NoRole,
            Refusal::UnknownTenant,
            Refusal::WrongRegion,
            Refusal::OtherTenant,
            Refusal::TenantSuspended,
            Refusal::KnownElsewhere,
            Refusal::UserDeactivated,
            Refusal::PlaceholderDeactivated(portal_types::UserId::generate()),
        ];
        let errors = [
            SignInError::UnknownState,
            SignInError::ForeignState,
            SignInError::Denied,
            SignInError::NotApproved,
            SignInError::TenantNotThere,
            SignInError::CacheAway(portal_cache::CacheError::Decode),
            SignInError::CodeRefused(None),
            SignInError::ClientRefused(None),
            SignInError::GenesysAway(None),
            SignInError::UnknownRegion,
            SignInError::UnknownOrigin,
            SignInError::NotReady,
        ];
        for error in refusals.map(SignInError::from).into_iter().chain(errors) {
            let error = ApiError::from(error);
            assert_ne!(advice(error.code()), advice("?"), "{}", error.code());
        }
    }
}
