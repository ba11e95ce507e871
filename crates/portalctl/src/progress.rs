//! How far long work is: a bar on a terminal, a line now and then elsewhere.

use std::{
    cell::{Cell, RefCell},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

const LINES_EVERY: Duration = Duration::from_secs(5);

/// The stage that is under way.
pub(crate) struct Progress {
    stage: RefCell<String>,
    bar: RefCell<ProgressBar>,
    told: Cell<Instant>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self {
            stage: RefCell::default(),
            bar: RefCell::new(ProgressBar::hidden()),
            told: Cell::new(Instant::now()),
        }
    }

    /// `done` of `total` rows of the stage; a total of 0 is not known.
    pub(crate) fn tell(&self, stage: &str, done: u64, total: u64) {
        if *self.stage.borrow() != stage {
            self.end();
            stage.clone_into(&mut self.stage.borrow_mut());
            *self.bar.borrow_mut() = bar(stage, total);
            self.told.set(Instant::now());
        }
        let bar = self.bar.borrow();
        bar.set_position(done);
        if bar.is_hidden() && self.told.get().elapsed() > LINES_EVERY {
            self.told.set(Instant::now());
            match total {
                0 => eprintln!("{stage}: {done}"),
                total => eprintln!("{stage}: {done} of {total}"),
            }
        }
    }

    /// Leaves the bar as it is.
    pub(crate) fn end(&self) {
        self.bar.borrow().abandon();
    }
}

fn bar(stage: &str, total: u64) -> ProgressBar {
    let template = match total {
        0 => "{prefix:24} {spinner} {pos} ({per_sec}, {elapsed})",
        _ => "{prefix:24} {bar:30} {pos}/{len} ({per_sec}, {eta} left)",
    };
    let bar = if total == 0 {
        ProgressBar::new_spinner()
    } else {
        ProgressBar::new(total)
    };
    bar.set_prefix(stage.to_owned());
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
