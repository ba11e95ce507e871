//! The process: `serve` (default), `check-config`, `openapi`, `healthcheck`.

use std::{process::ExitCode, time::Duration};

use agent_portal_service::{App, SERVICE, Settings, routes};
use anyhow::Context as _;
use clap::{Parser, Subcommand};
use portal_service_kit::{
    http_client::{self, ClientOptions},
    lifecycle::{Shutdown, run_main},
    openapi,
};

/// Signs people in through Genesys Cloud, keeps their sessions, and serves the agent portal.
#[derive(Debug, Parser)]
#[command(name = SERVICE, version)]
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
        #[arg(long, default_value = "http://127.0.0.1:3015")]
        url: String,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    run_main(SERVICE, || async move {
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
    print!("{}", openapi::render(&routes::document())?);
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
