//! Giving a session that came by redirect to the portal's own server.

use portal_db::DbError;
use secrecy::SecretString;

use super::{SignIn, SignInError, browser_hash, handoff_key};
use crate::{domain::RefreshToken, store::sessions, usecases::token_keys::stored_hash};

impl SignIn {
    /// Takes the code of a redirect, once, in the browser that began the sign-in at the portal's
    /// own server, and answers the session's refresh token.
    #[tracing::instrument(name = "usecase.redeem_handoff", skip_all)]
    pub(crate) async fn redeem(
        &self,
        code: &str,
        browser: Option<&str>,
    ) -> Result<SecretString, SignInError> {
        let handoff = self
            .cache
            .take(&handoff_key(code))
            .await?
            .ok_or(SignInError::UnknownState)?;
        // Without this a link with somebody else's code would sign a person in as somebody else.
        if handoff.browser.is_none() || handoff.browser != browser.map(browser_hash) {
            return Err(SignInError::ForeignState);
        }
        let (tenant_id, session_id) = (handoff.tenant_id, handoff.session_id);
        let candidates: Vec<RefreshToken> = self
            .token_keys
            .for_code(&tenant_id, session_id, code)
            .collect();
        let scope = tenant_id.clone();
        let stored = self
            .db
            .write("sign_in.redeem", &scope, move |tx| {
                let session = sessions::lock_session(tx, &tenant_id, session_id)?;
                Ok::<_, DbError>(session.filter(|session| session.refresh.revoked_at.is_none()))
            })
            .await?
            .ok_or(SignInError::UnknownState)?;
        candidates
            .into_iter()
            .find(|token| stored_hash(token) == stored.refresh.current_hash)
            .map(|token| token.reveal())
            .ok_or(SignInError::UnknownState)
    }
}
