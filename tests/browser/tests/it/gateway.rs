//! The gateway of an installation: nginx with the configuration that is deployed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use portal_e2e::installation::Installation;
use portal_test_harness::eventually;

pub(crate) struct Gateway {
    nginx: Child,
    home: PathBuf,
}

impl Gateway {
    /// In front of an installation's services, on `port`.
    pub(crate) async fn start(to: &Installation, port: u16) -> Self {
        let home = std::env::temp_dir().join(format!("agent-portal-gateway-{port}"));
        fs::create_dir_all(home.join("docs")).unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/gateway");
        for file in ["nginx.conf", "docs_headers.conf"] {
            fs::copy(source.join(file), home.join(file)).unwrap();
        }
        let upstream = |name: &str, url: &str| {
            let address = url.strip_prefix("http://").unwrap();
            format!("upstream {name} {{ server {address}; keepalive 8; }}\n")
        };
        let upstreams = [
            upstream("tenant_service", &to.tenants_url),
            upstream("agent_portal_service", &to.portal_url),
            upstream("outbound_message_service", &to.messages_url),
        ];
        fs::write(home.join("upstreams.conf"), upstreams.concat()).unwrap();
        let root = home.display();
        let server = format!("listen 127.0.0.1:{port};\nroot {root};\n");
        fs::write(home.join("server.conf"), server).unwrap();
        let nginx = Command::new("nginx")
            .args([
                "-p",
                &format!("{root}/"),
                "-c",
                &format!("{root}/nginx.conf"),
            ])
            .args(["-g", "daemon off; master_process off;"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx starts: `make test` installs it");
        let gateway = Self { nginx, home };
        eventually("the gateway to answer", async || {
            let asked = to.http.get(format!("http://127.0.0.1:{port}/health"));
            let answer = asked.send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        gateway
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        drop(self.nginx.kill());
        drop(self.nginx.wait());
        drop(fs::remove_dir_all(&self.home));
    }
}
