//! What handlers need, built once.

use std::sync::Arc;

use portal_db::Db;
use portal_events::RelayWaker;
use portal_service_kit::http::BodyLimit;
use secrecy::SecretString;
use tokio::sync::Notify;

use crate::usecases::{
    accept_message::Acceptor,
    amend_message::Amender,
    mark_read::ReadMarker,
    media::{inbound::InboundMedia, keep::Keeper},
    policies::Policies,
    preview::DryRun,
    templates::Templates,
    webhook_secrets::WebhookSecrets,
};

/// Shared by all handlers.
#[derive(Clone)]
pub(crate) struct AppState {
    pub(crate) db: Db,
    pub(crate) relay: RelayWaker,
    pub(crate) acceptor: Acceptor,
    pub(crate) dry_run: DryRun,
    pub(crate) bulk_body_limit: BodyLimit,
    pub(crate) keeper: Keeper,
    pub(crate) inbound_media: InboundMedia,
    pub(crate) policies: Policies,
    pub(crate) read_marker: ReadMarker,
    pub(crate) templates: Templates,
    pub(crate) amender: Amender,
    pub(crate) webhooks: WebhookDoor,
}

/// What Meta's door needs.
#[derive(Clone)]
pub(crate) struct WebhookDoor {
    pub(crate) app_secrets: Arc<[SecretString]>,
    pub(crate) verify_token: SecretString,
    /// Of tenants with a Meta app of their own.
    pub(crate) secrets: WebhookSecrets,
    pub(crate) arrived: Arc<Notify>,
}
