//! A Redis of a test's own, with the users of an installation, for tests that stop and flush it.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Mutex,
    thread::sleep,
    time::{Duration, Instant},
};

use crate::ServiceRole;

const USERS: &str = include_str!("../../../deploy/redis/users.acl");
const PASSWORD: &str = "test";
/// Who may do everything; no service.
const OPERATOR: &str = "operator";
const PATIENCE: Duration = Duration::from_secs(20);

/// A Redis server, gone with the value.
#[derive(Debug)]
pub struct PrivateRedis {
    home: PathBuf,
    port: u16,
    server: Mutex<Option<Child>>,
}

impl PrivateRedis {
    /// Starts it and waits until it answers.
    pub fn start() -> Self {
        let name = format!("portal-redis-{}", uuid::Uuid::now_v7().simple());
        let home = std::env::temp_dir().join(name);
        std::fs::create_dir(&home).expect("a folder for redis");
        let mut users = format!("{USERS}user {OPERATOR} on >{PASSWORD} ~* +@all\n");
        for service in [
            "TENANT_SERVICE",
            "AGENT_PORTAL_SERVICE",
            "OUTBOUND_MESSAGE_SERVICE",
        ] {
            users = users.replace(&format!("#@{service}@"), &format!(">{PASSWORD}"));
        }
        std::fs::write(home.join("users.acl"), users).expect("the file of users");
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("its number").port();
        drop(free);
        let redis = Self {
            home,
            port,
            server: Mutex::new(None),
        };
        redis.resume();
        redis
    }

    /// The URL for a service's user.
    pub fn url(&self, role: ServiceRole) -> String {
        let user = role.user();
        format!("redis://{user}:{PASSWORD}@127.0.0.1:{}/0", self.port)
    }

    /// The URL for somebody who may do everything, for tests that are not about rights.
    pub fn operator_url(&self) -> String {
        format!("redis://{OPERATOR}:{PASSWORD}@127.0.0.1:{}/0", self.port)
    }

    /// Ends the server; what it held is lost.
    pub fn stop(&self) {
        if let Some(mut server) = self.server.lock().expect("no panic before").take() {
            server.kill().expect("redis stops");
            server.wait().expect("redis has stopped");
        }
    }

    /// Starts the server again, empty.
    pub fn resume(&self) {
        let server = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--port"])
            .arg(self.port.to_string())
            .arg("--dir")
            .arg(&self.home)
            .arg("--aclfile")
            .arg(self.home.join("users.acl"))
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        *self.server.lock().expect("no panic before") = Some(server);
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(begun.elapsed() < PATIENCE, "redis does not start");
            sleep(Duration::from_millis(20));
        }
    }

    /// Loses everything.
    pub fn flush(&self) {
        assert_eq!(self.operate("FLUSHALL"), "+OK\r\n");
    }

    /// What Redis answers an operator.
    pub fn operate(&self, command: &str) -> String {
        self.ask(OPERATOR, command)
    }

    /// What Redis answers a service.
    pub fn ask_as(&self, role: ServiceRole, command: &str) -> String {
        self.ask(role.user(), command)
    }

    fn ask(&self, user: &str, command: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("redis answers");
        let text = format!("AUTH {user} {PASSWORD}\r\n{command}\r\nQUIT\r\n");
        stream.write_all(text.as_bytes()).expect("redis reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("redis writes");
        let answer = answer.strip_prefix("+OK\r\n").expect("the user is known");
        answer.strip_suffix("+OK\r\n").unwrap_or(answer).to_owned()
    }
}

impl Drop for PrivateRedis {
    fn drop(&mut self) {
        self.stop();
        // Best effort: it is in the system's temporary folder.
        drop(std::fs::remove_dir_all(&self.home));
    }
}
