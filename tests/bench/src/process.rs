//! Release builds, run as processes of their own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
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
        memory_kib(self.child.id(), "VmRSS:").expect("the process runs")
    }

    /// Orders it to stop and waits for its end.
    pub fn stop(mut self) {
        let id = self.child.id().to_string();
        let asked = Command::new("kill").arg(&id).status();
        assert!(asked.is_ok_and(|status| status.success()), "kill {id}");
        self.child.wait().expect("it ends");
    }
}

/// A program that came to its end by itself.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to its standard output.
    pub output: Vec<u8>,
    /// From begin to end.
    pub took: Duration,
    /// The most memory that it held, in KiB (`VmHWM`), as far as was seen: it is looked at every
    /// few milliseconds.
    pub most_kib: u64,
}

impl Ended {
    /// Runs a program as [`Process::start`] does, to its end. What it says on its standard error is in
    /// `target/bench-<label>.log`.
    pub fn run<'a>(
        program: &str,
        label: &str,
        arguments: &[&str],
        environment: impl IntoIterator<Item = (&'a String, &'a String)>,
    ) -> Self {
        let place = |end: &str| target().join(format!("bench-{label}.{end}"));
        let log = fs::File::create(place("log")).expect("a log file");
        let out = fs::File::create(place("out")).expect("a file");
        let path = target().join("release").join(program);
        let begun = Instant::now();
        let mut child = Command::new(&path)
            .args(arguments)
            .envs(environment)
            .stdout(out)
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut most_kib = 0;
        let status = loop {
            // One that has just ended has no figure.
            most_kib = memory_kib(child.id(), "VmHWM:").unwrap_or(0).max(most_kib);
            if let Some(status) = child.try_wait().expect("its state") {
                break status;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        Self {
            status,
            output: fs::read(place("out")).expect("what it wrote"),
            took: begun.elapsed(),
            most_kib,
        }
    }
}

/// A figure of a process's memory, in KiB; none when it has ended.
fn memory_kib(id: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
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
