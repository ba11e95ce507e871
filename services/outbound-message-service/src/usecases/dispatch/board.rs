//! Who is served next: round robin over tenants, each within its share of what is under way.

use std::collections::{HashMap, VecDeque};

use portal_types::TenantId;

/// Messages that one claim takes at most.
const LARGEST_CLAIM: usize = 256;
/// Messages a second that a number may send before Meta told otherwise.
pub(super) const DEFAULT_RATE: u32 = 80;
/// A number's claimed messages wait for at most this part of a second of its pace.
const AHEAD_PER_SECOND: u32 = 4;
const SMALLEST_AHEAD: usize = 4;

/// A number of a tenant whose messages are to be claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) tenant: TenantId,
    pub(super) phone_number_id: String,
    /// How many messages may be claimed; reserved until [`Board::claimed`].
    pub(super) budget: usize,
}

/// What is known of all tenants that have work here.
#[derive(Debug)]
pub(super) struct Board {
    limit: usize,
    under_way: usize,
    desks: HashMap<TenantId, Desk>,
    /// Tenants with a number that is ready, each once.
    ring: VecDeque<TenantId>,
}

#[derive(Debug, Default)]
struct Desk {
    under_way: usize,
    numbers: HashMap<String, Number>,
    ready: VecDeque<String>,
}

#[derive(Debug)]
struct Number {
    rate: u32,
    /// Claimed, and its request has not begun.
    waiting: usize,
    under_way: usize,
    is_ready: bool,
    is_claiming: bool,
    /// Called for while it was claiming, or known to have more than was claimed.
    has_more: bool,
}

impl Default for Number {
    fn default() -> Self {
        Self {
            rate: DEFAULT_RATE,
            waiting: 0,
            under_way: 0,
            is_ready: false,
            is_claiming: false,
            has_more: false,
        }
    }
}

impl Number {
    fn ahead(&self) -> usize {
        usize::try_from(self.rate / AHEAD_PER_SECOND)
            .unwrap_or(SMALLEST_AHEAD)
            .max(SMALLEST_AHEAD)
    }
}

impl Board {
    /// A board for at most `limit` messages under way at once.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            under_way: 0,
            desks: HashMap::new(),
            ring: VecDeque::new(),
        }
    }

    /// Messages that are claimed and not recorded yet.
    pub(super) const fn under_way(&self) -> usize {
        self.under_way
    }

    /// Claimed messages whose request has not begun.
    pub(super) fn waiting(&self) -> usize {
        let numbers = self.desks.values().flat_map(|desk| desk.numbers.values());
        numbers.map(|number| number.waiting).sum()
    }

    /// The number has something to send.
    pub(super) fn wake(&mut self, tenant: &TenantId, phone_number_id: &str) {
        let desk = self.desks.entry(tenant.clone()).or_default();
        let number = desk.numbers.entry(phone_number_id.to_owned()).or_default();
        number.has_more = true;
        self.make_ready(tenant, phone_number_id);
    }

    fn make_ready(&mut self, tenant: &TenantId, phone_number_id: &str) {
        let Some(desk) = self.desks.get_mut(tenant) else {
            return;
        };
        let Some(number) = desk.numbers.get_mut(phone_number_id) else {
            return;
        };
        // Not before half of what it holds is gone: many small claims cost more than a large one.
        let is_full = number.waiting > number.ahead() / 2;
        if number.is_ready || number.is_claiming || !number.has_more || is_full {
            return;
        }
        number.is_ready = true;
        desk.ready.push_back(phone_number_id.to_owned());
        if !self.ring.contains(tenant) {
            self.ring.push_back(tenant.clone());
        }
    }

    /// A tenant's share: there is always room for one tenant more than are at work.
    fn share(&self) -> usize {
        let at_work = self.desks.values().filter(|desk| desk.is_at_work()).count();
        (self.limit / (at_work + 1)).max(1)
    }

    /// The number whose turn it is.
    pub(super) fn next(&mut self) -> Option<Turn> {
        let share = self.share();
        for _ in 0..self.ring.len() {
            let tenant = self.ring.pop_front()?;
            let desk = self.desks.get_mut(&tenant)?;
            let free = share
                .saturating_sub(desk.under_way)
                .min(self.limit.saturating_sub(self.under_way));
            if free == 0 {
                self.ring.push_back(tenant);
                continue;
            }
            let Some(phone_number_id) = desk.ready.pop_front() else {
                continue;
            };
            let is_last = desk.ready.is_empty();
            let Some(number) = desk.numbers.get_mut(&phone_number_id) else {
                continue;
            };
            let room = number.ahead().saturating_sub(number.waiting).max(1);
            let budget = free.min(room).min(LARGEST_CLAIM);
            number.is_ready = false;
            number.is_claiming = true;
            number.has_more = false;
            desk.under_way += budget;
            self.under_way += budget;
            if !is_last {
                self.ring.push_back(tenant.clone());
            }
            return Some(Turn {
                tenant,
                phone_number_id,
                budget,
            });
        }
        None
    }

    /// A turn's claim took `count` messages of its budget.
    ///
    /// `rate` is the number's pace, as far as the claim learned it.
    pub(super) fn claimed(&mut self, turn: &Turn, count: usize, rate: Option<u32>) {
        let unused = turn.budget.saturating_sub(count);
        self.under_way = self.under_way.saturating_sub(unused);
        if let Some(desk) = self.desks.get_mut(&turn.tenant) {
            desk.under_way = desk.under_way.saturating_sub(unused);
            if let Some(number) = desk.numbers.get_mut(&turn.phone_number_id) {
                number.is_claiming = false;
                number.waiting += count;
                number.under_way += count;
                number.rate = rate.unwrap_or(number.rate);
                number.has_more |= count == turn.budget;
            }
        }
        self.make_ready(&turn.tenant, &turn.phone_number_id);
        self.forget_idle(&turn.tenant, &turn.phone_number_id);
    }

    /// A claimed message's request begins, or never will.
    pub(super) fn begun(&mut self, tenant: &TenantId, phone_number_id: &str) {
        if let Some(number) = self.number(tenant, phone_number_id) {
            number.waiting = number.waiting.saturating_sub(1);
        }
        self.make_ready(tenant, phone_number_id);
    }

    /// A message's outcome is recorded.
    pub(super) fn recorded(&mut self, tenant: &TenantId, phone_number_id: &str) {
        self.under_way = self.under_way.saturating_sub(1);
        if let Some(desk) = self.desks.get_mut(tenant) {
            desk.under_way = desk.under_way.saturating_sub(1);
        }
        if let Some(number) = self.number(tenant, phone_number_id) {
            number.under_way = number.under_way.saturating_sub(1);
        }
        self.forget_idle(tenant, phone_number_id);
    }

    fn number(&mut self, tenant: &TenantId, phone_number_id: &str) -> Option<&mut Number> {
        let desk = self.desks.get_mut(tenant)?;
        desk.numbers.get_mut(phone_number_id)
    }

    /// What has nothing to do takes no room.
    fn forget_idle(&mut self, tenant: &TenantId, phone_number_id: &str) {
        let Some(desk) = self.desks.get_mut(tenant) else {
            return;
        };
        let is_idle = desk.numbers.get(phone_number_id).is_some_and(|number| {
            number.under_way == 0 && !number.is_ready && !number.is_claiming && !number.has_more
        });
        if is_idle {
            desk.numbers.remove(phone_number_id);
        }
        if desk.numbers.is_empty() && desk.under_way == 0 {
            self.desks.remove(tenant);
        }
    }
}

impl Desk {
    fn is_at_work(&self) -> bool {
        self.under_way > 0 || !self.ready.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).unwrap()
    }

    #[test]
    fn a_flood_of_one_tenant_leaves_room_and_turns_to_others() {
        let mut board = Board::new(40);
        let (flood, quiet) = (tenant("flood"), tenant("quiet"));
        for n in 0..10 {
            board.wake(&flood, &n.to_string());
        }
        let mut taken = 0;
        while let Some(turn) = board.next() {
            taken += turn.budget;
            board.claimed(&turn, turn.budget, None);
        }
        assert_eq!(taken, 20, "half of all while it is alone");
        board.wake(&quiet, "1");
        let turn = board.next().unwrap();
        assert_eq!(turn.tenant, quiet);
        assert!(turn.budget > 0);
    }

    #[test]
    fn tenants_take_turns_and_not_numbers() {
        let mut board = Board::new(1000);
        let (many, one) = (tenant("many"), tenant("one"));
        for n in 0..3 {
            board.wake(&many, &n.to_string());
        }
        board.wake(&one, "1");
        let order: Vec<_> = std::iter::from_fn(|| board.next())
            .map(|turn| turn.tenant)
            .collect();
        assert_eq!(order, [many.clone(), one, many.clone(), many]);
    }

    #[test]
    fn a_number_called_while_it_claims_has_another_turn() {
        let mut board = Board::new(100);
        let acme = tenant("acme");
        board.wake(&acme, "1");
        let turn = board.next().unwrap();
        board.wake(&acme, "1");
        assert_eq!(board.next(), None, "one claim of a number at a time");
        board.claimed(&turn, 0, None);
        assert!(board.next().is_some());
    }

    #[test]
    fn a_number_does_not_run_far_ahead_of_its_pace() {
        let mut board = Board::new(1000);
        let acme = tenant("acme");
        board.wake(&acme, "1");
        let turn = board.next().unwrap();
        assert_eq!(turn.budget, 20, "a quarter of a second at 80 a second");
        board.claimed(&turn, 20, Some(80));
        assert_eq!(board.next(), None);
        for _ in 0..10 {
            board.begun(&acme, "1");
        }
        assert_eq!(board.next().unwrap().budget, 10);
    }

    #[test]
    fn what_is_done_is_forgotten() {
        let mut board = Board::new(10);
        let acme = tenant("acme");
        board.wake(&acme, "1");
        let turn = board.next().unwrap();
        board.claimed(&turn, 1, None);
        board.begun(&acme, "1");
        board.recorded(&acme, "1");
        assert_eq!(board.under_way(), 0);
        assert!(board.desks.is_empty());
    }
}
