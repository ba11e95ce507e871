//! The command line that all services share.

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use portal_service_kit::{
    config::ConfigError,
    http_client::{self, ClientOptions},
    lifecycle::{Shutdown, run_main},
    openapi,
};
use utoipa::openapi::OpenApi;

/// What the command line needs to know of a service.
#[derive(Debug, Clone, Copy)]
pub struct Service<S> {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// Where it listens if nobody says otherwise.
    pub url: &'static str,
    /// Reads its settings.
    pub settings: fn() -> Result<S, ConfigError>,
    /// Its OpenAPI document.
    pub document: fn() -> OpenApi,
}

#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the service (also without a command).
    Serve,
    /// Reads the settings and tells what is wrong with them.
    CheckConfig,
    /// Prints the OpenAPI document.
    Openapi,
    /// Asks a running service whether it is ready; for containers.
    Healthcheck {
        /// Where it listens; left out: this machine, the usual port.
        #[arg(long)]
        url: Option<String>,
    },
}

/// Runs the command that the arguments name; `serve` runs the service until the order to stop.
pub fn run<S>(
    service: &Service<S>,
    serve: impl AsyncFnOnce(S, Shutdown) -> anyhow::Result<()>,
) -> ExitCode {
    let command = Cli::command()
        .name(service.name)
        .version(service.version)
        .about(service.about);
    let cli = match Cli::from_arg_matches(&command.get_matches()) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    run_main(service.name, || async move {
        match cli.command.unwrap_or(Command::Serve) {
            Command::Serve => serve((service.settings)()?, Shutdown::on_signals()?).await,
            Command::CheckConfig => {
                (service.settings)()?;
                print("The settings are complete.\n");
                Ok(())
            }
            Command::Openapi => {
                print(&openapi::render(&(service.document)())?);
                Ok(())
            }
            Command::Healthcheck { url } => {
                healthcheck(url.as_deref().unwrap_or(service.url)).await
            }
        }
    })
}

#[expect(clippy::print_stdout, reason = "the answer of a command")]
fn print(text: &str) {
    print!("{text}");
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
