//! When a session's Genesys token is renewed, and by whom.

use chrono::{DateTime, Duration, Utc};

/// What is known of the tokens that Genesys gave for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GenesysTokenState {
    /// When the access token came.
    pub(crate) issued_at: Option<DateTime<Utc>>,
    /// When the access token ends.
    pub(crate) expires_at: DateTime<Utc>,
    /// Whether there is a refresh token: a public client gets none.
    pub(crate) is_renewable: bool,
    /// When the refresh token was sent to Genesys, if its answer is not stored yet.
    pub(crate) refresh_began_at: Option<DateTime<Utc>>,
}

/// What to do when the access token is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenVerdict {
    /// It is good for a while.
    Use,
    /// Renew it now.
    Renew,
    /// Somebody is renewing it.
    Wait,
    /// It has run out, and nothing renews it.
    RanOut,
    /// Genesys took it back, or the answer that held its successor was lost: a refresh token that
    /// was sent once is never sent again.
    Lost,
}

impl GenesysTokenState {
    /// Judges the access token. `refused` is the one that Genesys refused, by when it came; `lease`
    /// is how long an answer may be on its way.
    pub(crate) fn judge(
        &self,
        refused: Option<DateTime<Utc>>,
        lease: Duration,
        now: DateTime<Utc>,
    ) -> TokenVerdict {
        if let Some(began) = self.refresh_began_at {
            return if now - began < lease {
                TokenVerdict::Wait
            } else {
                TokenVerdict::Lost
            };
        }
        let is_refused = refused.is_some() && refused == self.issued_at;
        let left = self.expires_at - now;
        if !is_refused && left > self.margin() {
            TokenVerdict::Use
        } else if self.is_renewable {
            TokenVerdict::Renew
        } else if left <= Duration::zero() {
            TokenVerdict::RanOut
        } else if is_refused {
            TokenVerdict::Lost
        } else {
            TokenVerdict::Use
        }
    }

    /// A tenth of its lifetime, and at least a minute: whoever gets the token has time to use it.
    fn margin(&self) -> Duration {
        let lifetime = self
            .issued_at
            .map_or_else(Duration::zero, |issued| self.expires_at - issued);
        (lifetime / 10).max(Duration::minutes(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_in_time_by_one_and_never_with_a_token_that_was_sent() {
        let issued = Utc::now();
        let at = |seconds| issued + Duration::seconds(seconds);
        let confidential = GenesysTokenState {
            issued_at: Some(issued),
            expires_at: at(3_600),
            is_renewable: true,
            refresh_began_at: None,
        };
        let public = GenesysTokenState {
            is_renewable: false,
            ..confidential
        };
        let short = GenesysTokenState {
            expires_at: at(300),
            ..confidential
        };
        let renewing = GenesysTokenState {
            refresh_began_at: Some(at(3_300)),
            ..confidential
        };
        let refused = Some(issued);
        for (state, refused, seconds, verdict) in [
            (confidential, None, 3_239, TokenVerdict::Use),
            (confidential, None, 3_240, TokenVerdict::Renew),
            (confidential, None, 9_999, TokenVerdict::Renew),
            (confidential, refused, 1, TokenVerdict::Renew),
            (confidential, Some(at(-9)), 1, TokenVerdict::Use),
            (short, None, 239, TokenVerdict::Use),
            (short, None, 240, TokenVerdict::Renew),
            (public, None, 3_599, TokenVerdict::Use),
            (public, None, 3_600, TokenVerdict::RanOut),
            (public, refused, 1, TokenVerdict::Lost),
            (public, refused, 3_600, TokenVerdict::RanOut),
            (renewing, None, 3_319, TokenVerdict::Wait),
            (renewing, None, 3_320, TokenVerdict::Lost),
            (renewing, refused, 3_319, TokenVerdict::Wait),
        ] {
            let found = state.judge(refused, Duration::seconds(20), at(seconds));
            assert_eq!(found, verdict, "{state:?} {refused:?} {seconds}");
        }
    }
}
