//! The process.

use std::process::ExitCode;

use agent_portal_service::{App, SERVICE, Settings, routes};
use portal_foundation::Service;

fn main() -> ExitCode {
    let service = Service {
        name: SERVICE,
        version: env!("CARGO_PKG_VERSION"),
        about: "Sign-in through Genesys Cloud, people, sessions, and the agent portal's pages.",
        settings: Settings::load,
        bind: |settings| &settings.http.bind,
        document: routes::document,
    };
    portal_foundation::run(&service, async |settings, shutdown| {
        App::build(&settings, shutdown)?.run_until_stopped().await
    })
}
