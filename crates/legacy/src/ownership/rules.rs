//! The rules, without a database.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Candidate, Judged, Lifted, Number, ORGANIZATION_ACCOUNTS, Ownership, Undecided, Verdict,
    claims::Claim,
};
use crate::{Decisions, LegacyError, decisions::NONE};

/// Ids that Meta gives are shorter.
const LONGEST_ID: usize = 64;

/// What the rows of a tenant say.
struct Side<'a> {
    key: &'a str,
    /// Its own rows, or its agents' when it has none.
    standing: Vec<&'a Claim>,
    /// Its agents' rows where its own stand.
    beside: Vec<&'a Claim>,
    candidates: Vec<Candidate>,
}

impl Side<'_> {
    fn is_open(&self) -> bool {
        self.candidates.len() > 1 || self.candidates.iter().any(|one| !one.also_of.is_empty())
    }

    fn candidate(&self, waba_id: &str) -> Option<&Candidate> {
        self.candidates.iter().find(|one| one.waba_id == waba_id)
    }
}

/// What becomes of a tenant.
enum Choice {
    Keeps(String),
    Nothing,
    Open,
}

/// Decides by `tenants` (names by key), `claims` (of each table the newest first) and what a person
/// decided.
pub(super) fn decide(
    tenants: &BTreeMap<String, String>,
    claims: &[Claim],
    decisions: &Decisions,
) -> Result<Ownership, LegacyError> {
    let mut accounts = Vec::with_capacity(claims.len());
    let mut usable = Vec::new();
    for claim in claims {
        match unusable(claim, tenants) {
            Some(reason) => accounts.push(judged(claim, Verdict::Rejected, reason)),
            None => usable.push(claim),
        }
    }
    let sides = sides(&usable);
    let mut wrong = superfluous(tenants, &sides, decisions);
    let mut lifted = Vec::new();
    let mut undecided = Vec::new();
    for side in &sides {
        match choose(side, decisions, &mut wrong) {
            Choice::Keeps(waba_id) => {
                let kept = lift(side, &waba_id);
                judge_kept(side, &kept, &mut accounts);
                lifted.push(kept);
            }
            Choice::Nothing => {
                judge_all(
                    side,
                    "decided: the organization signs up itself",
                    &mut accounts,
                );
            }
            Choice::Open => {
                judge_all(
                    side,
                    "which account the organization keeps is not decided",
                    &mut accounts,
                );
                undecided.push(Undecided {
                    tenant_key: side.key.to_owned(),
                    tenant_name: tenants.get(side.key).cloned().unwrap_or_default(),
                    candidates: side.candidates.clone(),
                });
            }
        }
    }
    chosen_twice(&lifted, &mut wrong);
    if wrong.is_empty() {
        Ok(Ownership {
            lifted,
            accounts,
            undecided,
        })
    } else {
        Err(LegacyError::Mapping(wrong))
    }
}

fn unusable(claim: &Claim, tenants: &BTreeMap<String, String>) -> Option<String> {
    if !claim.has_agent {
        return Some("its agent does not exist".to_owned());
    }
    let whose = if claim.subject == ORGANIZATION_ACCOUNTS {
        "it"
    } else {
        "its agent"
    };
    let Some(tenant) = &claim.tenant else {
        return Some(format!("{whose} has no tenant"));
    };
    if !tenants.contains_key(tenant) {
        return Some(format!(
            "{whose} is of the tenant {tenant:?}, which does not exist"
        ));
    }
    for (name, value) in [
        ("waba_id", &claim.waba_id),
        ("phone_number_id", &claim.phone_number_id),
    ] {
        if value.is_empty() {
            return Some(format!("{name} is empty"));
        }
        if value.len() > LONGEST_ID {
            return Some(format!("{name} is longer than {LONGEST_ID} characters"));
        }
    }
    (!claim.has_token).then(|| "access_token is empty".to_owned())
}

/// By tenant, in the order of their keys.
fn sides<'a>(usable: &[&'a Claim]) -> Vec<Side<'a>> {
    let mut by_tenant: BTreeMap<&str, Vec<&Claim>> = BTreeMap::new();
    // Tenants by what they claim: also what gives way at home says that it is not another's alone.
    let mut claimants: BTreeMap<(bool, &str), BTreeSet<&str>> = BTreeMap::new();
    for claim in usable {
        let tenant = claim.tenant.as_deref().unwrap_or_default();
        by_tenant.entry(tenant).or_default().push(claim);
        for id in [
            (true, claim.waba_id.as_str()),
            (false, claim.phone_number_id.as_str()),
        ] {
            claimants.entry(id).or_default().insert(tenant);
        }
    }
    by_tenant
        .into_iter()
        .map(|(key, claims)| {
            let (own, of_agents): (Vec<&Claim>, Vec<&Claim>) = claims
                .into_iter()
                .partition(|claim| claim.subject == ORGANIZATION_ACCOUNTS);
            let (standing, beside) = if own.is_empty() {
                (of_agents, Vec::new())
            } else {
                (own, of_agents)
            };
            let mut candidates = Vec::new();
            for claim in &standing {
                join(&mut candidates, claim);
            }
            for candidate in &mut candidates {
                let ids = std::iter::once((true, candidate.waba_id.as_str())).chain(
                    candidate
                        .numbers
                        .iter()
                        .map(|one| (false, one.phone_number_id.as_str())),
                );
                let all: BTreeSet<&str> = ids
                    .filter_map(|id| claimants.get(&id))
                    .flatten()
                    .copied()
                    .collect();
                candidate.also_of = all
                    .into_iter()
                    .filter(|one| *one != key)
                    .map(str::to_owned)
                    .collect();
            }
            Side {
                key,
                standing,
                beside,
                candidates,
            }
        })
        .collect()
}

/// Adds a row to the candidate that it is a row of; the newest comes first.
fn join(candidates: &mut Vec<Candidate>, claim: &Claim) {
    let place = candidates
        .iter()
        .position(|one| one.waba_id == claim.waba_id)
        .unwrap_or_else(|| {
            candidates.push(Candidate {
                waba_id: claim.waba_id.clone(),
                numbers: Vec::new(),
                agents: Vec::new(),
                newest_created: claim.created.clone(),
                newest_login: None,
                conversations: 0,
                also_of: Vec::new(),
            });
            candidates.len() - 1
        });
    let Some(candidate) = candidates.get_mut(place) else {
        return;
    };
    match candidate
        .numbers
        .iter_mut()
        .find(|one| one.phone_number_id == claim.phone_number_id)
    {
        Some(known) => {
            if known.display_phone_number.is_none() {
                known
                    .display_phone_number
                    .clone_from(&claim.display_phone_number);
            }
        }
        None => candidate.numbers.push(Number {
            phone_number_id: claim.phone_number_id.clone(),
            display_phone_number: claim.display_phone_number.clone(),
        }),
    }
    if let Some(agent) = &claim.agent
        && !candidate.agents.contains(agent)
    {
        candidate.agents.push(agent.clone());
    }
    // Only to be shown: texts of one column compare well enough.
    if claim.last_login > candidate.newest_login {
        candidate.newest_login.clone_from(&claim.last_login);
    }
}

fn choose(side: &Side<'_>, decisions: &Decisions, wrong: &mut Vec<String>) -> Choice {
    let only = side.candidates.first().map(|one| one.waba_id.clone());
    let Some(decided) = decisions.of(side.key) else {
        return match only {
            Some(waba_id) if !side.is_open() => Choice::Keeps(waba_id),
            _ => Choice::Open,
        };
    };
    let place = Decisions::place(side.key);
    let ids: Vec<_> = side
        .candidates
        .iter()
        .map(|one| one.waba_id.as_str())
        .collect();
    let ids = ids.join(", ");
    match decided {
        "" => {
            wrong.push(format!("{place}: still empty; one of {ids}, or {NONE:?}"));
            Choice::Open
        }
        NONE if side.is_open() => Choice::Nothing,
        waba_id if side.candidate(waba_id).is_some() => Choice::Keeps(waba_id.to_owned()),
        _ if !side.is_open() => {
            wrong.push(format!(
                "{place}: there is nothing to decide, {ids} is kept; take it out"
            ));
            Choice::Open
        }
        other => {
            wrong.push(format!(
                "{place}: {other:?} is none of its accounts; one of {ids}, or {NONE:?}"
            ));
            Choice::Open
        }
    }
}

/// Decisions for tenants that do not exist or have no account.
fn superfluous(
    tenants: &BTreeMap<String, String>,
    sides: &[Side<'_>],
    decisions: &Decisions,
) -> Vec<String> {
    decisions
        .tenants()
        .filter(|key| !sides.iter().any(|side| side.key == *key))
        .map(|key| {
            let why = if tenants.contains_key(key) {
                "it has no usable account, so there is nothing to decide; take it out"
            } else {
                "there is no such tenant"
            };
            format!("{}: {why}", Decisions::place(key))
        })
        .collect()
}

/// An account, or a number, has one organization.
fn chosen_twice(lifted: &[Lifted], wrong: &mut Vec<String>) {
    let mut owners: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for kept in lifted {
        let ids = std::iter::once(("account", kept.waba_id.as_str())).chain(
            kept.numbers
                .iter()
                .map(|one| ("number", one.phone_number_id.as_str())),
        );
        for (kind, id) in ids {
            if let Some(other) = owners.insert((kind, id), &kept.tenant_key) {
                wrong.push(format!(
                    "{}: the {kind} {id} is also chosen for {other}; choose {NONE:?} or another for one of them",
                    Decisions::place(&kept.tenant_key)
                ));
            }
        }
    }
}

fn lift(side: &Side<'_>, waba_id: &str) -> Lifted {
    let rows: Vec<_> = side
        .standing
        .iter()
        .filter(|claim| claim.waba_id == waba_id)
        .collect();
    // The newest row comes first; a candidate has one.
    let source = rows.first();
    Lifted {
        tenant_key: side.key.to_owned(),
        subject: source.map_or(ORGANIZATION_ACCOUNTS, |claim| claim.subject),
        key: source.map(|claim| claim.key.clone()).unwrap_or_default(),
        waba_id: waba_id.to_owned(),
        business_id: rows.iter().find_map(|claim| claim.business_id.clone()),
        numbers: side
            .candidate(waba_id)
            .map(|one| one.numbers.clone())
            .unwrap_or_default(),
    }
}

fn judge_kept(side: &Side<'_>, kept: &Lifted, accounts: &mut Vec<Judged>) {
    for claim in &side.standing {
        let (verdict, reason) = if claim.key == kept.key && claim.subject == kept.subject {
            (
                Verdict::Migrated,
                "its access token is the organization's".to_owned(),
            )
        } else if claim.waba_id == kept.waba_id {
            (
                Verdict::Merged,
                format!("the same account, with the access token of {}", kept.key),
            )
        } else {
            (
                Verdict::Skipped,
                format!("decided: the organization keeps {}", kept.waba_id),
            )
        };
        accounts.push(judged(claim, verdict, reason));
    }
    for claim in &side.beside {
        let is_known = kept
            .numbers
            .iter()
            .any(|one| one.phone_number_id == claim.phone_number_id);
        let (verdict, reason) = if claim.waba_id == kept.waba_id && is_known {
            (
                Verdict::Merged,
                "the same number, with the organization's access token".to_owned(),
            )
        } else {
            (
                Verdict::Skipped,
                format!(
                    "the organization has an account of its own, {}",
                    kept.waba_id
                ),
            )
        };
        accounts.push(judged(claim, verdict, reason));
    }
}

fn judge_all(side: &Side<'_>, reason: &str, accounts: &mut Vec<Judged>) {
    let all = side.standing.iter().chain(&side.beside);
    accounts.extend(all.map(|claim| judged(claim, Verdict::Skipped, reason.to_owned())));
}

fn judged(claim: &Claim, verdict: Verdict, reason: String) -> Judged {
    Judged {
        subject: claim.subject,
        key: claim.key.clone(),
        tenant_key: claim.tenant.clone(),
        verdict,
        reason,
    }
}
