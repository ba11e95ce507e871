//! Release builds, run as processes of their own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// A running program; killed with the value.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
}

impl Process {
    /// Runs a program of this workspace from its release build (`make bench` builds it).
    ///
    /// Its output goes to `target/bench-<label>.log`.
    pub fn start<'a>(
        program: &str,
        label: &str,
        arguments: &[&str],
        environment: impl IntoIterator<Item = (&'a String, &'a String)>,
    ) -> Self {
        let log = fs::File::create(target().join(format!("bench-{label}.log")));
        let log = log.expect("a log file");
        let path = target().join("release").join(program);
        let child = Command::new(&path)
            .args(arguments)
            .envs(environment)
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .stdin(Stdio::null())
            .spawn();
        Self {
            child: child.unwrap_or_else(|error| panic!("{}: {error}", path.display())),
            name: label.to_owned(),
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it was called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The memory that it holds, in KiB (`VmRSS`).
    pub fn resident_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(path).expect("the process runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().nth(1));
        number.expect("a figure").parse().expect("a number")
    }

    /// Orders it to stop and waits for its end.
    pub fn stop(mut self) {
        let id = self.child.id().to_string();
        let asked = Command::new("kill").arg(&id).status();
        assert!(asked.is_ok_and(|status| status.success()), "kill {id}");
        self.child.wait().expect("it ends");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The workspace's `target`.
pub(crate) fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target")
}
