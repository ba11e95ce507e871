//! A scripted HTTP server that can also break the rules of HTTP. Shared with the tests of the
//! other client crates.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use url::Url;

/// What the server does with one request.
#[derive(Clone)]
pub(crate) enum Reply {
    /// Answers properly.
    Http(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Writes these bytes and closes.
    Raw(Vec<u8>),
    /// Reads the request and closes without a word.
    Close,
    /// Reads the request and never answers.
    Silence,
    /// Waits to be told, and then does this.
    After(Arc<Notify>, Box<Reply>),
}

impl Reply {
    pub(crate) fn json(status: u16, body: &(impl ToString + ?Sized)) -> Self {
        let headers = vec![("content-type", "application/json".to_owned())];
        Self::Http(status, headers, body.to_string().into_bytes())
    }

    pub(crate) fn with(self, name: &'static str, value: &str) -> Self {
        match self {
            Self::Http(status, mut headers, body) => {
                headers.push((name, value.to_owned()));
                Self::Http(status, headers, body)
            }
            other => other,
        }
    }
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// The server; it ends with the test.
pub(crate) struct Fake {
    pub(crate) url: Url,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Fake {
    /// Answers the n-th request with the n-th reply, and all further ones with the last.
    pub(crate) async fn start(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (seen, replies) = (Arc::clone(&seen), replies.clone());
                tokio::spawn(async move {
                    let Some(request) = read(&mut stream).await else {
                        return;
                    };
                    let number = {
                        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                        seen.push(request);
                        seen.len() - 1
                    };
                    let reply = replies.get(number).or(replies.last()).cloned();
                    answer(&mut stream, reply.unwrap_or(Reply::Close)).await;
                });
            }
        });
        Self { url, requests }
    }

    /// All requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The one request that came.
    pub(crate) fn only_request(&self) -> Request {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests.remove(0)
    }
}

async fn answer(stream: &mut TcpStream, mut reply: Reply) {
    while let Reply::After(gate, then) = reply {
        gate.notified().await;
        reply = *then;
    }
    let bytes = match reply {
        Reply::Http(status, headers, body) => {
            let headers = headers
                .iter()
                .map(|(name, value)| format!("{name}: {value}\r\n"));
            let head = format!(
                "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n{}",
                body.len(),
                headers.collect::<String>()
            );
            [head.as_bytes(), b"\r\n", &body].concat()
        }
        Reply::Raw(bytes) => bytes,
        Reply::Close | Reply::After(..) => return,
        Reply::Silence => std::future::pending().await,
    };
    // A client that reads no further closes first, which is no fault.
    drop(stream.write_all(&bytes).await);
    drop(stream.shutdown().await);
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    loop {
        if let Some(request) = whole(&bytes) {
            return Some(request);
        }
        let mut chunk = [0; 4096];
        let length = stream.read(&mut chunk).await.ok()?;
        if length == 0 {
            return None;
        }
        bytes.extend_from_slice(chunk.get(..length)?);
    }
}

fn whole(bytes: &[u8]) -> Option<Request> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    (body.len() >= length).then(|| Request {
        method: first.next().unwrap_or_default().to_owned(),
        target: first.next().unwrap_or_default().to_owned(),
        headers,
        body: body.to_owned(),
    })
}
