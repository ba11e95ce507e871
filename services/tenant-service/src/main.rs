//! The process.

use std::process::ExitCode;

use portal_foundation::Service;
use tenant_service::{App, SERVICE, Settings, routes};

fn main() -> ExitCode {
    let service = Service {
        name: SERVICE,
        version: env!("CARGO_PKG_VERSION"),
        about: "Tenants, their Genesys organizations and their WhatsApp configurations.",
        settings: Settings::load,
        bind: |settings| &settings.http.bind,
        document: routes::document,
    };
    portal_foundation::run(&service, async |settings, shutdown| {
        App::build(&settings, shutdown)?.run_until_stopped().await
    })
}
