//! The process: `serve` (default), `check-config`, `openapi`, `healthcheck`.

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use outbound_message_service::{App, Settings, routes};
use portal_service_kit::{
    http_client::{self, ClientOptions},
    lifecycle::{Shutdown, run_main},
    openapi,
};

/// Accepts WhatsApp messages durably, sends them, and follows them.
#[derive(Debug, Parser)]
#[command(name = "outbound-message-service", version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the service.
    Serve,
    /// Reads the settings and tells what is wrong with them.
    CheckConfig,
    /// Prints the OpenAPI document.
    Openapi,
    /// Asks a running service whether it is ready; for containers.
    Healthcheck {
        /// Where it listens.
        #[arg(long, default_value = "http://127.0.0.1:3008")]
        url: String,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    run_main("outbound-message-service", || async move {
        match cli.command.unwrap_or(Command::Serve) {
            Command::Serve => serve().await,
            Command::CheckConfig => check_config(),
            Command::Openapi => print_openapi(),
            Command::Healthcheck { url } => healthcheck(&url).await,
        }
    })
}

async fn serve() -> anyhow::Result<()> {
    let settings = Settings::load()?;
    App::build(&settings, Shutdown::on_signals()?)?
        .run_until_stopped()
        .await
}

#[expect(clippy::print_stdout, reason = "the answer of a command")]
fn check_config() -> anyhow::Result<()> {
    Settings::load()?;
    println!("The settings are complete.");
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the answer of a command")]
fn print_openapi() -> anyhow::Result<()> {
    println!("{}", openapi::render(&routes::document())?);
    Ok(())
}

async fn healthcheck(url: &str) -> anyhow::Result<()> {
    let client = http_client::build(&ClientOptions {
        connect_timeout: Duration::from_secs(1),
        timeout: Duration::from_secs(3),
        user_agent: "healthcheck".to_owned(),
    })?;
    let answer = client.get(format!("{url}/health/ready")).send().await?;
    answer.error_for_status().map(drop).context("not ready")
}
