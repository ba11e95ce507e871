//! What the refresh tokens of people and of administrators have in common: how their secrets are made,
//! and what a presented one is worth.
//!
//! A successor is derived from its predecessor with a key of ours. So whoever repeats a refresh,
//! because the answer was lost, gets the very same successor, though only hashes are stored, and a
//! session never has two families of tokens. A tag proves that we made a token: a guessed one must
//! not end the session that it names, as a used one does.

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    hmac::{self, HMAC_SHA256},
};
use chrono::{DateTime, Duration, Utc};
use portal_vault::{Vault, VaultError};
use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use crate::secret::SECRET_BYTES;

/// 128 bits of HMAC.
pub const REFRESH_TAG_BYTES: usize = 16;

const TAG: &[u8] = b"tag";

/// What only the holder of a refresh token knows: 256 bits.
pub type RefreshSecret = Zeroizing<[u8; SECRET_BYTES]>;

/// Keys for the refresh tokens of one kind: one for each key of the vault, so that changing the
/// vault's active key ends no session.
#[derive(Clone)]
pub struct RefreshKeys {
    active: RefreshKey,
    others: Vec<RefreshKey>,
}

impl RefreshKeys {
    /// Derives them. `label` names the kind and never changes: all of its sessions would end.
    pub fn derive(vault: &Vault, label: &str) -> Result<Self, VaultError> {
        let key = |id: &str| {
            let derived = vault.derive(id, label)?;
            let key = hmac::Key::new(HMAC_SHA256, derived.expose_secret());
            Ok::<_, VaultError>(RefreshKey(key))
        };
        let active = vault.active_key_id();
        let others = vault.key_ids().filter(|id| *id != active).map(key);
        Ok(Self {
            others: others.collect::<Result<_, _>>()?,
            active: key(active)?,
        })
    }

    /// The key for what is made now.
    pub fn active(&self) -> &RefreshKey {
        &self.active
    }

    /// All of them, the active one first.
    pub fn all(&self) -> impl Iterator<Item = &RefreshKey> {
        std::iter::once(&self.active).chain(&self.others)
    }

    /// Whether one of the keys made the tag of `parts`.
    pub fn made(&self, tag: &[u8], parts: &[&[u8]]) -> bool {
        self.all()
            .any(|key| verify_slices_are_equal(&key.tag(parts), tag).is_ok())
    }
}

impl std::fmt::Debug for RefreshKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RefreshKeys").finish_non_exhaustive()
    }
}

/// One of [`RefreshKeys`]. Of the parts that it is given only the last may have a length of its own:
/// nothing stands between them.
#[derive(Clone)]
pub struct RefreshKey(hmac::Key);

impl RefreshKey {
    /// The secret that follows from `parts`; different purposes give unrelated ones.
    pub fn secret(&self, purpose: &[u8], parts: &[&[u8]]) -> RefreshSecret {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(purpose);
        for part in parts {
            context.update(part);
        }
        let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
        bytes.copy_from_slice(context.sign().as_ref());
        bytes
    }

    /// That we made a token of `parts`.
    pub fn tag(&self, parts: &[&[u8]]) -> [u8; REFRESH_TAG_BYTES] {
        let full = self.secret(TAG, parts);
        let mut tag = [0; REFRESH_TAG_BYTES];
        for (to, from) in tag.iter_mut().zip(full.iter()) {
            *to = *from;
        }
        tag
    }
}

/// The limits of sessions.
#[derive(Debug, Clone, Copy)]
pub struct SessionTimes {
    /// Between two uses.
    pub idle: Duration,
    /// From the sign-in on.
    pub absolute: Duration,
    /// How long a rotated token still gets the same successor again: its answer may have been lost.
    pub repeat_grace: Duration,
}

impl SessionTimes {
    /// When a session that is used now ends if nobody uses it again.
    pub fn idle_expiry(&self, now: DateTime<Utc>, expires_at: DateTime<Utc>) -> DateTime<Utc> {
        (now + self.idle).min(expires_at)
    }
}

/// What a session's row says of its refresh tokens.
#[derive(Debug, Clone)]
pub struct RefreshState {
    /// SHA-256 of the secret of the token that is to be presented next.
    pub current_hash: Vec<u8>,
    /// SHA-256 of the one before.
    pub previous_hash: Option<Vec<u8>>,
    /// When the last rotation was.
    pub rotated_at: DateTime<Utc>,
    /// When the session ends if nobody uses it.
    pub idle_expires_at: DateTime<Utc>,
    /// When the session ends in any case.
    pub expires_at: DateTime<Utc>,
    /// When the session was ended.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// What a presented refresh token is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshVerdict {
    /// The current one: rotate.
    Current,
    /// The one before, its answer may have been lost: the same successor again.
    Repeat,
    /// One that was used before: somebody has a copy.
    Reused,
    /// The session is over by time.
    Expired,
    /// The session was ended.
    Revoked,
}

impl RefreshState {
    /// Judges a token of the session by the SHA-256 of its secret.
    pub fn judge(&self, hash: &[u8], times: &SessionTimes, now: DateTime<Utc>) -> RefreshVerdict {
        if self.revoked_at.is_some() {
            return RefreshVerdict::Revoked;
        }
        if now >= self.expires_at || now >= self.idle_expires_at {
            return RefreshVerdict::Expired;
        }
        if hash == self.current_hash {
            return RefreshVerdict::Current;
        }
        let is_previous = self.previous_hash.as_deref() == Some(hash);
        if is_previous && now - self.rotated_at <= times.repeat_grace {
            return RefreshVerdict::Repeat;
        }
        RefreshVerdict::Reused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times() -> SessionTimes {
        SessionTimes {
            idle: Duration::minutes(60),
            absolute: Duration::hours(12),
            repeat_grace: Duration::seconds(10),
        }
    }

    fn state(now: DateTime<Utc>) -> RefreshState {
        RefreshState {
            current_hash: vec![2],
            previous_hash: Some(vec![1]),
            rotated_at: now,
            idle_expires_at: now + Duration::minutes(60),
            expires_at: now + Duration::hours(12),
            revoked_at: None,
        }
    }

    #[test]
    fn tokens_are_judged_by_what_is_known_of_them() {
        let start = Utc::now();
        let state = state(start);
        let after = |seconds| start + Duration::seconds(seconds);
        for (hash, now, verdict) in [
            ([2], after(0), RefreshVerdict::Current),
            ([2], after(3_599), RefreshVerdict::Current),
            ([2], after(3_600), RefreshVerdict::Expired),
            ([1], after(0), RefreshVerdict::Repeat),
            ([1], after(10), RefreshVerdict::Repeat),
            ([1], after(11), RefreshVerdict::Reused),
            ([0], after(0), RefreshVerdict::Reused),
            ([1], after(3_600), RefreshVerdict::Expired),
        ] {
            assert_eq!(state.judge(&hash, &times(), now), verdict, "{hash:?} {now}");
        }
    }

    #[test]
    fn an_ended_session_takes_nothing_and_an_old_one_ends_however_busy_it_is() {
        let now = Utc::now();
        let ended = RefreshState {
            revoked_at: Some(now),
            ..state(now)
        };
        assert_eq!(ended.judge(&[2], &times(), now), RefreshVerdict::Revoked);

        let expires_at = now + Duration::minutes(5);
        assert_eq!(times().idle_expiry(now, expires_at), expires_at);
        let old = RefreshState {
            expires_at,
            ..state(now)
        };
        assert_eq!(
            old.judge(&[2], &times(), expires_at),
            RefreshVerdict::Expired
        );
    }
}
