//! What the agent-level model is about, and by which names its columns are known.

/// Tables of the agent-level model that the organization-level one has no place for.
pub(crate) const AGENT_TABLES: [&str; 4] = [
    "agents",
    "agent_whatsapp_accounts",
    "agent_sessions",
    "agent_conversation_assignments",
];

/// Tables of the organization-level model that no agent-level installation has.
pub(crate) const ORGANIZATION_TABLES: [&str; 3] = [
    "genesys_users",
    "genesys_user_sessions",
    "conversation_assignments",
];

/// How a column is found.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Found {
    /// It is the table's key.
    Key,
    /// It refers to that subject's table; by name when no foreign key says so.
    Reference(&'static str, &'static [&'static str]),
    /// By its name.
    Name(&'static [&'static str]),
}

/// What a column of a subject means.
#[derive(Debug)]
pub(crate) struct Meaning {
    pub(crate) name: &'static str,
    pub(crate) required: bool,
    pub(crate) found: Found,
}

/// What a table holds.
#[derive(Debug)]
pub(crate) struct Subject {
    /// Its name in the mapping.
    pub(crate) name: &'static str,
    /// The table's usual name.
    pub(crate) table: &'static str,
    /// Whether there is nothing to migrate without it.
    pub(crate) required: bool,
    pub(crate) meanings: &'static [Meaning],
}

const fn needed(name: &'static str, found: Found) -> Meaning {
    Meaning {
        name,
        required: true,
        found,
    }
}

const fn welcome(name: &'static str, names: &'static [&'static str]) -> Meaning {
    Meaning {
        name,
        required: false,
        found: Found::Name(names),
    }
}

const TOKEN: &[&str] = &["access_token", "token", "api_token", "bearer_token"];
const WABA: &[&str] = &[
    "waba_id",
    "whatsapp_business_account_id",
    "business_account_id",
];
const NUMBER: &[&str] = &["phone_number_id", "phone_id", "number_id"];
const SHOWN_NUMBER: &[&str] = &["display_phone_number", "phone_number", "display_number"];
const CREATED: &[&str] = &["created_at", "created", "created_on", "inserted_at"];
const TENANT: &[&str] = &["tenant_id", "tenant", "organization_id", "company_id"];
const AGENT: &[&str] = &["agent_id", "agent", "user_id", "owner_id"];

/// All that a mapping speaks of.
pub(crate) const SUBJECTS: &[Subject] = &[
    Subject {
        name: "tenants",
        table: "tenants",
        required: true,
        meanings: &[
            needed("key", Found::Key),
            needed(
                "name",
                Found::Name(&["name", "tenant_name", "company_name", "display_name"]),
            ),
            welcome(
                "genesys_org_id",
                &["genesys_org_id", "genesys_organization_id"],
            ),
            welcome("status", &["status", "state"]),
        ],
    },
    Subject {
        name: "agents",
        table: "agents",
        required: true,
        meanings: &[
            needed("key", Found::Key),
            needed("tenant", Found::Reference("tenants", TENANT)),
            needed(
                "email",
                Found::Name(&["email", "email_address", "mail", "agent_email"]),
            ),
            needed(
                "name",
                Found::Name(&["name", "full_name", "display_name", "agent_name"]),
            ),
            welcome("active", &["is_active", "active", "enabled"]),
            welcome(
                "last_login",
                &["last_login_at", "last_login", "last_seen_at"],
            ),
            welcome("created", CREATED),
        ],
    },
    Subject {
        name: "accounts",
        table: "agent_whatsapp_accounts",
        required: false,
        meanings: &[
            needed("key", Found::Key),
            needed("agent", Found::Reference("agents", AGENT)),
            needed("waba_id", Found::Name(WABA)),
            needed("phone_number_id", Found::Name(NUMBER)),
            needed("access_token", Found::Name(TOKEN)),
            welcome("display_phone_number", SHOWN_NUMBER),
            welcome("created", CREATED),
        ],
    },
    Subject {
        name: "sessions",
        table: "agent_sessions",
        required: false,
        meanings: &[
            needed("key", Found::Key),
            needed("agent", Found::Reference("agents", AGENT)),
            welcome("access_token", TOKEN),
            welcome(
                "expires",
                &["expires_at", "expires", "expiry", "valid_until"],
            ),
        ],
    },
    Subject {
        name: "assignments",
        table: "agent_conversation_assignments",
        required: false,
        meanings: &[
            needed("key", Found::Key),
            needed("agent", Found::Reference("agents", AGENT)),
            needed(
                "conversation_id",
                Found::Name(&["conversation_id", "conversation", "conv_id"]),
            ),
            needed(
                "status",
                Found::Name(&["status", "state", "assignment_status"]),
            ),
            welcome("assigned", &["assigned_at", "assigned", "created_at"]),
            welcome(
                "last_activity",
                &["last_activity_at", "last_activity", "updated_at"],
            ),
        ],
    },
    Subject {
        name: "organization_accounts",
        table: "tenant_whatsapp_config",
        required: false,
        meanings: &[
            needed("key", Found::Key),
            needed("tenant", Found::Reference("tenants", TENANT)),
            needed("waba_id", Found::Name(WABA)),
            needed("phone_number_id", Found::Name(NUMBER)),
            needed("access_token", Found::Name(TOKEN)),
            welcome("display_phone_number", SHOWN_NUMBER),
            welcome("business_id", &["business_id", "business_manager_id"]),
        ],
    },
    // Of another service: read for whom a conversation is with, and never written or retired.
    Subject {
        name: "contacts",
        table: "conversation_mappings",
        required: false,
        meanings: &[
            welcome(
                "conversation_id",
                &["conversation_id", "conversation", "conv_id"],
            ),
            welcome("wa_id", &["wa_id", "whatsapp_id", "contact_wa_id"]),
            welcome("name", &["contact_name", "name", "profile_name"]),
            welcome(
                "last_activity",
                &["last_activity_at", "last_activity", "updated_at"],
            ),
        ],
    },
];
