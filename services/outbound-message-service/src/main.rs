//! The process.

use std::process::ExitCode;

use outbound_message_service::{App, Settings, routes};
use portal_foundation::Service;

fn main() -> ExitCode {
    // Only test builds have failpoints: there, FAILPOINTS says where this process is to die.
    let _failpoints = fail::FailScenario::setup();
    let service = Service {
        name: "outbound-message-service",
        version: env!("CARGO_PKG_VERSION"),
        about: "Accepts WhatsApp messages durably, sends them, and follows them.",
        settings: Settings::load,
        bind: |settings| &settings.http.bind,
        document: routes::document,
    };
    portal_foundation::run(&service, async |settings, shutdown| {
        App::build(&settings, shutdown)?.run_until_stopped().await
    })
}
