//! Faults by chance, the same in each run with the same seed, and errors made to order.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::errors::GraphError;
use super::rows::{self, ErrorRow};

/// What goes wrong, how often. Chances lie between 0 and 1 and are thrown for each message (those
/// of webhooks for each webhook); the same traffic to a recipient meets the same faults again.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Another seed makes other choices.
    pub seed: u64,
    /// No status webhooks at all.
    pub webhooks_off: bool,
    /// Chance that a status webhook is never sent.
    pub drop: f64,
    /// Chance that a status webhook is sent `copies` times.
    pub duplicate: f64,
    /// How often a duplicated one is sent.
    pub copies: u32,
    /// Chance that a message's statuses come in reverse order.
    pub reorder: f64,
    /// Chance that a status webhook is delayed.
    pub delay: f64,
    /// Shortest and longest delay in milliseconds.
    pub delay_ms: (u64, u64),
    /// Chance that the `sent` webhook arrives before the answer.
    pub early: f64,
    /// Chance that a message is accepted and the connection closed without an answer.
    pub disconnect: f64,
    /// Chance that the connection is closed and the message not accepted.
    pub refuse_disconnect: f64,
    /// Chance of 131000 with HTTP 500; not accepted.
    pub error_5xx: f64,
    /// Chance of HTTP 503 without a body; not accepted.
    pub empty_5xx: f64,
    /// How long answers to sends take.
    pub latency: Option<Latency>,
    /// Statuses are collected and sent together.
    pub batch: Option<Batch>,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            seed: 1,
            webhooks_off: false,
            drop: 0.0,
            duplicate: 0.0,
            copies: 2,
            reorder: 0.0,
            delay: 0.0,
            delay_ms: (100, 1_000),
            early: 0.0,
            disconnect: 0.0,
            refuse_disconnect: 0.0,
            error_5xx: 0.0,
            empty_5xx: 0.0,
            latency: None,
            batch: None,
        }
    }
}

/// A log-normal spread.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// Median in milliseconds.
    pub p50_ms: f64,
    /// 99th percentile in milliseconds.
    pub p99_ms: f64,
}

/// How statuses are put together.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// Most statuses in one request; Meta's limit is 1,000.
    pub max: usize,
    /// How long statuses are collected, in milliseconds.
    pub every_ms: u64,
    /// Statuses of several accounts may share a request.
    #[serde(default)]
    pub across_accounts: bool,
}

impl Faults {
    /// Refuses chances that are none.
    pub(crate) fn check(&self) -> Result<(), String> {
        let chances = [
            ("drop", self.drop),
            ("duplicate", self.duplicate),
            ("reorder", self.reorder),
            ("delay", self.delay),
            ("early", self.early),
            ("disconnect", self.disconnect),
            ("refuse_disconnect", self.refuse_disconnect),
            ("error_5xx", self.error_5xx),
            ("empty_5xx", self.empty_5xx),
        ];
        if let Some((name, _)) = chances.iter().find(|(_, p)| !(0.0..=1.0).contains(p)) {
            return Err(format!("{name} must lie between 0 and 1."));
        }
        if self.delay_ms.0 > self.delay_ms.1 {
            return Err("delay_ms must be [shortest, longest].".to_owned());
        }
        match self.batch {
            Some(batch) if !(1..=1_000).contains(&batch.max) => {
                Err("batch.max must lie between 1 and 1000.".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// True when something is left to chance, so that messages must be counted.
    pub(crate) fn by_chance(&self) -> bool {
        self.latency.is_some()
            || [
                self.drop,
                self.duplicate,
                self.reorder,
                self.delay,
                self.early,
                self.disconnect,
                self.refuse_disconnect,
                self.error_5xx,
                self.empty_5xx,
            ]
            .iter()
            .any(|chance| *chance > 0.0)
    }
}

/// The dice of one message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dice(u64);

impl Dice {
    /// `nth` counts the sends from this number to this recipient.
    pub(crate) fn new(seed: u64, phone_number_id: &str, recipient: &str, nth: u32) -> Self {
        let mut hasher = DefaultHasher::new();
        (seed, phone_number_id, recipient, nth).hash(&mut hasher);
        Self(hasher.finish())
    }

    /// Between 0 and 1, always the same for the same question.
    pub(crate) fn roll(self, what: &str) -> f64 {
        let mut hasher = DefaultHasher::new();
        (self.0, what).hash(&mut hasher);
        // 32 bits are exact in a double.
        let bits = u32::try_from(hasher.finish() >> 32).unwrap_or(u32::MAX);
        f64::from(bits) / 4_294_967_296.0
    }

    pub(crate) fn hits(self, what: &str, chance: f64) -> bool {
        chance > 0.0 && self.roll(what) < chance
    }

    pub(crate) fn between(self, what: &str, (least, most): (u64, u64)) -> Duration {
        let span = Duration::from_millis(most.saturating_sub(least));
        Duration::from_millis(least) + span.mul_f64(self.roll(what))
    }

    pub(crate) fn latency(self, spread: Latency) -> Duration {
        // Box and Muller; 2.326 standard deviations lie below the 99th percentile.
        let (a, b) = (self.roll("latency a").max(1e-9), self.roll("latency b"));
        let normal = (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos();
        let median = spread.p50_ms.max(0.001);
        let sigma = (spread.p99_ms.max(median) / median).ln() / 2.326;
        let millis = median * (sigma * normal).exp();
        Duration::from_secs_f64((millis / 1_000.0).clamp(0.0, 600.0))
    }
}

/// An error for the next calls that fit.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NextError {
    /// Meta's code.
    pub code: u32,
    /// HTTP status; that of the error table when absent.
    pub http: Option<u16>,
    /// `error_subcode`.
    pub subcode: Option<u32>,
    /// `is_transient`; left out of the answer when absent.
    pub is_transient: Option<bool>,
    /// Message; that of the error table when absent.
    pub message: Option<String>,
    /// `error_data.details`.
    pub details: Option<String>,
    /// For how many calls.
    #[serde(default = "once")]
    pub times: u32,
    /// Last path segment of the calls meant.
    #[serde(default = "messages")]
    pub edge: String,
    /// Only calls for this number.
    pub phone_number_id: Option<String>,
    /// Only sends to this recipient: digits without plus, or a business-scoped user id.
    pub recipient: Option<String>,
    /// The message is accepted and a failed webhook has the error.
    #[serde(default)]
    pub by_webhook: bool,
    /// Minutes told in `x-business-use-case-usage`.
    pub regain_minutes: Option<u32>,
}

fn once() -> u32 {
    1
}

fn messages() -> String {
    "messages".to_owned()
}

impl NextError {
    /// Once, for any send, as the error table has it.
    pub fn of(code: u32) -> Self {
        Self {
            code,
            http: None,
            subcode: None,
            is_transient: None,
            message: None,
            details: None,
            times: once(),
            edge: messages(),
            phone_number_id: None,
            recipient: None,
            by_webhook: false,
            regain_minutes: None,
        }
    }

    fn fits(&self, edge: &str, phone_number_id: Option<&str>, recipient: Option<&str>) -> bool {
        self.edge == edge
            && (self.phone_number_id.is_none()
                || self.phone_number_id.as_deref() == phone_number_id)
            && (self.recipient.is_none() || self.recipient.as_deref() == recipient)
    }

    /// The row of the table, or one with this code.
    pub(crate) fn row(&self) -> ErrorRow {
        rows::of_code(self.code).unwrap_or(ErrorRow {
            code: self.code,
            http: 400,
            title: "An error made to order",
            details: "",
        })
    }

    pub(crate) fn answer(&self) -> GraphError {
        let row = self.row();
        let message = self.message.as_deref().unwrap_or(row.title);
        let mut error = GraphError::made(self.http.unwrap_or(row.http), self.code, message);
        error.subcode = self.subcode;
        error.transient = self.is_transient;
        error.regain_minutes = self.regain_minutes;
        match self.details.as_deref().unwrap_or(row.details) {
            "" => error,
            details => error.with_details(details),
        }
    }
}

/// Errors that wait for their calls, oldest first.
#[derive(Default)]
pub(crate) struct Orders(Vec<NextError>);

impl Orders {
    pub(crate) fn add(&mut self, order: NextError) {
        self.0.push(order);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// The first that fits, counted down.
    pub(crate) fn take(
        &mut self,
        edge: &str,
        phone_number_id: Option<&str>,
        recipient: Option<&str>,
    ) -> Option<NextError> {
        let place = self
            .0
            .iter()
            .position(|order| order.times > 0 && order.fits(edge, phone_number_id, recipient))?;
        let order = self.0.get_mut(place)?;
        order.times -= 1;
        let found = order.clone();
        self.0.retain(|order| order.times > 0);
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_choices() {
        let dice = |seed, nth| Dice::new(seed, "1", "2", nth);
        let (one, again) = (dice(7, 0).roll("drop"), dice(7, 0).roll("drop"));
        assert!((one - again).abs() < f64::EPSILON);
        let hits = |seed| -> Vec<bool> {
            (0..1_000)
                .map(|nth| dice(seed, nth).hits("drop", 0.3))
                .collect()
        };
        assert_ne!(hits(1), hits(2));
        let share = hits(1).iter().filter(|hit| **hit).count();
        assert!((250..350).contains(&share), "{share}");
    }

    #[test]
    fn latencies_have_the_asked_median() {
        let spread = Latency {
            p50_ms: 100.0,
            p99_ms: 500.0,
        };
        let mut all: Vec<Duration> = (0..2_001)
            .map(|nth| Dice::new(1, "1", "2", nth).latency(spread))
            .collect();
        all.sort();
        assert!(
            (80..125).contains(&all[1_000].as_millis()),
            "{:?}",
            all[1_000]
        );
        assert!(
            (350..800).contains(&all[1_980].as_millis()),
            "{:?}",
            all[1_980]
        );
    }
}
