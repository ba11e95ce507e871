//! Who is who: identities, and the links between those of one person.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use diesel::{prelude::*, sql_types};
use portal_db::{Column, DbError, OverRows, Tx};
use portal_db_schema::schema::{contact_identities as identities, contact_links as links};
use portal_types::TenantId;
use uuid::Uuid;

use crate::{Identity, Message};

/// Who the identities of some messages are.
#[derive(Debug, Default)]
pub(crate) struct Resolved {
    /// The contact of each identity.
    pub(crate) contacts: HashMap<Identity, Identity>,
    /// Contacts that others turned out to be, too.
    pub(crate) grown: BTreeSet<Identity>,
}

/// Why two identities are one person's.
struct Link {
    cause: &'static str,
    entry_id: Option<Uuid>,
    at: DateTime<Utc>,
}

type Pair = (Identity, Identity);

fn pair(one: &Identity, other: &Identity) -> Pair {
    (one.min(other).clone(), one.max(other).clone())
}

/// Finds the contacts of these messages, with what the messages themselves show. Who an identity is
/// stays as it is until the transaction ends.
pub(crate) fn resolve(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    messages: &[(Uuid, &Message)],
) -> Result<Resolved, DbError> {
    let mut all: BTreeSet<Identity> = BTreeSet::new();
    let mut pairs: BTreeMap<Pair, Link> = BTreeMap::new();
    for (entry_id, message) in messages {
        let others = [
            (&message.also, "seen_together"),
            (&message.formerly, "identity_change"),
        ];
        all.insert(message.identity.clone());
        for (other, cause) in others {
            let Some(other) = other else { continue };
            all.insert(other.clone());
            let link = Link {
                cause,
                entry_id: Some(*entry_id),
                at: message.occurred_at,
            };
            pairs.entry(pair(&message.identity, other)).or_insert(link);
        }
    }
    let mut resolved = Resolved::default();
    if !is_all_known(tx, tenant, &all, &pairs)? {
        // Who adds links sees all that others added.
        diesel::sql_query("SELECT pg_advisory_xact_lock(hashtextextended('contacts ' || $1, 0))")
            .bind::<sql_types::Text, _>(tenant.as_str())
            .execute(tx.conn())?;
        resolved.grown = grow(tx, tenant, &all, pairs)?;
    }
    resolved.contacts = lock(tx, tenant, &all)?;
    note_names(tx, messages)?;
    Ok(resolved)
}

fn texts<'a>(identities: impl IntoIterator<Item = &'a Identity>) -> Vec<&'a str> {
    identities.into_iter().map(Identity::as_str).collect()
}

fn is_all_known(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    all: &BTreeSet<Identity>,
    pairs: &BTreeMap<Pair, Link>,
) -> Result<bool, DbError> {
    let known: i64 = identities::table
        .filter(identities::tenant_id.eq(tenant.as_str()))
        .filter(identities::identity.eq_any(texts(all)))
        .count()
        .get_result(tx.conn())?;
    if usize::try_from(known) != Ok(all.len()) {
        return Ok(false);
    }
    if pairs.is_empty() {
        return Ok(true);
    }
    let found: Vec<(String, String)> = links::table
        .filter(links::tenant_id.eq(tenant.as_str()))
        .filter(links::identity_a.eq_any(texts(pairs.keys().map(|(a, _)| a))))
        .filter(links::identity_b.eq_any(texts(pairs.keys().map(|(_, b)| b))))
        .select((links::identity_a, links::identity_b))
        .load(tx.conn())?;
    let found: BTreeSet<Pair> = found
        .into_iter()
        .map(|(a, b)| (Identity::of(a), Identity::of(b)))
        .collect();
    Ok(pairs.keys().all(|pair| found.contains(pair)))
}

/// Adds what is new; answers which contacts grew.
fn grow(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    all: &BTreeSet<Identity>,
    mut pairs: BTreeMap<Pair, Link>,
) -> Result<BTreeSet<Identity>, DbError> {
    let rows: Vec<_> = all
        .iter()
        .map(|identity| {
            (
                identities::tenant_id.eq(tenant.as_str()),
                identities::identity.eq(identity.as_str()),
                identities::contact.eq(identity.as_str()),
            )
        })
        .collect();
    let new: Vec<String> = diesel::insert_into(identities::table)
        .values(rows)
        .on_conflict_do_nothing()
        .returning(identities::identity)
        .get_results(tx.conn())?;
    let variants: BTreeMap<Identity, Identity> = new
        .into_iter()
        .filter_map(|new| {
            let new = Identity::of(new);
            Some((new.variant()?, new))
        })
        .collect();
    let found: Vec<String> = identities::table
        .filter(identities::tenant_id.eq(tenant.as_str()))
        .filter(identities::identity.eq_any(texts(variants.keys())))
        .select(identities::identity)
        .load(tx.conn())?;
    for found in found {
        let variant = Identity::of(found);
        if let Some(new) = variants.get(&variant) {
            let link = Link {
                cause: "number_variant",
                entry_id: None,
                at: Utc::now(),
            };
            pairs.entry(pair(&variant, new)).or_insert(link);
        }
    }
    let added = insert_links(tx, tenant, &pairs)?;
    unite(tx, tenant, &added)
}

fn insert_links(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    pairs: &BTreeMap<Pair, Link>,
) -> Result<Vec<Pair>, DbError> {
    if pairs.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<_> = pairs
        .iter()
        .map(|((a, b), link)| {
            (
                links::tenant_id.eq(tenant.as_str()),
                links::identity_a.eq(a.as_str()),
                links::identity_b.eq(b.as_str()),
                links::cause.eq(link.cause),
                links::entry_id.eq(link.entry_id),
                links::linked_at.eq(link.at),
            )
        })
        .collect();
    let added: Vec<(String, String)> = diesel::insert_into(links::table)
        .values(rows)
        .on_conflict_do_nothing()
        .returning((links::identity_a, links::identity_b))
        .get_results(tx.conn())?;
    Ok(added
        .into_iter()
        .map(|(a, b)| (Identity::of(a), Identity::of(b)))
        .collect())
}

/// Makes one contact of the two ends of each link; the first identity stands for all.
fn unite(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    added: &[Pair],
) -> Result<BTreeSet<Identity>, DbError> {
    let ends: BTreeSet<Identity> = added
        .iter()
        .flat_map(|(a, b)| [a.clone(), b.clone()])
        .collect();
    let contacts = lock(tx, tenant, &ends)?;
    // Where each contact that was swallowed went.
    let mut into: BTreeMap<Identity, Identity> = BTreeMap::new();
    let find = |into: &BTreeMap<Identity, Identity>, of: &Identity| {
        let mut contact = contacts.get(of).unwrap_or(of).clone();
        while let Some(next) = into.get(&contact) {
            contact = next.clone();
        }
        contact
    };
    for (a, b) in added {
        let (a, b) = (find(&into, a), find(&into, b));
        if a != b {
            into.insert((&a).max(&b).clone(), (&a).min(&b).clone());
        }
    }
    let mut grown = BTreeSet::new();
    for swallowed in into.keys() {
        let contact = {
            let mut contact = swallowed;
            while let Some(next) = into.get(contact) {
                contact = next;
            }
            contact
        };
        name_anew(tx, tenant, swallowed, contact)?;
        grown.insert(contact.clone());
    }
    Ok(grown)
}

fn name_anew(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    former: &Identity,
    contact: &Identity,
) -> Result<(), DbError> {
    let own = identities::table
        .filter(identities::tenant_id.eq(tenant.as_str()))
        .filter(identities::contact.eq(former.as_str()));
    diesel::update(own)
        .set(identities::contact.eq(contact.as_str()))
        .execute(tx.conn())?;
    Ok(())
}

/// Locks identities, in their order; answers the contact of each.
fn lock(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    all: &BTreeSet<Identity>,
) -> Result<HashMap<Identity, Identity>, DbError> {
    let rows: Vec<(String, String)> = identities::table
        .filter(identities::tenant_id.eq(tenant.as_str()))
        .filter(identities::identity.eq_any(texts(all)))
        .order(identities::identity)
        .for_update()
        .select((identities::identity, identities::contact))
        .load(tx.conn())?;
    Ok(rows
        .into_iter()
        .map(|(identity, contact)| (Identity::of(identity), Identity::of(contact)))
        .collect())
}

/// Keeps the latest name of each identity, and when it was shown.
fn note_names(tx: &mut Tx<'_>, messages: &[(Uuid, &Message)]) -> Result<(), DbError> {
    /// Longest name that is kept; Meta's end at 25.
    const CHARS: usize = 255;
    type Name = (DateTime<Utc>, String);
    let mut shown: BTreeMap<&Identity, (DateTime<Utc>, Option<Name>)> = BTreeMap::new();
    for (_, message) in messages {
        if message.from != crate::Person::Contact {
            continue;
        }
        let at = message.occurred_at;
        let name = message.name.as_ref().filter(|name| !name.is_empty());
        let name = name.map(|name| {
            (
                at,
                name.chars().filter(|c| *c != '\0').take(CHARS).collect(),
            )
        });
        for identity in std::iter::once(&message.identity).chain(&message.also) {
            let last = shown.entry(identity).or_insert((at, None));
            last.0 = last.0.max(at);
            if name > last.1 {
                last.1.clone_from(&name);
            }
        }
    }
    if shown.is_empty() {
        return Ok(());
    }
    let statement = OverRows::new(
        "UPDATE contact_identities i SET shown_at = greatest(i.shown_at, s.at), \
             name = CASE WHEN (s.name_at, s.name) > (coalesce(i.name_at, '-infinity'), coalesce(i.name, '')) \
                 THEN s.name ELSE i.name END, \
             name_at = greatest(i.name_at, s.name_at) \
         FROM",
        " AS s (identity, at, name_at, name) \
         WHERE i.tenant_id = app_tenant_id() AND i.identity = s.identity",
    );
    statement
        .column(
            shown
                .keys()
                .map(|i| i.as_str().to_owned())
                .collect::<Vec<String>>(),
        )
        .column(shown.values().map(|(at, _)| *at).collect::<Vec<_>>())
        .column(Column::TimeOrNull(
            shown
                .values()
                .map(|(_, name)| name.as_ref().map(|(at, _)| *at))
                .collect(),
        ))
        .column(Column::TextOrNull(
            shown
                .values()
                .map(|(_, name)| name.as_ref().map(|(_, name)| name.clone()))
                .collect(),
        ))
        .execute(tx.conn())?;
    Ok(())
}
