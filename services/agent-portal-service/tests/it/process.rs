//! The service as a process of its own.

use std::{
    fs::File,
    path::Path,
    process::{Child, Command},
};

use crate::world::World;

/// The program, with no settings from around.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agent-portal-service"));
    command.env_clear();
    command
}

pub(crate) struct Process(Child);

impl Process {
    /// Runs it with the world's settings and its log in a file.
    pub(crate) fn start_logging_to(world: &World, file: &Path) -> Self {
        let child = command()
            .envs(world.environment())
            .stdout(File::create(file).unwrap())
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
