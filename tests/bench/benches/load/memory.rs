//! Memory of the services with nothing to do.

use std::time::Duration;

use portal_bench::World;

use crate::report::Report;

const REST: Duration = Duration::from_secs(5);

/// outbound-message-service idle, and the stand-ins beside it.
pub(crate) async fn run() -> Report {
    let world = World::prepare(8).await;
    let service = world.start_service("memory", &[]).await;
    tokio::time::sleep(REST).await;
    let mut report = Report::new("memory", "Memory without load");
    report.line("| process | resident |");
    report.line("|---|---|");
    for process in [&service.process, &world.sandbox] {
        report.line(format_args!(
            "| {} | {:.1} MiB |",
            process.name(),
            f64::from(u32::try_from(process.resident_kib()).unwrap_or(u32::MAX)) / 1024.0
        ));
    }
    report
}
