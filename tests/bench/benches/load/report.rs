//! What a scenario has to say.

use std::{
    fmt::{Display, Write as _},
    fs,
    path::Path,
    time::Duration,
};

/// Figures and goals of one scenario.
pub(crate) struct Report {
    name: &'static str,
    text: String,
    is_kept: bool,
}

impl Report {
    pub(crate) fn new(name: &'static str, title: &str) -> Self {
        Self {
            name,
            text: format!("# {title}\n\n"),
            is_kept: true,
        }
    }

    /// A line of text, or of a table.
    pub(crate) fn line(&mut self, line: impl Display) {
        writeln!(self.text, "{line}").unwrap();
    }

    /// Something that must hold.
    pub(crate) fn goal(&mut self, what: impl Display, is_kept: bool) {
        let verdict = if is_kept { "kept" } else { "**missed**" };
        self.line(format_args!("- {what}: {verdict}"));
        self.is_kept &= is_kept;
    }

    /// Prints it and writes it down; answers whether every goal was kept.
    pub(crate) fn write(&self) -> bool {
        println!("\n{}", self.text);
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
        fs::write(target.join(format!("bench-{}.md", self.name)), &self.text).unwrap();
        self.is_kept
    }
}

/// Milliseconds with one digit.
pub(crate) fn millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}
