//! A PostgreSQL and a RabbitMQ of a test's own, for tests that stop, kill and starve them. The scripts
//! that run the system locally start them here, too.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/local");

/// A folder that PostgreSQL's user may walk into, gone with the value.
#[derive(Debug)]
struct Home(PathBuf);

impl Home {
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let name = format!("portal-private-{}", uuid::Uuid::now_v7().simple());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a folder for the server");
        let open = std::fs::Permissions::from_mode(0o711);
        std::fs::set_permissions(&path, open).expect("its rights");
        let home = Self(path);
        home.outlive_nobody();
        home
    }

    /// A test that is killed drops nothing: somebody else ends its servers then.
    fn outlive_nobody(&self) {
        let lines = format!(
            "(while kill -0 {} 2>/dev/null; do sleep 1; done; \
             for file in \"$HOME_DIR/pg/postmaster.pid\" \"$HOME_DIR/rabbit/rabbit.pid\"; do \
               [ ! -s \"$file\" ] || kill -KILL \"$(head -n 1 \"$file\")\"; \
             done; rm -rf \"$HOME_DIR\") >/dev/null 2>&1 &",
            std::process::id()
        );
        self.run(&lines);
    }

    /// Runs lines of bash after the scripts of `deploy/local`, with this folder as `$HOME_DIR`.
    fn run(&self, lines: &str) {
        let script = format!(
            ". \"$SCRIPTS/lib.sh\"; . \"$SCRIPTS/postgres.sh\"; . \"$SCRIPTS/rabbitmq.sh\"; {lines}"
        );
        let done = Command::new("bash")
            .args(["-c", &script])
            // lib.sh asks where it lies by the place of the file that sources it.
            .env("SCRIPTS", SCRIPTS)
            .env("HOME_DIR", &self.0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .expect("bash is there");
        assert!(done.success(), "the server's script failed: {lines}");
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // Best effort: it is in the system's temporary folder.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn free_ports<const N: usize>() -> [u16; N] {
    // All are held until the last is found, so that none comes twice.
    let held = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    held.map(|one| one.local_addr().expect("its number").port())
}

/// A PostgreSQL server with fsync on, gone with the value.
#[derive(Debug)]
pub struct PrivatePostgres {
    home: Home,
    port: u16,
}

impl PrivatePostgres {
    /// Starts it and waits until it answers.
    pub fn start() -> Self {
        let [port] = free_ports();
        let server = Self {
            home: Home::new(),
            port,
        };
        server.resume();
        server
    }

    /// The URL of its superuser, for [`crate::TestDb::new_on`].
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Stops it: `fast` ends sessions in order, `immediate` is a crash.
    pub fn stop(&self, mode: &str) {
        self.home.run(&format!(
            "as_postgres \"$PG_BIN/pg_ctl\" -D \"$HOME_DIR/pg\" -m {mode} -w -t 60 stop"
        ));
    }

    /// Starts it again with what it had.
    pub fn resume(&self) {
        let port = self.port;
        self.home.run(&format!(
            "pg_start \"$HOME_DIR\" {port} max_connections=200"
        ));
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        if self.home.path().join("pg/postmaster.pid").exists() {
            self.stop("immediate");
        }
    }
}

/// A RabbitMQ node, gone with the value.
#[derive(Debug)]
pub struct PrivateRabbit {
    home: Home,
    amqp: u16,
    dist: u16,
    epmd: u16,
}

impl PrivateRabbit {
    /// Starts it and waits until it listens.
    pub fn start() -> Self {
        let [amqp, dist, epmd] = free_ports();
        let server = Self {
            home: Home::new(),
            amqp,
            dist,
            epmd,
        };
        server.home.run(
            "NAMESPACE_PATTERN='(t[0-9a-f]{32}[.])?' RABBITMQ_PASSWORD=portal \
             TENANT_SERVICE_RABBITMQ_PASSWORD=test AGENT_PORTAL_RABBITMQ_PASSWORD=test \
             OUTBOUND_RABBITMQ_PASSWORD=test \"$REPO/deploy/rabbitmq/definitions.sh\" \
             >\"$HOME_DIR/definitions.json\"",
        );
        server.resume();
        server
    }

    /// The URL of its administrator.
    pub fn url(&self) -> String {
        format!("amqp://portal:portal@127.0.0.1:{}/%2f", self.amqp)
    }

    /// Stops it in order.
    pub fn stop(&self) {
        let epmd = self.epmd;
        self.home.run(&format!("rabbit_stop \"$HOME_DIR\" {epmd}"));
    }

    /// SIGKILL; waits for the end, or the next start would find it running and do nothing.
    pub fn kill(&self) {
        self.home.run(
            "kill -KILL \"$(cat \"$HOME_DIR/rabbit/rabbit.pid\")\"; \
             gone() { ! rabbit_running \"$HOME_DIR\"; }; wait_until 60 gone",
        );
    }

    /// Loses everything but what its definitions say.
    pub fn forget(&self) {
        self.stop();
        self.home.run("rm -rf \"$HOME_DIR/rabbit/mnesia\"");
        self.resume();
    }

    /// Starts it again with what it had.
    pub fn resume(&self) {
        let Self {
            amqp, dist, epmd, ..
        } = self;
        self.home.run(&format!(
            "rabbit_start \"$HOME_DIR\" {amqp} {dist} {epmd} \"$HOME_DIR/definitions.json\""
        ));
    }

    /// Runs `rabbitmqctl` with these arguments.
    pub fn control(&self, arguments: &str) {
        let Self {
            amqp, dist, epmd, ..
        } = self;
        self.home.run(&format!(
            "sbin=$(rabbit_sbin); rabbit_env \"$HOME_DIR\" {amqp} {dist} {epmd}; \
             \"$sbin/rabbitmqctl\" {arguments}"
        ));
    }
}

impl Drop for PrivateRabbit {
    fn drop(&mut self) {
        self.stop();
    }
}
