//! The command line that all services share.

use std::{fmt::Debug, process::ExitCode};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use portal_service_kit::{
    config::ConfigError,
    health,
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
    /// Reads its settings.
    pub settings: fn() -> Result<S, ConfigError>,
    /// The address of its API, of these settings.
    pub bind: fn(&S) -> &str,
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
    /// Prints the settings as they take effect, secrets masked; or what is wrong with them.
    CheckConfig,
    /// Prints the OpenAPI document.
    Openapi,
    /// Succeeds when the service on this machine is ready; for containers.
    Healthcheck,
}

/// Runs the command that the arguments name; `serve` runs the service until the order to stop.
pub fn run<S: Debug>(
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
                print(&format!("{:#?}\n", (service.settings)()?));
                Ok(())
            }
            Command::Openapi => {
                print(&openapi::render(&(service.document)())?);
                Ok(())
            }
            Command::Healthcheck => {
                let settings = (service.settings)()?;
                Ok(health::probe((service.bind)(&settings)).await?)
            }
        }
    })
}

#[expect(clippy::print_stdout, reason = "the answer of a command")]
fn print(text: &str) {
    print!("{text}");
}
