//! For whom a transaction runs.

use portal_types::TenantId;

/// What a transaction may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// The rows of one tenant.
    Tenant(TenantId),
    /// Rows that belong to no tenant (signing keys, webhook intake, inbox).
    Service,
    /// Rows of all tenants, by one of the few named paths.
    CrossTenant(CrossTenantPath),
}

impl From<&TenantId> for Scope {
    fn from(tenant: &TenantId) -> Self {
        Self::Tenant(tenant.clone())
    }
}

/// A path across tenants: a database role that sees just the columns that the path needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrossTenantPath {
    /// Publishes outbox rows.
    Relay,
    /// Finds and lists tenants (tenant-service).
    TenantDirectory,
    /// Tells whether a Genesys user is known in another tenant (agent-portal-service).
    Identity,
    /// Finds sessions that are over, to end and to forget them, and forgets old live events
    /// (agent-portal-service).
    SessionSweeper,
    /// Finds the tenant of a message that Meta reports on (outbound-message-service).
    WebhookRouter,
    /// Finds messages that are due (outbound-message-service).
    DeliverySweeper,
    /// Writes accepted messages of several tenants in one transaction (outbound-message-service).
    MessageAcceptor,
    /// Records what Meta answered, for messages of all tenants (outbound-message-service).
    DeliveryRecorder,
    /// Finds tenants whose people are to be synced (agent-portal-service).
    UserSyncScheduler,
    /// Finds tenants whose live events have no number yet (agent-portal-service).
    LiveFeedWatcher,
    /// Finds `WhatsApp` accounts whose templates or token are to be looked at
    /// (outbound-message-service).
    AccountScheduler,
    /// Finds the tenant of an API key by its digest (tenant-service).
    ApiKeyDirectory,
}

impl CrossTenantPath {
    pub(crate) const fn role(self) -> &'static str {
        match self {
            Self::Relay => "portal_relay",
            Self::TenantDirectory => "tenant_directory",
            Self::Identity => "portal_identity",
            Self::SessionSweeper => "session_sweeper",
            Self::WebhookRouter => "webhook_router",
            Self::DeliverySweeper => "delivery_sweeper",
            Self::MessageAcceptor => "message_acceptor",
            Self::DeliveryRecorder => "delivery_recorder",
            Self::UserSyncScheduler => "user_sync_scheduler",
            Self::LiveFeedWatcher => "live_feed_watcher",
            Self::AccountScheduler => "account_scheduler",
            Self::ApiKeyDirectory => "api_key_directory",
        }
    }
}

impl Scope {
    /// The statement that opens the scope within a transaction.
    pub(crate) fn enter_sql(&self) -> Option<String> {
        match self {
            // A TenantId holds only letters, digits, '_', '.' and '-': it needs no quoting.
            Self::Tenant(tenant) => Some(format!("SET LOCAL app.tenant_id = '{tenant}'")),
            Self::Service => None,
            Self::CrossTenant(path) => Some(format!("SET LOCAL ROLE {}", path.role())),
        }
    }
}
