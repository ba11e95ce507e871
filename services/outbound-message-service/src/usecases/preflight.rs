//! What is checked before a message is stored, for every door alike.

use std::sync::Arc;

use portal_db::DbError;
use portal_service_kit::FieldErrors;
use portal_tenant_client::{TenantClient, TenantStatus, WhatsAppProfile};
use portal_types::{ConversationId, TenantId};
use portal_whatsapp::Content;

use super::{
    accept_message::AcceptError,
    media::bring::MediaDesk,
    policies::Policies,
    templates::{Templates, UsableTemplate},
};
use crate::domain::{Draft, conversation::conversation_id};

/// What checking needs.
#[derive(Clone)]
pub(crate) struct Preflight {
    pub(crate) tenants: TenantClient,
    pub(crate) policies: Policies,
    pub(crate) media: MediaDesk,
    pub(crate) templates: Templates,
}

/// A message that nothing speaks against, as far as can be told without its transaction.
pub(crate) struct Cleared {
    /// With what the tenant sends.
    pub(crate) whatsapp: WhatsAppProfile,
    pub(crate) conversation: ConversationId,
    /// The content as Meta gets it.
    pub(crate) content: serde_json::Value,
    /// Whether it is known to be marketing, which contacts may have stopped.
    pub(crate) is_marketing: bool,
}

impl Preflight {
    /// Checks what does not depend on other messages.
    pub(crate) async fn check(
        &self,
        tenant: &TenantId,
        draft: &Draft,
    ) -> Result<Cleared, AcceptError> {
        self.check_raw(tenant, &draft.content).await?;
        let whatsapp = self.sender(tenant).await?;
        let conversation = conversation_id(tenant, &whatsapp.phone_number_id, &draft.to);
        if draft
            .conversation_id
            .is_some_and(|given| given != conversation)
        {
            let mut errors = FieldErrors::new();
            errors.add(
                "conversation_id",
                "is not the conversation with this recipient: leave it out",
            );
            return Err(AcceptError::Invalid(errors));
        }
        let (content, is_marketing) = self
            .check_content(tenant, &whatsapp.waba_id, &draft.content)
            .await?;
        Ok(Cleared {
            whatsapp,
            conversation,
            content,
            is_marketing,
        })
    }

    /// Checks a content that is to take the place of another in a message of the tenant.
    pub(crate) async fn check_change(
        &self,
        tenant: &TenantId,
        content: &Content,
    ) -> Result<(serde_json::Value, bool), AcceptError> {
        self.check_raw(tenant, content).await?;
        let whatsapp = self.sender(tenant).await?;
        self.check_content(tenant, &whatsapp.waba_id, content).await
    }

    async fn check_raw(&self, tenant: &TenantId, content: &Content) -> Result<(), AcceptError> {
        let is_raw = matches!(content, Content::Raw(_));
        if is_raw && !self.policies.of(tenant).await?.allow_raw {
            return Err(AcceptError::RawNotAllowed);
        }
        Ok(())
    }

    /// Holds a content against the account's templates and the tenant's files. Answers it as Meta gets
    /// it, and whether it is known to be marketing.
    async fn check_content(
        &self,
        tenant: &TenantId,
        waba_id: &str,
        content: &Content,
    ) -> Result<(serde_json::Value, bool), AcceptError> {
        let mut is_marketing = false;
        if let Some(template) = content.template() {
            let finding = self.templates.check(tenant, waba_id, &template);
            let finding = finding.await?;
            is_marketing = finding.is_marketing();
            if !finding.errors.is_empty() {
                return Err(AcceptError::Invalid(finding.errors));
            }
        }
        let written =
            serde_json::to_value(content).map_err(|error| DbError::Other(Box::new(error)))?;
        if !matches!(content, Content::Text(_)) {
            let files = self.media.check(tenant, written.clone()).await?;
            if !files.is_empty() {
                return Err(AcceptError::Invalid(files));
            }
        }
        Ok((written, is_marketing))
    }

    /// Templates that can be sent when nothing else can; none when they cannot be read just now.
    pub(crate) async fn usable(&self, tenant: &TenantId, waba_id: &str) -> Arc<[UsableTemplate]> {
        match self.templates.usable(tenant, waba_id).await {
            Ok(usable) => usable.into(),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "usable templates are not told"
                );
                [].into()
            }
        }
    }

    /// With what the tenant sends, if it may.
    pub(crate) async fn sender(&self, tenant: &TenantId) -> Result<WhatsAppProfile, AcceptError> {
        let profile = self
            .tenants
            .sending_profile(tenant)
            .await?
            .ok_or(AcceptError::UnknownTenant)?;
        if profile.status != TenantStatus::Active {
            return Err(AcceptError::TenantSuspended);
        }
        profile.whatsapp.ok_or(AcceptError::WhatsappNotConfigured)
    }
}
