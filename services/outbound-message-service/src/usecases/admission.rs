//! Who may still hand in messages: acceptance outruns delivery, so somebody has to say when it is
//! enough.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use portal_types::TenantId;

/// More waits than is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Overload {
    /// Of this tenant.
    #[error("too many messages of the tenant wait")]
    Tenant,
    /// Of all tenants together.
    #[error("too many messages wait")]
    Everybody,
}

/// How many messages may wait to be sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BacklogLimits {
    pub(crate) tenant: u64,
    pub(crate) all: u64,
}

/// Counts what waits: from the database now and then, and what this process accepted since.
///
/// In between it errs to the safe side, because what was sent since is not taken off.
pub(crate) struct Admission {
    limits: BacklogLimits,
    backlog: Mutex<Backlog>,
}

#[derive(Default)]
struct Backlog {
    all: u64,
    tenants: HashMap<TenantId, u64>,
    /// Accepted since the count that is under way began: it may or may not have seen them.
    since: HashMap<TenantId, u64>,
}

impl Admission {
    pub(crate) fn new(limits: BacklogLimits) -> Self {
        Self {
            limits,
            backlog: Mutex::default(),
        }
    }

    /// Whether so many more messages of a tenant are taken.
    pub(crate) fn admit(&self, tenant: &TenantId, messages: u64) -> Result<(), Overload> {
        let backlog = self.backlog();
        let own = backlog.tenants.get(tenant).copied().unwrap_or_default();
        if own + messages > self.limits.tenant {
            return Err(Overload::Tenant);
        }
        if backlog.all + messages > self.limits.all {
            return Err(Overload::Everybody);
        }
        Ok(())
    }

    /// So many were accepted.
    pub(crate) fn count(&self, tenant: &TenantId, messages: u64) {
        let mut backlog = self.backlog();
        backlog.all += messages;
        let Backlog { tenants, since, .. } = &mut *backlog;
        for counts in [tenants, since] {
            match counts.get_mut(tenant) {
                Some(count) => *count += messages,
                None => {
                    counts.insert(tenant.clone(), messages);
                }
            }
        }
    }

    /// A count begins.
    pub(crate) fn begin(&self) {
        self.backlog().since.clear();
    }

    /// What the count that began last found.
    pub(crate) fn finish(&self, found: impl IntoIterator<Item = (TenantId, u64)>) {
        let mut backlog = self.backlog();
        let mut tenants = std::mem::take(&mut backlog.since);
        for (tenant, count) in found {
            *tenants.entry(tenant).or_default() += count;
        }
        backlog.all = tenants.values().sum();
        backlog.tenants = tenants;
    }

    fn backlog(&self) -> MutexGuard<'_, Backlog> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(id: &str) -> TenantId {
        TenantId::parse(id).unwrap()
    }

    #[test]
    fn one_tenants_limit_is_not_anothers_and_all_together_have_one() {
        let admission = Admission::new(BacklogLimits { tenant: 3, all: 4 });
        let (acme, globex) = (tenant("acme"), tenant("globex"));
        assert_eq!(admission.admit(&acme, 4), Err(Overload::Tenant));
        assert_eq!(admission.admit(&acme, 3), Ok(()));
        admission.count(&acme, 3);
        assert_eq!(admission.admit(&acme, 1), Err(Overload::Tenant));
        assert_eq!(admission.admit(&globex, 1), Ok(()));
        admission.count(&globex, 1);
        assert_eq!(admission.admit(&globex, 1), Err(Overload::Everybody));
    }

    #[test]
    fn a_count_replaces_what_was_reckoned_except_what_came_during_it() {
        let admission = Admission::new(BacklogLimits { tenant: 5, all: 9 });
        let acme = tenant("acme");
        admission.count(&acme, 5);
        admission.begin();
        admission.count(&acme, 1);
        admission.finish([(acme.clone(), 2)]);
        assert_eq!(admission.admit(&acme, 2), Ok(()));
        assert_eq!(admission.admit(&acme, 3), Err(Overload::Tenant));
        admission.begin();
        admission.finish([]);
        assert_eq!(admission.admit(&acme, 5), Ok(()));
    }
}
