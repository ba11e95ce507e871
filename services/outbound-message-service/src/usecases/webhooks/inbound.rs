//! What contacts wrote, called and chose: kept exactly once, told of, windows opened.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Duration, Utc};
use portal_db::{DbError, Tx, outbox};
use portal_events::{
    EventContext,
    catalogue::{self, ContactPreferenceChanged, MessageEchoed, MessageReceived},
    outbox_event,
};
use portal_types::{ConversationId, TenantId};
use portal_whatsapp::webhook::{InboundMessage, Person, Preference};
use uuid::Uuid;

use crate::{
    events::SOURCE,
    store::{
        contacts::{self, LastSeen, NewAlias},
        inbound::{self, NewInbound},
    },
};

/// The customer service window (Cloud API, "Customer service windows").
const WINDOW: Duration = Duration::hours(24);
/// Rows of one statement.
const ROWS: usize = 1000;

/// A message that came to one of the tenant's numbers.
#[derive(Clone)]
pub(super) struct Arrival {
    pub(super) phone_number_id: String,
    pub(super) message: InboundMessage,
    pub(super) received_at: DateTime<Utc>,
    pub(super) traceparent: Option<String>,
}

/// A contact called one of the tenant's numbers.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) phone_number_id: String,
    pub(super) person: Person,
    pub(super) at: DateTime<Utc>,
}

/// A choice of a contact.
#[derive(Clone)]
pub(super) struct Choice {
    pub(super) preference: Preference,
    pub(super) at: DateTime<Utc>,
}

impl Arrival {
    /// When it was written. Receipt can be days late, and nothing is written later than it is
    /// received.
    fn at(&self) -> DateTime<Utc> {
        self.message
            .timestamp
            .map_or(self.received_at, |at| at.min(self.received_at))
    }
}

/// Keeps the tenant's messages in the order in which they were written; answers how many are new.
pub(super) fn receive(
    tx: &mut Tx<'_>,
    arrivals: &[Arrival],
    content_in_events: bool,
) -> Result<usize, DbError> {
    if arrivals.is_empty() {
        return Ok(0);
    }
    let tenant = tx.own_tenant()?;
    let mut arrivals: Vec<&Arrival> = arrivals.iter().collect();
    // One order for all, so that two that keep the same messages at once wait for each other only.
    arrivals.sort_by(|a, b| {
        let key = |arrival: &Arrival| (arrival.at(), arrival.message.wamid.clone());
        key(a).cmp(&key(b))
    });
    let known = resolve(tx, &tenant, &arrivals)?;
    let (kept, rows): (Vec<&Arrival>, Vec<NewInbound>) = arrivals
        .iter()
        .filter_map(|arrival| Some((*arrival, row(&tenant, arrival, &known)?)))
        .unzip();
    let mut events = Vec::new();
    let mut windows = Windows::default();
    let mut stored = 0;
    for (arrivals, rows) in kept.chunks(ROWS).zip(rows.chunks(ROWS)) {
        let new: HashSet<Uuid> = inbound::insert(tx, rows)?.into_iter().collect();
        stored += new.len();
        for (arrival, row) in arrivals.iter().zip(rows) {
            if new.contains(&row.inbound_id) {
                events.push(event(&tenant, arrival, row, content_in_events)?);
            }
        }
    }
    // Also for what is known already: a post may be applied again after half of it was.
    for arrival in &arrivals {
        windows.note(
            &arrival.phone_number_id,
            &arrival.message.person,
            &known,
            arrival.at(),
            arrival.message.opens_window(),
        );
    }
    windows.open(tx)?;
    for chunk in events.chunks(ROWS) {
        outbox::append(tx, chunk)?;
    }
    Ok(stored)
}

/// Opens the windows of contacts that called.
pub(super) fn answer_calls(tx: &mut Tx<'_>, calls: &[Call]) -> Result<(), DbError> {
    let mut windows = Windows::default();
    for call in calls {
        windows.note(
            &call.phone_number_id,
            &call.person,
            &HashMap::new(),
            call.at,
            true,
        );
    }
    windows.open(tx)
}

/// Notes what contacts chose, and tells of what is news.
pub(super) fn note_choices(tx: &mut Tx<'_>, choices: &[Choice]) -> Result<(), DbError> {
    if choices.is_empty() {
        return Ok(());
    }
    let tenant_id = tx.own_tenant()?;
    let mut events = Vec::new();
    let user_ids: Vec<String> = choices
        .iter()
        .filter_map(|choice| choice.preference.person.user_id.clone())
        .collect();
    let known = contacts::resolve(tx, &user_ids)?;
    for Choice { preference, at } in choices {
        let Preference {
            person,
            category,
            value,
            ..
        } = preference;
        let mut is_news = false;
        let forms: BTreeSet<String> = person
            .contacts()
            .chain(contact_of(person, &known))
            .collect();
        for contact in forms {
            is_news |= contacts::prefer(tx, &contact, category, value, *at)?;
        }
        if let Some(contact) = person.contact().filter(|_| is_news) {
            let event = ContactPreferenceChanged {
                tenant_id: tenant_id.clone(),
                contact,
                category: category.clone(),
                value: value.clone(),
                at: *at,
            };
            let context = EventContext::default();
            events.push(outbox_event(SOURCE, &tenant_id, &context, *at, &event)?);
        }
    }
    if events.is_empty() {
        return Ok(());
    }
    outbox::append(tx, &events)
}

/// Which contact a user id stands for, with what these messages show of it.
fn resolve(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    arrivals: &[&Arrival],
) -> Result<HashMap<String, String>, DbError> {
    let mut pairs: BTreeMap<(String, String), NewAlias> = BTreeMap::new();
    for arrival in arrivals {
        let person = &arrival.message.person;
        let change = arrival.message.identity.as_ref();
        let alias = |user_id: &String, digits: &String, source| NewAlias {
            tenant_id: tenant.to_string(),
            user_id: user_id.clone(),
            contact: format!("+{digits}"),
            source,
            previous_user_id: change.and_then(|change| change.previous_user_id.clone()),
            previous_contact: change
                .and_then(|change| change.previous_wa_id.as_ref())
                .map(|digits| format!("+{digits}")),
            seen_at: arrival.at(),
        };
        let shown = change.map_or((&person.user_id, &person.wa_id, "message"), |change| {
            (&change.user_id, &change.wa_id, "number_change")
        });
        if let (Some(user_id), Some(digits), source) = shown {
            let alias = alias(user_id, digits, source);
            pairs
                .entry((alias.user_id.clone(), alias.contact.clone()))
                .or_insert(alias);
        }
    }
    let pairs: Vec<NewAlias> = pairs.into_values().collect();
    contacts::insert_aliases(tx, &pairs)?;

    let mut user_ids: Vec<String> = arrivals
        .iter()
        .flat_map(|arrival| {
            let change = arrival.message.identity.as_ref();
            let previous = change.and_then(|change| change.previous_user_id.clone());
            arrival
                .message
                .person
                .user_id
                .clone()
                .into_iter()
                .chain(previous)
        })
        .collect();
    user_ids.sort_unstable();
    user_ids.dedup();
    let mut known = contacts::resolve(tx, &user_ids)?;

    // A new user id without a number goes on as who the old one was.
    let mut renamed = Vec::new();
    for arrival in arrivals {
        let Some(change) = &arrival.message.identity else {
            continue;
        };
        if let (Some(user_id), None, Some(previous)) =
            (&change.user_id, &change.wa_id, &change.previous_user_id)
        {
            let contact = known.get(previous).unwrap_or(previous).clone();
            known
                .entry(user_id.clone())
                .or_insert_with(|| contact.clone());
            renamed.push(NewAlias {
                tenant_id: tenant.to_string(),
                user_id: user_id.clone(),
                contact,
                source: "user_id_change",
                previous_user_id: Some(previous.clone()),
                previous_contact: None,
                seen_at: arrival.at(),
            });
        }
    }
    renamed.sort_by(|a, b| (&a.user_id, &a.contact).cmp(&(&b.user_id, &b.contact)));
    contacts::insert_aliases(tx, &renamed)?;
    Ok(known)
}

/// The contact that a person is: its number if it is shown, else whom its user id stands for.
fn contact_of(person: &Person, known: &HashMap<String, String>) -> Option<String> {
    if person.wa_id.is_none()
        && let Some(user_id) = &person.user_id
    {
        return Some(known.get(user_id).unwrap_or(user_id).clone());
    }
    person.contact()
}

fn row(
    tenant: &TenantId,
    arrival: &Arrival,
    known: &HashMap<String, String>,
) -> Option<NewInbound> {
    let message = &arrival.message;
    let contact = contact_of(&message.person, known)?;
    Some(NewInbound {
        inbound_id: Uuid::now_v7(),
        tenant_id: tenant.to_string(),
        phone_number_id: arrival.phone_number_id.clone(),
        wamid: message.wamid.clone(),
        origin: if message.is_echo { "phone" } else { "contact" },
        conversation_id: ConversationId::of(tenant, &arrival.phone_number_id, &contact).as_uuid(),
        contact,
        wa_id: message.person.wa_id.clone(),
        user_id: message.person.user_id.clone(),
        profile_name: message.person.name.clone(),
        username: message.person.username.clone(),
        type_: message.kind.clone(),
        payload: message.raw.clone(),
        context_wamid: message.context_wamid.clone(),
        refers_to: message.refers_to.clone(),
        media_id: message.media_id.clone(),
        sent_at: arrival.at(),
        received_at: arrival.received_at,
    })
}

fn event(
    tenant: &TenantId,
    arrival: &Arrival,
    row: &NewInbound,
    with_content: bool,
) -> Result<outbox::NewOutboxEvent, DbError> {
    let context = EventContext {
        traceparent: arrival.traceparent.clone(),
        request_id: None,
    };
    let payload = with_content.then(|| arrival.message.content());
    let conversation_id = ConversationId::from(row.conversation_id);
    if arrival.message.is_echo {
        let echoed = MessageEchoed {
            wamid: row.wamid.clone(),
            tenant_id: tenant.clone(),
            conversation_id,
            to: row.contact.clone(),
            message_type: row.type_.clone(),
            payload,
            inbound_id: row.inbound_id,
            phone_number_id: row.phone_number_id.clone(),
            sent_at: row.sent_at,
        };
        return outbox_event(SOURCE, tenant, &context, row.sent_at, &echoed);
    }
    let received = MessageReceived {
        wamid: row.wamid.clone(),
        tenant_id: tenant.clone(),
        conversation_id,
        from: row.contact.clone(),
        contact_name: row.profile_name.clone(),
        message_type: row.type_.clone(),
        payload,
        inbound_id: row.inbound_id,
        phone_number_id: row.phone_number_id.clone(),
        wa_id: row.wa_id.clone(),
        user_id: row.user_id.clone(),
        context_wamid: row.context_wamid.clone(),
        refers_to: row.refers_to.clone(),
        identity_change: arrival.message.identity.as_ref().map(|change| {
            catalogue::IdentityChange {
                wa_id: change.wa_id.clone(),
                user_id: change.user_id.clone(),
                previous_wa_id: change.previous_wa_id.clone(),
                previous_user_id: change.previous_user_id.clone(),
            }
        }),
        sent_at: row.sent_at,
        window_expires_at: arrival.message.opens_window().then(|| row.sent_at + WINDOW),
    };
    outbox_event(SOURCE, tenant, &context, row.sent_at, &received)
}

/// Latest times of contacts and numbers.
#[derive(Default)]
struct Windows {
    latest: BTreeMap<(String, String), DateTime<Utc>>,
    numbers: BTreeMap<String, LastSeen>,
}

impl Windows {
    fn note(
        &mut self,
        phone_number_id: &str,
        person: &Person,
        known: &HashMap<String, String>,
        at: DateTime<Utc>,
        opens: bool,
    ) {
        let last = self.numbers.entry(phone_number_id.to_owned()).or_default();
        if !opens {
            return;
        }
        last.inbound_at = last.inbound_at.max(Some(at));
        for contact in person.contacts().chain(contact_of(person, known)) {
            let latest = self
                .latest
                .entry((phone_number_id.to_owned(), contact))
                .or_insert(at);
            *latest = at.max(*latest);
        }
    }

    fn open(&self, tx: &mut Tx<'_>) -> Result<(), DbError> {
        contacts::open_windows(tx, &self.latest)?;
        contacts::note_numbers(tx, &self.numbers)
    }
}
