//! The service as a process of its own.

use std::{
    fs::File,
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::world::World;

pub(crate) struct Worker(Child);

impl Worker {
    /// Runs it with the world's settings.
    pub(crate) fn start(world: &World) -> Self {
        Self::run(world, Stdio::null())
    }

    /// As [`Worker::start`], with its log in a file.
    pub(crate) fn start_logging_to(world: &World, file: &Path) -> Self {
        Self::run(world, File::create(file).unwrap().into())
    }

    fn run(world: &World, stdout: Stdio) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_outbound-message-service"))
            .envs(world.environment())
            .stdout(stdout)
            .spawn()
            .unwrap();
        Self(child)
    }

    /// SIGKILL: no chance to say good-bye.
    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
