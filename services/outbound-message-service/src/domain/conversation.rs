//! Which conversation a message belongs to.

use portal_types::{ConversationId, TenantId};
use portal_whatsapp::Recipient;

/// The conversation of a tenant's number with a contact.
pub(crate) fn conversation_id(
    tenant: &TenantId,
    phone_number_id: &str,
    contact: &Recipient,
) -> ConversationId {
    ConversationId::of(tenant, phone_number_id, contact.contact_key())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_counts_and_the_form_of_the_number_does_not() {
        let acme = TenantId::parse("acme").unwrap();
        let globex = TenantId::parse("globex").unwrap();
        let plain = Recipient::parse("1234567890").unwrap();
        let written = Recipient::parse("+1 234 567-890").unwrap();
        let other = Recipient::parse("+1234567891").unwrap();
        let id = conversation_id(&acme, "1", &plain);
        assert_eq!(id, conversation_id(&acme, "1", &written));
        let user = Recipient::parse("US.1234567890").unwrap();
        assert_ne!(id, conversation_id(&acme, "1", &user));
        assert_ne!(id, conversation_id(&acme, "1", &other));
        assert_ne!(id, conversation_id(&acme, "2", &plain));
        assert_ne!(id, conversation_id(&globex, "1", &plain));
    }
}
