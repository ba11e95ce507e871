//! Meta's limits: messages a second and number, messages to one person, calls an hour and account.
//! All are off at the start; what was accepted and refused is counted all the same.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use chrono::Utc;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::rows::{self, ErrorRow};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
/// Seconds that the counts go back.
const SECONDS_KEPT: usize = 900;

/// The limits that are on.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pacing {
    /// Messages in any one second for numbers without a limit of their own; over it 130429.
    pub per_second: Option<u32>,
    /// The limit for messages to one person is on; over it 131056.
    pub pair: bool,
    /// Messages to one person at once.
    pub pair_capacity: u32,
    /// Until one more is allowed.
    pub pair_refill_ms: u64,
    /// Calls an hour and account to what is no message; over it 80007.
    pub management_per_hour: Option<u32>,
    /// Minutes told when that limit is hit.
    pub regain_minutes: u32,
    /// What is special about single numbers, by id.
    pub numbers: BTreeMap<String, NumberPacing>,
}

impl Default for Pacing {
    fn default() -> Self {
        Self {
            per_second: None,
            pair: false,
            pair_capacity: 45,
            pair_refill_ms: 6_000,
            management_per_hour: None,
            regain_minutes: 5,
            numbers: BTreeMap::new(),
        }
    }
}

/// Limits and state of one number.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NumberPacing {
    /// Messages in any one second.
    pub per_second: Option<u32>,
    /// `throughput.level`; `HIGH` when the limit is above 80, else `STANDARD`.
    pub level: Option<String>,
    /// `whatsapp_business_manager_messaging_limit`; `TIER_2K` when absent.
    pub tier: Option<String>,
    /// `quality_rating`; `GREEN` when absent.
    pub quality: Option<String>,
    /// `status`; that of the registration when absent.
    pub status: Option<String>,
    /// People a day outside the 24-hour window; later templates fail with 131048.
    pub people_per_day: Option<u32>,
    /// Sends are refused with 131057.
    pub maintenance: bool,
}

impl Pacing {
    fn limit(&self, number: &str) -> Option<u32> {
        let own = self.numbers.get(number).and_then(|own| own.per_second);
        own.or(self.per_second)
    }

    pub(crate) fn number(&self, number: &str) -> NumberPacing {
        let mut found = self.numbers.get(number).cloned().unwrap_or_default();
        let is_high = self.limit(number).is_some_and(|limit| limit > 80);
        found.level.get_or_insert_with(|| {
            let level = if is_high { "HIGH" } else { "STANDARD" };
            level.to_owned()
        });
        found
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    accepted: u32,
    limited: u32,
    refused: u32,
}

/// How a send ended, for the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Accepted,
    /// By a limit of this module.
    Limited,
    Refused,
}

#[derive(Default)]
struct Meter {
    /// Messages of the last second.
    window: VecDeque<Instant>,
    /// Most messages that any one second had.
    peak: usize,
    total: Counts,
    seconds: VecDeque<(i64, Counts)>,
    people: HashMap<String, Instant>,
}

impl Meter {
    fn slide(&mut self, now: Instant) {
        while self
            .window
            .front()
            .is_some_and(|at| now.duration_since(*at) >= SECOND)
        {
            self.window.pop_front();
        }
    }

    fn add(&mut self, now: Instant) {
        self.slide(now);
        self.window.push_back(now);
        self.peak = self.peak.max(self.window.len());
    }

    fn count(&mut self, outcome: Outcome) {
        let second = Utc::now().timestamp();
        if self.seconds.back().is_none_or(|(last, _)| *last != second) {
            self.seconds.push_back((second, Counts::default()));
            if self.seconds.len() > SECONDS_KEPT {
                self.seconds.pop_front();
            }
        }
        let now = self.seconds.back_mut().map(|(_, counts)| counts);
        for counts in now.into_iter().chain([&mut self.total]) {
            match outcome {
                Outcome::Accepted => counts.accepted += 1,
                Outcome::Limited => counts.limited += 1,
                Outcome::Refused => counts.refused += 1,
            }
        }
    }
}

/// What the limits remember.
#[derive(Default)]
pub(crate) struct Limiter {
    meters: HashMap<String, Meter>,
    /// Messages left to a pair, and as of when.
    pairs: HashMap<(String, String), (f64, Instant)>,
    calls: HashMap<String, VecDeque<Instant>>,
}

impl Limiter {
    fn meter(&mut self, number: &str) -> &mut Meter {
        if !self.meters.contains_key(number) {
            self.meters.insert(number.to_owned(), Meter::default());
        }
        self.meters.entry(number.to_owned()).or_default()
    }

    /// Takes a place for a message, or says why there is none.
    pub(crate) fn take(
        &mut self,
        pacing: &Pacing,
        number: &str,
        person: &str,
    ) -> Result<(), ErrorRow> {
        let now = Instant::now();
        if pacing
            .numbers
            .get(number)
            .is_some_and(|own| own.maintenance)
        {
            return Err(rows::MAINTENANCE);
        }
        let limit = pacing.limit(number);
        let meter = self.meter(number);
        meter.slide(now);
        if limit.is_some_and(|limit| meter.window.len() >= limit as usize) {
            return Err(rows::RATE_LIMIT);
        }
        if pacing.pair && !self.take_pair(pacing, number, person, now) {
            return Err(rows::PAIR_LIMIT);
        }
        self.meter(number).add(now);
        Ok(())
    }

    fn take_pair(&mut self, pacing: &Pacing, number: &str, person: &str, now: Instant) -> bool {
        let capacity = f64::from(pacing.pair_capacity);
        let refill = Duration::from_millis(pacing.pair_refill_ms.max(1));
        let key = (number.to_owned(), person.to_owned());
        let (left, at) = self.pairs.entry(key).or_insert((capacity, now));
        *left += now.duration_since(*at).as_secs_f64() / refill.as_secs_f64();
        *left = left.min(capacity);
        *at = now;
        if *left < 1.0 {
            return false;
        }
        *left -= 1.0;
        true
    }

    /// An incoming message counts towards the number's throughput, too.
    pub(crate) fn incoming(&mut self, number: &str) {
        self.meter(number).add(Instant::now());
    }

    pub(crate) fn count(&mut self, number: &str, outcome: Outcome) {
        self.meter(number).count(outcome);
    }

    /// Counts a person outside the 24-hour window; false when the day's limit is reached.
    pub(crate) fn may_begin(&mut self, number: &str, person: &str, most: u32) -> bool {
        let meter = self.meter(number);
        meter.people.retain(|_, at| at.elapsed() < HOUR * 24);
        if meter.people.contains_key(person) {
            return true;
        }
        if meter.people.len() >= most as usize {
            return false;
        }
        meter.people.insert(person.to_owned(), Instant::now());
        true
    }

    /// Counts a call to an account; false when there were too many in the last hour.
    pub(crate) fn may_call(&mut self, waba_id: &str, most: u32) -> bool {
        let calls = self.calls.entry(waba_id.to_owned()).or_default();
        while calls.front().is_some_and(|at| at.elapsed() >= HOUR) {
            calls.pop_front();
        }
        if calls.len() >= most as usize {
            return false;
        }
        calls.push_back(Instant::now());
        true
    }

    /// Counts by number and second.
    pub(crate) fn stats(&self, only: Option<&str>, seconds: usize) -> Value {
        let numbers: serde_json::Map<String, Value> = self
            .meters
            .iter()
            .filter(|(number, _)| only.is_none_or(|only| only == number.as_str()))
            .map(|(number, meter)| {
                let skip = meter.seconds.len().saturating_sub(seconds);
                let list: Vec<Value> = meter
                    .seconds
                    .iter()
                    .skip(skip)
                    .map(|(second, counts)| {
                        json!([second, counts.accepted, counts.limited, counts.refused])
                    })
                    .collect();
                let shown = json!({
                    "accepted": meter.total.accepted,
                    "limited": meter.total.limited,
                    "refused": meter.total.refused,
                    "peak_per_second": meter.peak,
                    "seconds": list,
                });
                (number.clone(), shown)
            })
            .collect();
        Value::Object(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(per_second: u32) -> Pacing {
        Pacing {
            per_second: Some(per_second),
            ..Pacing::default()
        }
    }

    #[test]
    fn no_second_has_more_than_the_limit() {
        let mut limiter = Limiter::default();
        let pacing = limited(3);
        let taken = (0..5)
            .filter(|_| limiter.take(&pacing, "1", "a").is_ok())
            .count();
        assert_eq!(taken, 3);
        assert!(
            limiter.take(&pacing, "2", "a").is_ok(),
            "numbers are independent"
        );
        // As if the second had passed.
        let past = Instant::now().checked_sub(SECOND).expect("a clock");
        limiter
            .meter("1")
            .window
            .iter_mut()
            .for_each(|at| *at = past);
        assert!(limiter.take(&pacing, "1", "a").is_ok());
        assert_eq!(limiter.stats(None, 10)["1"]["peak_per_second"], 3);
    }

    #[test]
    fn a_pair_has_a_burst_and_then_one_at_a_time() {
        let mut limiter = Limiter::default();
        let pacing = Pacing {
            pair: true,
            ..Pacing::default()
        };
        for _ in 0..45 {
            assert!(limiter.take(&pacing, "1", "a").is_ok());
        }
        assert_eq!(limiter.take(&pacing, "1", "a"), Err(rows::PAIR_LIMIT));
        assert!(limiter.take(&pacing, "1", "b").is_ok());
    }
}
