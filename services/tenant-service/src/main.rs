//! The tenant-service process.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use portal_service_kit::{health, lifecycle, openapi};
use tenant_service::{SERVICE, app::App, config::Settings, routes};

/// Tenants, their Genesys organizations and their WhatsApp configurations.
#[derive(Parser)]
#[command(name = "tenant-service", version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the service (the default).
    Serve,
    /// Prints the settings as they take effect, secrets masked.
    CheckConfig,
    /// Prints the OpenAPI document.
    Openapi,
    /// Succeeds when the service on this machine is ready.
    Healthcheck,
}

fn main() -> ExitCode {
    let command = Cli::parse().command.unwrap_or(Command::Serve);
    lifecycle::run_main(SERVICE, || run(command))
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve => {
            let settings = Settings::load()?;
            let app = App::build(&settings, lifecycle::Shutdown::on_signals()?)?;
            app.run().await?;
        }
        Command::CheckConfig => print(&format!("{:#?}", Settings::load()?)),
        Command::Openapi => print(openapi::render(&routes::document())?.trim_end()),
        Command::Healthcheck => health::probe(&Settings::load()?.http.bind).await?,
    }
    Ok(())
}

#[expect(
    clippy::print_stdout,
    reason = "these commands are for a terminal or a pipe"
)]
fn print(text: &str) {
    println!("{text}");
}
