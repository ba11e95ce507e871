//! Status webhooks: what follows an accepted message, and when.

mod batch;
mod delivery;
mod payload;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::Instant;

pub(crate) use self::batch::Batcher;
pub(crate) use self::delivery::{Delivery, deliver};
pub(crate) use self::payload::{envelope, timed, user_id_of};
use super::faults::{Dice, Faults};
use super::magic::Plan;
use super::messages::Accepted;
use super::rows::{ErrorRow, UNKNOWN_FAILURE};
use crate::config::StatusDelays;
use crate::state::State;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Sent,
    Delivered,
    Read,
    Failed(ErrorRow),
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Failed(_) => "failed",
        }
    }
}

/// One webhook request to come.
struct Post {
    after: Duration,
    statuses: Vec<Status>,
    forged: bool,
    copies: u32,
}

fn post(after: Duration, status: Status) -> Post {
    Post {
        after,
        statuses: vec![status],
        forged: false,
        copies: 1,
    }
}

/// What follows an accepted message. Within a track one webhook follows another, as long as the
/// receiver answers; tracks are independent of each other.
fn tracks(plan: Plan, kind: &str, delays: StatusDelays) -> Vec<Vec<Post>> {
    let StatusDelays {
        sent,
        delivered,
        read,
    } = delays;
    let normal = || {
        vec![
            post(sent, Status::Sent),
            post(delivered, Status::Delivered),
            post(read, Status::Read),
        ]
    };
    // A reaction is never more than sent.
    if kind == "reaction" && plan == Plan::Normal {
        return vec![vec![post(sent, Status::Sent)]];
    }
    let track = match plan {
        Plan::Normal => normal(),
        Plan::Nothing => Vec::new(),
        Plan::Fail(row) => vec![post(sent, Status::Failed(row))],
        Plan::FailAfterSent(row) => {
            vec![
                post(sent, Status::Sent),
                post(delivered, Status::Failed(row)),
            ]
        }
        Plan::Twice => return vec![normal(), normal()],
        Plan::Reordered => vec![
            post(sent, Status::Read),
            post(delivered, Status::Delivered),
            post(read, Status::Sent),
        ],
        Plan::SentOnly => vec![post(sent, Status::Sent)],
        Plan::Unread => vec![post(sent, Status::Sent), post(delivered, Status::Delivered)],
        Plan::ReadWithoutDelivered => vec![post(sent, Status::Sent), post(read, Status::Read)],
        Plan::OnePost => vec![Post {
            after: sent,
            statuses: vec![Status::Sent, Status::Delivered, Status::Read],
            forged: false,
            copies: 1,
        }],
        Plan::ForgedFirst => {
            let forged = Post {
                forged: true,
                ..post(sent, Status::Failed(UNKNOWN_FAILURE))
            };
            std::iter::once(forged).chain(normal()).collect()
        }
    };
    vec![track]
}

/// Lets chance work on a track; what is delayed leaves the track, so that it holds up nothing.
fn disturb(mut track: Vec<Post>, faults: &Faults, dice: Dice) -> Vec<Vec<Post>> {
    if dice.hits("reorder", faults.reorder) {
        let mut statuses: Vec<Vec<Status>> =
            track.iter().map(|post| post.statuses.clone()).collect();
        for post in &mut track {
            post.statuses = statuses.pop().unwrap_or_default();
        }
    }
    let mut tracks = vec![Vec::new()];
    for mut post in track {
        let name = post.statuses.first().map_or("", |status| status.name());
        let hits = |what: &str, chance| dice.hits(&format!("{what} {name}"), chance);
        if hits("drop", faults.drop) {
            continue;
        }
        if hits("duplicate", faults.duplicate) {
            post.copies = faults.copies.max(1);
        }
        if hits("delay", faults.delay) {
            post.after += dice.between(&format!("delay ms {name}"), faults.delay_ms);
            tracks.push(vec![post]);
        } else if let Some(first) = tracks.first_mut() {
            first.push(post);
        }
    }
    tracks
}

/// Starts the webhooks of a message. The future ends when the first of them was tried once, or
/// when there is none.
pub(crate) fn schedule(
    state: &Arc<State>,
    accepted: Accepted,
    plan: Plan,
    dice: Option<Dice>,
) -> impl Future<Output = ()> + use<> {
    let settings = state.settings();
    let faults = &settings.graph.faults;
    let (tried, first) = oneshot::channel();
    let mut tried = Some(tried);
    if settings.webhook.url.is_some() && !faults.webhooks_off {
        let accepted = Arc::new(accepted);
        let mut all = tracks(plan, &accepted.kind, settings.webhook.delays);
        if let Some(dice) = dice {
            all = all
                .into_iter()
                .flat_map(|track| disturb(track, faults, dice))
                .collect();
        }
        for track in all {
            if track.is_empty() {
                continue;
            }
            let together = faults.batch.is_some() && track.iter().all(|post| !post.forged);
            if together {
                collect(state, &accepted, &track);
                continue;
            }
            let task = run(
                Arc::clone(state),
                Arc::clone(&accepted),
                track,
                tried.take(),
            );
            state.spawn(task);
        }
    }
    async move {
        // An error only says that there is nothing to wait for.
        first.await.unwrap_or_default();
    }
}

fn collect(state: &Arc<State>, accepted: &Arc<Accepted>, track: &[Post]) {
    for post in track {
        for _ in 0..post.copies {
            for status in &post.statuses {
                batch::add(state, accepted, *status, post.after);
            }
        }
    }
}

async fn run(
    state: Arc<State>,
    accepted: Arc<Accepted>,
    track: Vec<Post>,
    mut tried: Option<oneshot::Sender<()>>,
) {
    let start = Instant::now();
    for post in track {
        tokio::time::sleep_until(start + post.after).await;
        let version = state.settings().webhook.payload;
        let names: Vec<&str> = post.statuses.iter().map(|status| status.name()).collect();
        let body = payload::payload(&accepted, &post.statuses, version);
        let mut delivery = Delivery::new(&body, names.join("+"));
        delivery.phone_number_id = Some(accepted.phone.id.clone());
        delivery.wamid = Some(accepted.wamid.clone());
        delivery.forged = post.forged;
        for _ in 1..post.copies {
            deliver(&state, delivery.clone());
        }
        let settled = delivery::try_once(&state, &delivery, 1).await;
        // Nobody may be waiting.
        tried.take().map(|tried| tried.send(()));
        if !settled && !post.forged {
            // A failed one does not hold up the next.
            state.spawn(delivery::repeat(Arc::clone(&state), delivery));
        }
    }
}

/// Sends a value for a field to the receiver, as a management webhook.
pub(crate) fn emit(state: &Arc<State>, waba_id: &str, field: &str, value: &Value) {
    let body = timed(waba_id, field, value);
    deliver(state, Delivery::new(&body, field));
}
