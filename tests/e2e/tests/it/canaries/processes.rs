//! The three services as processes of their own, with everything that they say kept.

use std::{
    collections::BTreeMap,
    fs::File,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command},
    sync::{Arc, Mutex},
};

use actix_web::{App, HttpResponse, HttpServer, web};
use portal_service_kit::lifecycle::Shutdown;

/// Names the service that the process is to be.
const WHICH: &str = "CANARY_SERVICE";

/// Not a test by itself: what the processes run.
#[test]
fn service_process() {
    let Ok(which) = std::env::var(WHICH) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let ended = runtime.block_on(async {
        let stop = Shutdown::on_signals().unwrap();
        match which.as_str() {
            "tenant" => {
                let settings = tenant_service::Settings::load().unwrap();
                let app = tenant_service::App::build(&settings, stop).unwrap();
                app.run_until_stopped().await
            }
            "portal" => {
                let settings = agent_portal_service::Settings::load().unwrap();
                let app = agent_portal_service::App::build(&settings, stop).unwrap();
                app.run_until_stopped().await
            }
            _ => {
                let settings = outbound_message_service::Settings::load().unwrap();
                let app = outbound_message_service::App::build(&settings, stop).unwrap();
                app.run_until_stopped().await
            }
        }
    });
    ended.unwrap();
}

/// A running service.
pub(super) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    pub(super) fn start(which: &str, environment: &BTreeMap<String, String>) -> Self {
        let log = std::env::temp_dir().join(format!("canary-{}-{which}", uuid::Uuid::now_v7()));
        let output = File::create(&log).unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "canaries::processes::service_process",
                "--nocapture",
            ])
            .env_clear()
            .envs(environment)
            .env(WHICH, which)
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        Self { child, log }
    }

    /// Stops it in peace, so that its last spans leave; answers all that it said.
    pub(super) fn stop(mut self) -> String {
        let pid = self.child.id().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(told.unwrap().success());
        self.child.wait().unwrap();
        std::fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(std::fs::remove_file(&self.log));
    }
}

/// Stands in for an OTLP collector.
#[derive(Clone, Default)]
pub(super) struct Collector(Arc<Mutex<Vec<u8>>>);

impl Collector {
    pub(super) fn start() -> (Self, String) {
        let collector = Self::default();
        let data = web::Data::new(collector.clone());
        let server = HttpServer::new(move || {
            App::new()
                .app_data(data.clone())
                .app_data(web::PayloadConfig::new(64 * 1024 * 1024))
                .default_service(web::to(
                    async |body: web::Bytes, collector: web::Data<Self>| {
                        collector.0.lock().unwrap().extend_from_slice(&body);
                        HttpResponse::Ok().finish()
                    },
                ))
        })
        .workers(1)
        .disable_signals()
        .bind("127.0.0.1:0")
        .unwrap();
        let endpoint = format!("http://{}", server.addrs()[0]);
        tokio::spawn(server.run());
        (collector, endpoint)
    }

    /// What came, where it is text: protobuf keeps strings as they are.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

/// Ports that are free at the moment.
pub(super) fn ports<const N: usize>() -> [u16; N] {
    // All are held until the last is found, so that none comes twice.
    let held = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|one| one.local_addr().unwrap().port())
}
