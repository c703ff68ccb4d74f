//! Runs the corpus of malformed checkpoints: each is one clear error, soon and in little memory.

use std::path::{Path, PathBuf};
use std::time::Duration;

use diffedit::model::{Model, ModelFiles, Parts};

use super::stored::{linked_demo, small_tokenizer};
use super::support::device;

/// No error takes more of a processor's time.
const PATIENCE: Duration = Duration::from_secs(1);

/// No error is longer, bytes: three parts of several lists each.
const LENGTH: usize = 5000;

/// The most memory that all of the corpus may take in this process, beside the device's, bytes.
const MEMORY: u64 = 1 << 30;

/// One malformed checkpoint.
pub struct Case {
    pub name: &'static str,
    /// Damages a copy of the miniature, whose unchanged files are links and whose tokenizer is small. What is given is
    /// opened: the folder, or a file in it.
    pub damage: Box<dyn Fn(&Path) -> PathBuf>,
    /// Words of the error.
    pub words: &'static [&'static str],
    /// Whether it shows only in the values of the weights, which are read on their way to a device.
    pub values: bool,
}

/// A case whose folder is opened.
pub fn folder(name: &'static str, words: &'static [&'static str], damage: impl Fn(&Path) + 'static) -> Case {
    let damage = move |path: &Path| {
        damage(path);
        path.to_path_buf()
    };
    Case { name, damage: Box::new(damage), words, values: false }
}

/// A case of a file `model.safetensors` beside the miniature's parts.
pub fn single(name: &'static str, words: &'static [&'static str], contents: impl Fn() -> Vec<u8> + 'static) -> Case {
    let damage = move |path: &Path| {
        let file = path.join("model.safetensors");
        std::fs::write(&file, contents()).expect("a file");
        file
    };
    Case { name, damage: Box::new(damage), words, values: false }
}

/// Opens what a case has damaged, which must fail, and gives the error's text.
fn refusal(case: &Case, path: &Path) -> String {
    let files = match ModelFiles::open(path) {
        // A single file's configs are the miniature's, but for the cases that say otherwise by their name.
        Ok(files) if path.is_file() && !case.name.contains("own config") => {
            files.with_configs(path.parent().expect("a folder"))
        }
        other => other,
    };
    let outcome = match files {
        Ok(files) if case.values => {
            let parts = Parts::open(&files).unwrap_or_else(|error| panic!("{}: {error}", case.name));
            Model::load(device(), &parts, &mut |_| ()).map(drop)
        }
        Ok(files) => Parts::open(&files).map(drop),
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => panic!("{}: it was not refused", case.name),
        Err(error) => error.to_string(),
    }
}

/// What this thread has had of the processors: what a busy machine does not change.
fn processor_time() -> Duration {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let nanoseconds = statistics.split_whitespace().next().and_then(|number| number.parse().ok());
    Duration::from_nanos(nanoseconds.expect("a number"))
}

/// The most memory that this process has had at once, bytes.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("the peak");
    let kilobytes: u64 = line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number");
    kilobytes << 10
}

#[test]
fn every_malformed_checkpoint_is_one_clear_error() {
    // Whatever the device takes is not the checkpoints'.
    device();
    let before = peak_memory();
    let cases: Vec<Case> = [super::files::cases(), super::models::cases()].into_iter().flatten().collect();
    assert!(cases.len() >= 60, "{} cases", cases.len());
    let mut failures = Vec::new();
    for case in &cases {
        let kept = tempfile::tempdir().expect("a folder");
        let root = kept.path().join("model");
        linked_demo(&root);
        small_tokenizer(&root);
        let path = (case.damage)(&root);
        let started = processor_time();
        let text = refusal(case, &path);
        let took = processor_time() - started;
        let missing: Vec<&&str> = case.words.iter().filter(|word| !text.contains(**word)).collect();
        if !missing.is_empty() {
            failures.push(format!("{}: no {missing:?} in {text:?}", case.name));
        }
        if took > PATIENCE {
            failures.push(format!("{}: took {took:?}", case.name));
        }
        if text.len() > LENGTH {
            failures.push(format!("{}: {} bytes of error", case.name, text.len()));
        }
    }
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), cases.len(), failures.join("\n"));
    let grown = peak_memory() - before;
    assert!(grown < MEMORY, "{grown} bytes more at the peak");
}
