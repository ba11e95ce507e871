//! How often one may call.

use portal_cache::Limit;
use serde::Deserialize;

use super::{Problems, Validate};

/// How often one may call, counted over all replicas.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsSection {
    /// Requests of one address; many people may share one.
    pub per_address_per_minute: u32,
    /// So many of them at once.
    pub per_address_burst: u32,
    /// Requests of one person, API key or administrator.
    pub per_caller_per_minute: u32,
    /// Requests of all people and keys of a tenant that has no `rate_limit` of its own.
    pub per_tenant_per_minute: u32,
    /// Webhooks from one address.
    pub webhooks_per_address_per_minute: u32,
}

impl Default for LimitsSection {
    fn default() -> Self {
        Self {
            per_address_per_minute: 3_000,
            per_address_burst: 3_000,
            per_caller_per_minute: 600,
            per_tenant_per_minute: 6_000,
            webhooks_per_address_per_minute: 120_000,
        }
    }
}

impl LimitsSection {
    /// Of one address.
    pub fn per_address(&self) -> Limit {
        Limit {
            burst: self.per_address_burst,
            ..Limit::per_minute("address", self.per_address_per_minute)
        }
    }

    /// Of one sender of webhooks.
    pub fn per_webhook_address(&self) -> Limit {
        Limit::per_minute("webhook", self.webhooks_per_address_per_minute)
    }

    /// Of one person, API key or administrator.
    pub fn per_caller(&self) -> Limit {
        Limit::per_minute("caller", self.per_caller_per_minute)
    }

    /// Of a tenant, with its own `rate_limit` if it has one.
    pub fn per_tenant(&self, own: Option<u32>) -> Limit {
        Limit::per_minute("tenant", own.unwrap_or(self.per_tenant_per_minute))
    }
}

impl Validate for LimitsSection {
    fn validate(&self, problems: &mut Problems) {
        for (key, value) in [
            ("per_address_per_minute", self.per_address_per_minute),
            ("per_address_burst", self.per_address_burst),
            ("per_caller_per_minute", self.per_caller_per_minute),
            ("per_tenant_per_minute", self.per_tenant_per_minute),
            (
                "webhooks_per_address_per_minute",
                self.webhooks_per_address_per_minute,
            ),
        ] {
            problems.require_within(key, value.into(), 1..=10_000_000);
        }
    }
}
