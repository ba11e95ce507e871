//! How fast a number and a pair may send: counted over all replicas in Redis, and here while Redis is
//! away.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use portal_cache::{Cache, Key, RateBucket, Taken};
use portal_types::TenantId;
use tokio::{
    sync::{Mutex as Gate, Notify},
    time::Instant,
};

use super::window::Window;

/// What a number may send a second at most (Cloud API, throughput).
const FASTEST: u32 = 1000;
/// Of the number's pace: clocks differ, and Meta counts on arrival.
const HEADROOM: f64 = 0.998;
/// Part of a second that a number may send at once.
const BURST_PER_SECOND: u32 = 20;
const SMALLEST_BURST: u32 = 4;
/// Tokens are fetched for so long at once when many wait.
const SLICE: Duration = Duration::from_millis(10);
/// Tokens that nobody used by then are dropped: kept, they would add up to a burst.
const TOKEN_LIFE: Duration = Duration::from_millis(50);
/// Of a pair: one message in six seconds (Cloud API, pair rate limits).
const PAIR_PER_SECOND: f64 = 1.0 / 6.0;
/// After Redis failed it is left alone for so long.
const REDIS_PAUSE: Duration = Duration::from_secs(2);
/// What is left of a number's pace after each second in which Meta refused for it.
const SLOWER: f64 = 0.7;
const SLOWEST: f64 = 0.05;
/// Added to the pace in each second without.
const FASTER_PER_SECOND: f64 = 0.05;
const TIDY_ABOVE: usize = 1024;

/// Paces all numbers of the process.
pub(crate) struct Pacer {
    cache: Cache,
    pair_burst: u32,
    redis_down_until: Mutex<Option<Instant>>,
    numbers: Mutex<HashMap<String, Arc<NumberPace>>>,
    local: Mutex<HashMap<String, LocalBucket>>,
    /// Recipients that have had their share, by number; until when.
    resting: Mutex<HashMap<(String, String), Instant>>,
    /// A limit of the whole app: nobody sends until then.
    paused_until: Mutex<Option<Instant>>,
}

impl std::fmt::Debug for Pacer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pacer").finish_non_exhaustive()
    }
}

/// A place in a number's pace; the request may begin. Ends with it.
pub(super) struct Permit {
    number: Arc<NumberPace>,
    begun: Instant,
}

impl Drop for Permit {
    fn drop(&mut self) {
        lock(&self.number.window).leave(self.begun, Instant::now());
        self.number.left.notify_one();
    }
}

impl Pacer {
    /// A pacer that lets a pair have `pair_burst` messages at once.
    pub(crate) fn new(cache: Cache, pair_burst: u32) -> Self {
        Self {
            cache,
            pair_burst,
            redis_down_until: Mutex::default(),
            numbers: Mutex::default(),
            local: Mutex::default(),
            resting: Mutex::default(),
            paused_until: Mutex::default(),
        }
    }

    /// The number's pace; `rate` is what is known of it, in messages a second.
    pub(super) fn number(&self, tenant: &TenantId, id: &str, rate: u32) -> Arc<NumberPace> {
        let mut numbers = lock(&self.numbers);
        if numbers.len() > TIDY_ABOVE {
            numbers.retain(|_, pace| Arc::strong_count(pace) > 1);
        }
        let pace = numbers
            .entry(format!("{tenant}/{id}"))
            .or_insert_with(|| Arc::new(NumberPace::new(tenant.clone(), id)));
        pace.rate.store(rate.clamp(1, FASTEST), Ordering::Relaxed);
        Arc::clone(pace)
    }

    /// How long the number must not send at all, if so.
    pub(super) fn pause_of(&self, tenant: &TenantId, id: &str) -> Option<Duration> {
        let numbers = lock(&self.numbers);
        let own = numbers
            .get(&format!("{tenant}/{id}"))
            .and_then(|pace| pace.paused_until());
        let until = own.max(*lock(&self.paused_until))?;
        until.checked_duration_since(Instant::now())
    }

    /// Meta limits the whole app.
    pub(super) fn pause_all(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let mut paused = lock(&self.paused_until);
        *paused = (*paused).max(Some(until));
    }

    /// Recipients of the number that must not get a message yet.
    pub(super) fn resting(&self, number: &str) -> Vec<String> {
        let now = Instant::now();
        let mut resting = lock(&self.resting);
        resting.retain(|_, until| *until > now);
        let of_number = resting.keys().filter(|(of, _)| of == number);
        of_number.map(|(_, recipient)| recipient.clone()).collect()
    }

    /// Keeps the pair from sending for so long.
    pub(super) fn rest(&self, number: &str, recipient: &str, wait: Duration) {
        let pair = (number.to_owned(), recipient.to_owned());
        lock(&self.resting).insert(pair, Instant::now() + wait);
    }

    /// Takes a message's place in the pace of its pair, for each of the recipients; answers how long
    /// those without a place must wait.
    pub(super) async fn enter_pairs(
        &self,
        tenant: &TenantId,
        number: &str,
        recipients: &[&str],
    ) -> Vec<Option<Duration>> {
        let wanted: Vec<_> = recipients
            .iter()
            .map(|recipient| {
                let key = Key::of_tenant(tenant, "pair-pace", &[number, recipient]);
                let name = format!("{tenant}/{number}/{recipient}");
                (
                    name,
                    RateBucket::new(key, self.pair_burst, PAIR_PER_SECOND),
                    1,
                )
            })
            .collect();
        let taken = self.take(&wanted, (self.pair_burst, PAIR_PER_SECOND)).await;
        let mut waits = Vec::with_capacity(taken.len());
        for (taken, recipient) in taken.iter().zip(recipients) {
            if !taken.next_in.is_zero() {
                self.rest(number, recipient, taken.next_in);
            }
            waits.push((taken.tokens == 0).then_some(taken.next_in));
        }
        waits
    }

    /// A place in the number's pace, as soon as there is one.
    pub(super) async fn enter(&self, pace: &Arc<NumberPace>) -> Permit {
        pace.in_line.fetch_add(1, Ordering::Relaxed);
        let mut tokens = pace.gate.lock().await;
        loop {
            if let Some(until) = pace.paused_until() {
                tokio::time::sleep_until(until).await;
            }
            let limit = usize::try_from(pace.limit()).unwrap_or(1);
            let entered = lock(&pace.window).enter(limit, Instant::now());
            match entered {
                Ok(()) => break,
                Err(Some(at)) => tokio::time::sleep_until(at).await,
                Err(None) => pace.left.notified().await,
            }
        }
        // From here on the place is given back whatever happens.
        let mut permit = Permit {
            number: Arc::clone(pace),
            begun: Instant::now(),
        };
        while !tokens.take() {
            self.fetch(pace, &mut tokens).await;
        }
        pace.in_line.fetch_sub(1, Ordering::Relaxed);
        permit.begun = Instant::now();
        permit
    }

    async fn fetch(&self, pace: &NumberPace, tokens: &mut Tokens) {
        let rate = f64::from(pace.limit()) * HEADROOM;
        let burst = (pace.limit() / BURST_PER_SECOND).max(SMALLEST_BURST);
        let in_line = pace.in_line.load(Ordering::Relaxed).max(1);
        let slice = (rate * SLICE.as_secs_f64()).max(1.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "1 to 10"
        )]
        let wanted = in_line.min(2 * slice.ceil() as u32).min(burst);
        let key = Key::of_tenant(&pace.tenant, "number-pace", &[&pace.id]);
        let bucket = (
            format!("{}/{}", pace.tenant, pace.id),
            RateBucket::new(key, burst, rate),
            wanted,
        );
        let taken = self
            .take(std::slice::from_ref(&bucket), (burst, rate))
            .await;
        let taken = taken.first().copied().unwrap_or(Taken {
            tokens: 0,
            next_in: SLICE,
        });
        if taken.tokens > 0 {
            tokens.put(taken.tokens);
            return;
        }
        // When many wait, several tokens at once cost one call.
        let worth = Duration::from_secs_f64(f64::from(in_line) / rate).min(SLICE);
        tokio::time::sleep(taken.next_in.max(worth)).await;
    }

    /// From Redis, or from buckets of this process while Redis is away.
    async fn take(
        &self,
        wanted: &[(String, RateBucket, u32)],
        (burst, rate): (u32, f64),
    ) -> Vec<Taken> {
        let is_down = lock(&self.redis_down_until).is_some_and(|until| until > Instant::now());
        if !is_down {
            let buckets: Vec<_> = wanted
                .iter()
                .map(|(_, bucket, count)| (bucket.clone(), *count))
                .collect();
            match self.cache.take_up_to(&buckets).await {
                Ok(taken) => return taken,
                Err(error) => {
                    *lock(&self.redis_down_until) = Some(Instant::now() + REDIS_PAUSE);
                    tracing::warn!(error = %error, "sending is paced by each process for itself");
                }
            }
        }
        let now = Instant::now();
        let mut local = lock(&self.local);
        if local.len() > TIDY_ABOVE {
            local.retain(|_, bucket| !bucket.is_full(now));
        }
        wanted
            .iter()
            .map(|(name, _, count)| {
                let bucket = local
                    .entry(name.clone())
                    .or_insert_with(|| LocalBucket::full(now));
                bucket.take(*count, burst, rate, now)
            })
            .collect()
    }
}

/// The pace of one number.
pub(super) struct NumberPace {
    tenant: TenantId,
    id: String,
    rate: AtomicU32,
    in_line: AtomicU32,
    gate: Gate<Tokens>,
    window: Mutex<Window>,
    left: Notify,
    state: Mutex<State>,
}

struct State {
    factor: f64,
    raised_at: Instant,
    slowed_at: Option<Instant>,
    paused_until: Option<Instant>,
}

impl NumberPace {
    fn new(tenant: TenantId, id: &str) -> Self {
        Self {
            tenant,
            id: id.to_owned(),
            rate: AtomicU32::new(1),
            in_line: AtomicU32::new(0),
            gate: Gate::default(),
            window: Mutex::new(Window::new()),
            left: Notify::new(),
            state: Mutex::new(State {
                factor: 1.0,
                raised_at: Instant::now(),
                slowed_at: None,
                paused_until: None,
            }),
        }
    }

    fn paused_until(&self) -> Option<Instant> {
        let until = lock(&self.state).paused_until;
        until.filter(|until| *until > Instant::now())
    }

    /// Messages a second that may be sent now.
    fn limit(&self) -> u32 {
        let mut state = lock(&self.state);
        let now = Instant::now();
        let since = now.saturating_duration_since(state.raised_at);
        if state.factor < 1.0 && since >= Duration::from_secs(1) {
            state.factor = since
                .as_secs_f64()
                .mul_add(FASTER_PER_SECOND, state.factor)
                .min(1.0);
            state.raised_at = now;
        }
        let rate = f64::from(self.rate.load(Ordering::Relaxed));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "1 to 1,000"
        )]
        let limit = (rate * state.factor).round().max(1.0) as u32;
        limit
    }

    /// Meta refused because of the number's throughput.
    pub(super) fn slow_down(&self) {
        let mut state = lock(&self.state);
        let now = Instant::now();
        let slowed = state.slowed_at.map(|at| now.saturating_duration_since(at));
        if slowed.is_some_and(|since| since < Duration::from_secs(1)) {
            return;
        }
        state.factor = (state.factor * SLOWER).max(SLOWEST);
        state.slowed_at = Some(now);
        state.raised_at = now;
    }

    /// Meta limits the number's account for so long.
    pub(super) fn pause(&self, wait: Duration) {
        let mut state = lock(&self.state);
        state.paused_until = state.paused_until.max(Some(Instant::now() + wait));
    }
}

/// Tokens at hand.
#[derive(Default)]
struct Tokens {
    count: u32,
    fetched: Option<Instant>,
}

impl Tokens {
    fn take(&mut self) -> bool {
        let is_fresh = self.fetched.is_some_and(|at| at.elapsed() < TOKEN_LIFE);
        if self.count == 0 || !is_fresh {
            self.count = 0;
            return false;
        }
        self.count -= 1;
        true
    }

    fn put(&mut self, count: u32) {
        self.count = count;
        self.fetched = Some(Instant::now());
    }
}

/// As a bucket in Redis, for one process.
#[derive(Debug)]
struct LocalBucket {
    /// What is missing until it is full.
    used: f64,
    at: Instant,
    full_at: Instant,
}

impl LocalBucket {
    const fn full(now: Instant) -> Self {
        Self {
            used: 0.0,
            at: now,
            full_at: now,
        }
    }

    fn is_full(&self, now: Instant) -> bool {
        self.full_at <= now
    }

    fn take(&mut self, wanted: u32, burst: u32, rate: f64, now: Instant) -> Taken {
        let regained = now.saturating_duration_since(self.at).as_secs_f64() * rate;
        self.used = (self.used - regained).max(0.0);
        self.at = now;
        let there = f64::from(burst) - self.used;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to the burst"
        )]
        let tokens = wanted.min(there.max(0.0) as u32);
        self.used += f64::from(tokens);
        self.full_at = now + Duration::from_secs_f64(self.used / rate);
        let missing = (1.0 - (there - f64::from(tokens))).max(0.0);
        Taken {
            tokens,
            next_in: Duration::from_secs_f64(missing / rate),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAIR_BURST: u32 = 45;

    #[test]
    fn a_bucket_of_the_process_fills_as_one_in_redis_does() {
        let start = Instant::now();
        let mut bucket = LocalBucket::full(start);
        let taken = bucket.take(60, PAIR_BURST, PAIR_PER_SECOND, start);
        assert_eq!(taken.tokens, PAIR_BURST);
        assert_eq!(taken.next_in.as_secs(), 6);
        let later = start + Duration::from_secs(12);
        assert_eq!(
            bucket.take(60, PAIR_BURST, PAIR_PER_SECOND, later).tokens,
            2
        );
        assert!(!bucket.is_full(later));
        assert!(bucket.is_full(start + Duration::from_mins(5)));
    }

    #[test]
    fn a_refusal_slows_once_a_second_and_the_pace_comes_back() {
        let pace = NumberPace::new(TenantId::parse("acme").unwrap(), "1");
        pace.rate.store(100, Ordering::Relaxed);
        pace.slow_down();
        pace.slow_down();
        assert_eq!(pace.limit(), 70, "one storm is one refusal");
        lock(&pace.state).raised_at = Instant::now().checked_sub(Duration::from_secs(2)).unwrap();
        assert_eq!(pace.limit(), 80);
        lock(&pace.state).raised_at = Instant::now().checked_sub(Duration::from_mins(1)).unwrap();
        assert_eq!(pace.limit(), 100);
    }

    #[test]
    fn old_tokens_do_not_add_up_to_a_burst() {
        let mut tokens = Tokens::default();
        tokens.put(2);
        assert!(tokens.take());
        tokens.fetched = Instant::now().checked_sub(TOKEN_LIFE);
        assert!(!tokens.take());
    }
}
