//! Which conversation a message belongs to.

use portal_types::{ConversationId, TenantId};
use portal_whatsapp::Recipient;
use uuid::Uuid;

/// Namespace of conversation ids, a random constant.
const NAMESPACE: Uuid = Uuid::from_u128(0x5f0c_2f43_7c1e_4c55_9a6c_0d2b_8f9e_6a11);

/// The conversation of a tenant's number with a contact.
///
/// The id is derived from the three, so that every service finds the same one without asking.
pub(crate) fn conversation_id(
    tenant: &TenantId,
    phone_number_id: &str,
    contact: &Recipient,
) -> ConversationId {
    conversation_of(tenant, phone_number_id, contact.contact_key())
}

/// As [`conversation_id`], for a contact in the form of a recipient: a number with its plus or a
/// business-scoped user id.
pub(crate) fn conversation_of(
    tenant: &TenantId,
    phone_number_id: &str,
    contact: &str,
) -> ConversationId {
    let contact = contact.strip_prefix('+').unwrap_or(contact);
    // None of the parts can hold a line break.
    let name = format!("{tenant}\n{phone_number_id}\n{contact}");
    Uuid::new_v5(&NAMESPACE, name.as_bytes()).into()
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
