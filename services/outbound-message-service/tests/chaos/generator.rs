//! Callers that insist: each message has a key, and what is not answered is asked again under it.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::StdRng};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::Instant};
use uuid::Uuid;

use crate::{checker::Wish, stage::Tenant, world::reqwest_client};

/// How much is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Conversations of each tenant; one caller each.
    pub(crate) conversations: usize,
    /// Messages in each, at the least; callers go on until the case is judged.
    pub(crate) messages: usize,
    /// Between two messages of a conversation.
    pub(crate) pause: Duration,
    /// The last six digits of recipients, in turns: what the sandbox makes of them, if they are magic.
    pub(crate) endings: &'static [&'static str],
}

impl Default for Load {
    fn default() -> Self {
        Self {
            conversations: 4,
            messages: 12,
            pause: Duration::from_millis(100),
            endings: &["100000"],
        }
    }
}

/// Senders at work.
pub(crate) struct Generator {
    seed: u64,
    begun: Instant,
    callers: JoinSet<Vec<Wish>>,
    accepted: Arc<AtomicUsize>,
    server_errors: Arc<Mutex<Vec<String>>>,
    enough: Arc<AtomicBool>,
}

struct Caller {
    load: Load,
    urls: Arc<[String]>,
    tenant: Tenant,
    recipient: String,
    random: StdRng,
    http: reqwest::Client,
    accepted: Arc<AtomicUsize>,
    server_errors: Arc<Mutex<Vec<String>>>,
    enough: Arc<AtomicBool>,
}

/// What one call told.
enum Answer {
    Accepted(Uuid),
    /// Surely nothing happened.
    Refused,
    /// It cannot be known.
    Lost,
}

impl Generator {
    pub(crate) fn start(load: Load, urls: &Arc<[String]>, tenants: &[Tenant]) -> Self {
        let seed = setting("CHAOS_SEED").unwrap_or_else(rand::random);
        let accepted = Arc::new(AtomicUsize::new(0));
        let server_errors = Arc::default();
        let enough = Arc::new(AtomicBool::new(false));
        let mut callers = JoinSet::new();
        for (t, tenant) in tenants.iter().enumerate() {
            for c in 0..load.conversations {
                let number = t * load.conversations + c;
                let ending = load.endings[c % load.endings.len()];
                let caller = Caller {
                    load,
                    urls: Arc::clone(urls),
                    tenant: tenant.clone(),
                    recipient: format!("+1{number:04}{ending}"),
                    random: StdRng::seed_from_u64(seed.wrapping_add(number as u64)),
                    http: reqwest_client(),
                    accepted: Arc::clone(&accepted),
                    server_errors: Arc::clone(&server_errors),
                    enough: Arc::clone(&enough),
                };
                callers.spawn(caller.run());
            }
        }
        Self {
            seed,
            begun: Instant::now(),
            callers,
            accepted,
            server_errors,
            enough,
        }
    }

    /// How many messages were accepted so far.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// What servers answered with a 5xx.
    pub(crate) fn server_errors(&self) -> Vec<String> {
        self.server_errors.lock().unwrap().clone()
    }

    /// Lets the callers come to an end, in the long form not before its time; answers the seed and what
    /// they wished for.
    pub(crate) async fn finish(self) -> (u64, Vec<Wish>) {
        tokio::time::sleep_until(self.begun + long_form()).await;
        self.enough.store(true, Ordering::Relaxed);
        let wishes = self.callers.join_all().await;
        (self.seed, wishes.into_iter().flatten().collect())
    }
}

impl Caller {
    async fn run(mut self) -> Vec<Wish> {
        let mut wishes = Vec::new();
        while wishes.len() < self.load.messages || !self.enough.load(Ordering::Relaxed) {
            wishes.push(self.wish(wishes.len()).await);
            let jitter = self.random.random_range(0.5..1.5);
            tokio::time::sleep(self.load.pause.mul_f64(jitter)).await;
        }
        wishes
    }

    async fn wish(&mut self, number: usize) -> Wish {
        let text = format!("{} {} {number}", self.tenant.name, self.recipient);
        let key = format!("key {number} {}", self.recipient).replace(' ', "-");
        let body = json!({"to": self.recipient, "text": text});
        // Some give up at a refusal, so that one that was none is found out.
        let gives_up = self.random.random_bool(0.2);
        let repeats = self.random.random_bool(0.1);
        let mut ids = Vec::new();
        let mut only_refused = true;
        loop {
            match self.ask(&key, &body).await {
                Answer::Accepted(id) => {
                    self.accepted
                        .fetch_add(usize::from(ids.is_empty()), Ordering::Relaxed);
                    ids.push(id);
                    only_refused = false;
                    if !repeats || ids.len() > 1 {
                        break;
                    }
                }
                Answer::Refused if gives_up && only_refused => break,
                Answer::Refused => {}
                Answer::Lost => only_refused = false,
            }
            let pause = self.random.random_range(20..200);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        Wish {
            tenant: self.tenant.name.clone(),
            recipient: self.recipient.clone(),
            text,
            ids,
            only_refused,
        }
    }

    async fn ask(&mut self, key: &str, body: &Value) -> Answer {
        let first = self.random.next_u64();
        for n in 0..self.urls.len() as u64 {
            let which = usize::try_from((first.wrapping_add(n)) % self.urls.len() as u64).unwrap();
            let sent = self
                .http
                .post(format!("{}/api/messages/send", self.urls[which]))
                .bearer_auth(&self.tenant.access_token)
                .header("Idempotency-Key", key)
                .json(body)
                .send()
                .await;
            match sent {
                Ok(answer) => return self.read(answer).await,
                // Not a byte of it arrived: a balancer would ask the next one, too.
                Err(error) if error.is_connect() => {}
                Err(_) => return Answer::Lost,
            }
        }
        Answer::Refused
    }

    async fn read(&self, answer: reqwest::Response) -> Answer {
        let status = answer.status();
        let Ok(body) = answer.json::<Value>().await else {
            return Answer::Lost;
        };
        match status {
            StatusCode::ACCEPTED => {
                Answer::Accepted(body["message_id"].as_str().unwrap().parse().unwrap())
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::CONFLICT => Answer::Refused,
            _ if status.is_server_error() => {
                let told = format!("{status}: {body}");
                self.server_errors.lock().unwrap().push(told);
                Answer::Refused
            }
            _ => panic!("{status}: {body}"),
        }
    }
}

/// How long the long form sends, at the least; nothing in the short form.
pub(crate) fn long_form() -> Duration {
    Duration::from_secs(setting("CHAOS_SECONDS").unwrap_or_default())
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
