//! Callers that keep their connection and wait for each answer before they ask again.
//!
//! The generator shares the machine with what it measures, so it writes and reads plain HTTP/1.1 on
//! a socket and looks at no more of an answer than its status and length.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Mutex,
    task::JoinSet,
};

use crate::Latencies;

/// One call, as bytes.
#[derive(Debug, Clone)]
pub struct Request(Vec<u8>);

impl Request {
    /// `POST path` with a bearer token and a JSON body.
    pub fn post(path: &str, token: &str, headers: &[(&str, &str)], body: &str) -> Self {
        let mut text = format!(
            "POST {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            for part in [name, ": ", value, "\r\n"] {
                text.push_str(part);
            }
        }
        text.push_str("\r\n");
        text.push_str(body);
        Self(text.into_bytes())
    }
}

/// Callers with one open connection each.
pub struct Load {
    connections: Vec<Arc<Mutex<Connection>>>,
}

/// What happened in one round.
#[derive(Debug, Clone, Default)]
pub struct Round {
    /// Answers with the wanted status.
    pub good: usize,
    /// Other answers by status, most telling first.
    pub bad: Vec<(u16, usize)>,
    /// How long it went on.
    pub took: Duration,
    /// Of the good answers.
    pub latencies: Latencies,
}

impl Round {
    /// Good answers a second.
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of a benchmark are small"
    )]
    pub fn per_second(&self) -> f64 {
        self.good as f64 / self.took.as_secs_f64()
    }

    fn count_bad(&mut self, status: u16, count: usize) {
        match self.bad.iter_mut().find(|(known, _)| *known == status) {
            Some((_, sum)) => *sum += count,
            None => self.bad.push((status, count)),
        }
    }

    /// Adds another round.
    pub fn append(&mut self, other: Self) {
        self.good += other.good;
        self.took += other.took;
        self.latencies.append(other.latencies);
        for (status, count) in other.bad {
            self.count_bad(status, count);
        }
    }
}

impl Load {
    /// Opens `count` connections to `host:port`.
    pub async fn connect(address: &str, count: usize) -> Self {
        let mut connections = Vec::with_capacity(count);
        for _ in 0..count {
            let stream = TcpStream::connect(address).await.expect("the service");
            stream.set_nodelay(true).expect("a socket option");
            connections.push(Arc::new(Mutex::new(Connection {
                stream,
                buffer: Vec::with_capacity(8192),
            })));
        }
        Self { connections }
    }

    /// All callers ask, each as fast as it is answered, until `duration` is over. `request(caller,
    /// n)` makes the caller's n-th call.
    pub async fn run(
        &self,
        duration: Duration,
        wanted: u16,
        request: impl Fn(usize, usize) -> Request + Send + Sync + 'static,
    ) -> Round {
        let begun = Instant::now();
        self.run_while(wanted, request, move |_| begun.elapsed() < duration)
            .await
    }

    /// As [`Load::run`], until each caller has asked `count` times.
    pub async fn run_each(
        &self,
        count: usize,
        wanted: u16,
        request: impl Fn(usize, usize) -> Request + Send + Sync + 'static,
    ) -> Round {
        self.run_while(wanted, request, move |n| n < count).await
    }

    async fn run_while(
        &self,
        wanted: u16,
        request: impl Fn(usize, usize) -> Request + Send + Sync + 'static,
        goes_on: impl Fn(usize) -> bool + Copy + Send + 'static,
    ) -> Round {
        let request = Arc::new(request);
        let begun = Instant::now();
        let mut callers = JoinSet::new();
        for (caller, connection) in self.connections.iter().enumerate() {
            let (connection, request) = (Arc::clone(connection), Arc::clone(&request));
            callers.spawn(async move {
                let mut connection = connection.lock().await;
                let mut round = Round::default();
                let mut n = 0;
                while goes_on(n) {
                    let Request(bytes) = request(caller, n);
                    n += 1;
                    let asked = Instant::now();
                    let status = connection.call(&bytes).await;
                    if status == wanted {
                        round.good += 1;
                        round.latencies.push(asked.elapsed());
                    } else {
                        round.count_bad(status, 1);
                    }
                }
                round
            });
        }
        let mut all = Round::default();
        while let Some(round) = callers.join_next().await {
            all.append(round.expect("a caller"));
        }
        all.took = begun.elapsed();
        all
    }
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Asks and reads the whole answer; answers its status.
    async fn call(&mut self, request: &[u8]) -> u16 {
        self.stream.write_all(request).await.expect("it is written");
        self.buffer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.buffer).await;
            assert!(read.expect("it is read") > 0, "the service hung up");
            if let Some(status) = complete(&self.buffer) {
                return status;
            }
        }
    }
}

/// The status, once head and body are there.
fn complete(answer: &[u8]) -> Option<u16> {
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(answer.get(..head)?).ok()?;
    let status = text.get(9..12)?.parse().ok()?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    (answer.len() >= head + length.unwrap_or(0)).then_some(status)
}
