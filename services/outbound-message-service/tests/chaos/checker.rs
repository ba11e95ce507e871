//! The judge: what was asked for, what Meta took and what the database says must agree.
//!
//! It knows nothing of how the service works, and everything that it was promised (C1 to C11 of the
//! fault matrix).

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
};

use uuid::Uuid;

/// What a caller knows of one message that it wanted to send.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) tenant: String,
    pub(crate) recipient: String,
    /// Unique, so that a row can be found whose id was never told.
    pub(crate) text: String,
    /// The ids of all 202s that its key got.
    pub(crate) ids: Vec<Uuid>,
    /// Every answer was a 5xx: nothing may have happened.
    pub(crate) only_refused: bool,
}

/// A message that Meta took.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    pub(crate) message_id: Uuid,
    pub(crate) phone_number_id: String,
    pub(crate) recipient: String,
}

/// A message as the database has it at the end.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) message_id: Uuid,
    pub(crate) tenant: String,
    pub(crate) phone_number_id: String,
    pub(crate) recipient: String,
    /// Empty when a test has spoilt it.
    pub(crate) text: String,
    pub(crate) seq: i64,
    pub(crate) status: String,
    pub(crate) error_class: Option<String>,
    pub(crate) possible_duplicate: bool,
    /// Attempts whose outcome stayed unknown.
    pub(crate) unknown_attempts: usize,
}

/// An event that left, or will.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) tenant: String,
    pub(crate) subject: String,
    pub(crate) kind: String,
}

/// All that is known after a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Evidence {
    /// In the order of asking, per conversation.
    pub(crate) wishes: Vec<Wish>,
    /// In the order in which Meta took them.
    pub(crate) taken: Vec<Taken>,
    pub(crate) rows: Vec<Row>,
    pub(crate) events: Vec<Told>,
    /// Which number is whose.
    pub(crate) owners: HashMap<String, String>,
    /// Tenants that want a message rather twice than never.
    pub(crate) at_least_once: BTreeSet<String>,
    /// States in which a message may rest when all is quiet.
    pub(crate) may_rest: BTreeSet<String>,
    /// Bodies that no handler can read, given to the broker on purpose.
    pub(crate) poison: Vec<String>,
    /// Bodies of the dead letters.
    pub(crate) dead_letters: Vec<String>,
    /// Meta told of all that became of a message: a message that it took may not be `failed`.
    pub(crate) webhooks_came: bool,
}

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    pub(crate) promise: &'static str,
    pub(crate) what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.promise, self.what)
    }
}

/// All broken promises.
pub(crate) fn check(evidence: &Evidence) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut broken = |promise, what| found.push(Violation { promise, what });
    acceptance(evidence, &mut broken);
    rest(evidence, &mut broken);
    sends(evidence, &mut broken);
    order(evidence, &mut broken);
    events(evidence, &mut broken);
    walls(evidence, &mut broken);
    dead_letters(evidence, &mut broken);
    found
}

/// C1, C6, C11: a 202 is a row, a key is one message, a refusal is nothing.
fn acceptance(evidence: &Evidence, broken: &mut impl FnMut(&'static str, String)) {
    let rows: HashMap<Uuid, &Row> = evidence
        .rows
        .iter()
        .map(|row| (row.message_id, row))
        .collect();
    let mut by_text: BTreeMap<&str, usize> = BTreeMap::new();
    for row in &evidence.rows {
        *by_text.entry(&row.text).or_default() += 1;
    }
    for wish in &evidence.wishes {
        for id in &wish.ids {
            if !rows.contains_key(id) {
                broken("C1", format!("{id} was accepted and is lost"));
            }
        }
        let count = by_text.get(wish.text.as_str()).copied().unwrap_or_default();
        if count > 1 || wish.ids.iter().collect::<BTreeSet<_>>().len() > 1 {
            broken(
                "C6",
                format!("one key became {count} messages: {:?}", wish.ids),
            );
        }
        if wish.only_refused && count > 0 {
            broken(
                "C11",
                format!("\"{}\" was refused and is stored", wish.text),
            );
        }
    }
}

/// C2, C7: everything has come to rest, and where Meta's word says.
fn rest(evidence: &Evidence, broken: &mut impl FnMut(&'static str, String)) {
    let taken: BTreeSet<Uuid> = evidence
        .taken
        .iter()
        .map(|taken| taken.message_id)
        .collect();
    for row in &evidence.rows {
        let id = row.message_id;
        if !evidence.may_rest.contains(&row.status) {
            broken("C2", format!("{id} rests as {}", row.status));
        }
        let arrived = matches!(row.status.as_str(), "sent" | "delivered" | "read");
        if arrived && !taken.contains(&id) {
            broken(
                "C7",
                format!("{id} is {} and Meta never took it", row.status),
            );
        }
        if evidence.webhooks_came && row.status == "failed" && taken.contains(&id) {
            broken(
                "C7",
                format!("{id} failed ({:?}) and Meta took it", row.error_class),
            );
        }
    }
}

/// C3, C4: no second message, or one that is owned up to.
fn sends(evidence: &Evidence, broken: &mut impl FnMut(&'static str, String)) {
    let rows: HashMap<Uuid, &Row> = evidence
        .rows
        .iter()
        .map(|row| (row.message_id, row))
        .collect();
    let mut count: BTreeMap<Uuid, usize> = BTreeMap::new();
    for taken in &evidence.taken {
        *count.entry(taken.message_id).or_default() += 1;
    }
    for (id, count) in count {
        let Some(row) = rows.get(&id) else {
            broken("C1", format!("Meta took {id}, which is not stored"));
            continue;
        };
        if count > 1 && !evidence.at_least_once.contains(&row.tenant) {
            broken("C3", format!("{id} was sent {count} times"));
        }
        let surplus = count - 1;
        if surplus > row.unknown_attempts || (surplus > 0 && !row.possible_duplicate) {
            broken(
                "C4",
                format!("{id} was sent {count} times without a reason"),
            );
        }
    }
}

/// C5: in each conversation messages leave in the order of acceptance.
fn order(evidence: &Evidence, broken: &mut impl FnMut(&'static str, String)) {
    let seq: HashMap<Uuid, i64> = evidence
        .rows
        .iter()
        .map(|row| (row.message_id, row.seq))
        .collect();
    let mut last: HashMap<(&str, &str), i64> = HashMap::new();
    let mut seen = BTreeSet::new();
    for taken in &evidence.taken {
        // A second send of the same message is judged elsewhere.
        if !seen.insert(taken.message_id) {
            continue;
        }
        let Some(seq) = seq.get(&taken.message_id) else {
            continue;
        };
        let lane = (taken.phone_number_id.as_str(), taken.recipient.as_str());
        let before = last.insert(lane, *seq);
        if before.is_some_and(|before| before > *seq) {
            broken("C5", format!("{} was overtaken", taken.message_id));
        }
    }
    let mut asked: HashMap<(&str, &str), i64> = HashMap::new();
    for wish in &evidence.wishes {
        let Some(seq) = wish.ids.first().and_then(|id| seq.get(id)) else {
            continue;
        };
        let before = asked.insert((&wish.tenant, &wish.recipient), *seq);
        if before.is_some_and(|before| before > *seq) {
            broken("C5", format!("{:?} was accepted out of order", wish.ids));
        }
    }
}

/// C8: each change is told once.
fn events(evidence: &Evidence, broken: &mut impl FnMut(&'static str, String)) {
    let mut count: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for told in &evidence.events {
        *count.entry((&told.subject, &told.kind)).or_default() += 1;
    }
    for ((subject, kind), count) in &count {
        if *count > 1 {
            broken("C8", format!("{kind} of {subject} is told {count} times"));
        }
    }
    for row in &evidence.rows {
        let id = row.message_id.to_string();
        if !count.contains_key(&(id.as_str(), "message.accepted")) {
            broken("C8", format!("message.accepted of {id} is not told"));
        }
    }
}

/// C9: nothing crosses from one tenant to another.
fn walls(evidence: &Evidence, broken: &mut impl FnMut(&'static str, String)) {
    let rows: HashMap<Uuid, &Row> = evidence
        .rows
        .iter()
        .map(|row| (row.message_id, row))
        .collect();
    for row in &evidence.rows {
        if evidence.owners.get(&row.phone_number_id) != Some(&row.tenant) {
            broken("C9", format!("{} is on a foreign number", row.message_id));
        }
    }
    for taken in &evidence.taken {
        let Some(row) = rows.get(&taken.message_id) else {
            continue;
        };
        if row.phone_number_id != taken.phone_number_id || row.recipient != taken.recipient {
            broken("C9", format!("{} left elsewhere", taken.message_id));
        }
    }
    for wish in &evidence.wishes {
        let foreign = wish.ids.iter().filter_map(|id| rows.get(id)).any(|row| {
            row.tenant != wish.tenant || (!row.text.is_empty() && row.text != wish.text)
        });
        if foreign {
            broken("C9", format!("{:?} is somebody else's", wish.ids));
        }
    }
    for told in &evidence.events {
        let row = told
            .subject
            .parse()
            .ok()
            .and_then(|id: Uuid| rows.get(&id).copied());
        if row.is_some_and(|row| row.tenant != told.tenant) {
            broken(
                "C9",
                format!("{} of {} is told to another", told.kind, told.subject),
            );
        }
    }
}

/// C10: what nobody can read is kept, and nothing else is.
fn dead_letters(evidence: &Evidence, broken: &mut impl FnMut(&'static str, String)) {
    let mut surplus: BTreeMap<&str, i64> = BTreeMap::new();
    for body in &evidence.dead_letters {
        *surplus.entry(body).or_default() += 1;
    }
    for body in &evidence.poison {
        *surplus.entry(body).or_default() -= 1;
    }
    for (body, count) in surplus {
        match count {
            0 => {}
            1.. => broken("C10", format!("{count} dead letters too many: {body}")),
            _ => broken("C10", format!("{} dead letters are lost: {body}", -count)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: Uuid, seq: i64) -> Row {
        Row {
            message_id: id,
            tenant: "t0".to_owned(),
            phone_number_id: "n0".to_owned(),
            recipient: "+1".to_owned(),
            text: id.to_string(),
            seq,
            status: "read".to_owned(),
            error_class: None,
            possible_duplicate: false,
            unknown_attempts: 0,
        }
    }

    /// Two messages of one conversation, and all is well.
    fn well() -> (Evidence, Uuid, Uuid) {
        let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
        let rows = vec![row(first, 1), row(second, 2)];
        let wishes = rows.iter().map(|row| Wish {
            tenant: row.tenant.clone(),
            recipient: row.recipient.clone(),
            text: row.text.clone(),
            ids: vec![row.message_id],
            only_refused: false,
        });
        let taken = rows.iter().map(|row| Taken {
            message_id: row.message_id,
            phone_number_id: row.phone_number_id.clone(),
            recipient: row.recipient.clone(),
        });
        let events = rows.iter().map(|row| Told {
            tenant: row.tenant.clone(),
            subject: row.message_id.to_string(),
            kind: "message.accepted".to_owned(),
        });
        let evidence = Evidence {
            wishes: wishes.collect(),
            taken: taken.collect(),
            events: events.collect(),
            owners: HashMap::from([("n0".to_owned(), "t0".to_owned())]),
            may_rest: BTreeSet::from(["read".to_owned(), "failed".to_owned()]),
            webhooks_came: true,
            poison: vec!["poison".to_owned()],
            dead_letters: vec!["poison".to_owned()],
            rows,
            ..Evidence::default()
        };
        (evidence, first, second)
    }

    fn promises(evidence: &Evidence) -> BTreeSet<&'static str> {
        check(evidence).iter().map(|found| found.promise).collect()
    }

    fn breaks(expected: &str, plant: impl FnOnce(&mut Evidence, Uuid, Uuid)) {
        let (mut evidence, first, second) = well();
        plant(&mut evidence, first, second);
        assert!(
            promises(&evidence).contains(expected),
            "{expected} is not found"
        );
    }

    #[test]
    fn a_good_run_is_found_good() {
        assert_eq!(check(&well().0), []);
    }

    #[test]
    fn each_planted_fault_is_found() {
        breaks("C1", |evidence, first, _| {
            evidence.rows.retain(|row| row.message_id != first);
        });
        breaks("C2", |evidence, _, _| {
            evidence.rows[0].status = "sending".to_owned();
        });
        breaks("C3", |evidence, _, _| {
            evidence.taken.push(evidence.taken[0].clone());
        });
        breaks("C4", |evidence, _, _| {
            evidence.at_least_once.insert("t0".to_owned());
            evidence.taken.push(evidence.taken[0].clone());
        });
        breaks("C5", |evidence, _, _| evidence.taken.reverse());
        breaks("C5", |evidence, _, _| evidence.wishes.reverse());
        breaks("C6", |evidence, _, second| {
            evidence.wishes[0].ids.push(second);
        });
        breaks("C6", |evidence, _, _| {
            evidence.rows[1].text = evidence.rows[0].text.clone();
        });
        breaks("C7", |evidence, _, _| {
            evidence.rows[0].status = "failed".to_owned();
        });
        breaks("C7", |evidence, _, _| evidence.taken.clear());
        breaks("C8", |evidence, _, _| {
            evidence.events.push(evidence.events[0].clone());
        });
        breaks("C8", |evidence, _, _| evidence.events.clear());
        breaks("C9", |evidence, _, _| {
            evidence.rows[0].phone_number_id = "n1".to_owned();
        });
        breaks("C9", |evidence, _, _| {
            evidence.taken[0].recipient = "+2".to_owned();
        });
        breaks("C9", |evidence, _, _| {
            evidence.wishes[0].tenant = "t1".to_owned();
        });
        breaks("C9", |evidence, _, _| {
            evidence.events[0].tenant = "t1".to_owned();
        });
        breaks("C10", |evidence, _, _| evidence.dead_letters.clear());
        breaks("C10", |evidence, _, _| {
            evidence.dead_letters.push("poison".to_owned());
        });
        breaks("C10", |evidence, _, _| {
            evidence.dead_letters[0] = "an order".to_owned();
        });
        breaks("C11", |evidence, _, _| {
            evidence.wishes[0].only_refused = true;
        });
    }

    #[test]
    fn a_second_send_that_is_owned_up_to_is_allowed_to_who_wants_it() {
        let (mut evidence, ..) = well();
        evidence.at_least_once.insert("t0".to_owned());
        evidence.taken.push(evidence.taken[0].clone());
        evidence.rows[0].possible_duplicate = true;
        evidence.rows[0].unknown_attempts = 1;
        assert_eq!(check(&evidence), []);
    }
}
