//! What a run tells on stderr: bars where a person watches, plain lines where not.

use std::io::{IsTerminal as _, stderr};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

use crate::edit::Event;

/// Lines of plain progress for each bar, the first and the last among them.
const PLAIN_LINES: usize = 5;

/// What is done sooner, such as taking kernels from the cache, gets no plain line.
const WORTH_TELLING: Duration = Duration::from_secs(1);

/// Shows one thing at a time.
pub struct Progress {
    watched: bool,
    current: Option<Shown>,
}

/// A bar or its lines.
struct Shown {
    kind: &'static str,
    bar: Option<ProgressBar>,
    started: Instant,
    told: usize,
}

impl Progress {
    pub fn new() -> Progress {
        Progress { watched: stderr().is_terminal(), current: None }
    }

    /// A line that stays.
    pub fn say(&mut self, line: &str) {
        self.finish();
        eprintln!("{line}");
    }

    /// How far an edit is.
    pub fn event(&mut self, event: Event) {
        match event {
            Event::Compiling { done, total } => self.show("compiling kernels", done, total),
            Event::Map { done, total } => self.show("finding the mask", done, total),
            Event::Step { done, total } => self.show("repainting", done, total),
        }
    }

    /// `done` of `total` pieces of one kind of work; another kind ends the one before.
    pub fn show(&mut self, kind: &'static str, done: usize, total: usize) {
        if self.current.as_ref().is_none_or(|shown| shown.kind != kind) {
            self.finish();
            self.current = Some(Shown::new(kind, total, self.watched));
        }
        let shown = self.current.as_mut().expect("made above");
        shown.update(done, total);
        if done == total {
            self.finish();
        }
    }

    /// Ends whatever is shown.
    pub fn finish(&mut self) {
        if let Some(Shown { bar: Some(bar), .. }) = self.current.take() {
            bar.finish_and_clear();
        }
    }
}

impl Shown {
    fn new(kind: &'static str, total: usize, watched: bool) -> Shown {
        let bar = watched.then(|| {
            let style = ProgressStyle::with_template("{msg:>18} [{bar:40}] {pos}/{len} {elapsed} (left: {eta})");
            ProgressBar::new(total as u64)
                .with_style(style.expect("a valid template").progress_chars("=> "))
                .with_message(kind)
        });
        Shown { kind, bar, started: Instant::now(), told: 0 }
    }

    fn update(&mut self, done: usize, total: usize) {
        match &self.bar {
            Some(bar) => {
                bar.set_length(total as u64);
                bar.set_position(done as u64);
            }
            None => {
                let due = done == total || done >= self.told + total.div_ceil(PLAIN_LINES - 1);
                let elapsed = self.started.elapsed();
                if due && done > self.told && elapsed >= WORTH_TELLING {
                    self.told = done;
                    eprintln!("{}: {done}/{total} after {:.1} s", self.kind, elapsed.as_secs_f64());
                }
            }
        }
    }
}

/// How far a file of the hub is fetched: a bar by bytes, or a line where nobody watches.
#[derive(Default)]
pub struct Download {
    file: String,
    bar: Option<ProgressBar>,
}

impl hf_hub::api::Progress for Download {
    /// Told again where a download goes on after a failure.
    fn init(&mut self, size: usize, file: &str) {
        if self.file == file {
            self.bar.iter().for_each(ProgressBar::reset);
            return;
        }
        file.clone_into(&mut self.file);
        if stderr().is_terminal() {
            let style = ProgressStyle::with_template("{msg} [{bar:30}] {bytes}/{total_bytes} (left: {eta})");
            let bar = ProgressBar::new(size as u64).with_message(file.to_owned());
            self.bar = Some(bar.with_style(style.expect("a valid template").progress_chars("=> ")));
        } else {
            eprintln!("fetching {file} ({})", HumanBytes(size as u64));
        }
    }

    fn update(&mut self, bytes: usize) {
        self.bar.iter().for_each(|bar| bar.inc(bytes as u64));
    }

    fn finish(&mut self) {
        self.bar.iter().for_each(ProgressBar::finish_and_clear);
    }
}
