//! A model on a device, opened with all that a command line has to arrange for it.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::args::DeviceArgs;
use super::fetch;
use super::progress::Progress;
use crate::device::{self, Compiler, DeviceChoice};
use crate::edit::{EditRequest, Editor, EditorOptions, MaskSource};
use crate::model::ModelFiles;
use crate::scheduler::Scheduler;

use super::estimate;

/// The decodings that figures take: noisy latents, three predictions and eight steps.
const FIGURE_DECODINGS: u64 = 12;

/// The editor and what is known of where it runs.
pub struct Engine {
    pub editor: Editor,
    /// What was opened, which is never `auto`.
    choice: DeviceChoice,
    /// The version of NVRTC; `None` where kernels come ready from a folder.
    nvrtc: Option<(u32, u32)>,
    /// Whether the device was named, rather than chosen for want of another.
    asked: bool,
}

/// What part of an edit is run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Whole,
    Mask,
}

impl Engine {
    /// Finds or fetches NVRTC, opens the device and loads the model.
    pub fn open(args: &DeviceArgs, files: &ModelFiles, progress: &mut Progress) -> Result<Engine> {
        let choice = device::resolve(&args.device);
        let (compiler, nvrtc) = match &args.kernels {
            Some(folder) => {
                anyhow::ensure!(folder.is_dir(), "{}: there is no such folder of kernels", folder.display());
                (Compiler::new(None, Some(folder.clone()))?, None)
            }
            None => {
                let nvrtc = fetch::nvrtc(&choice, None, args.offline)?;
                let version = nvrtc.version();
                (Compiler::new(Some(nvrtc), Some(fetch::cache_folder()?.join("kernels")))?, Some(version))
            }
        };
        let options = EditorOptions { device: choice.clone(), compiler, separate_memory: false };
        let editor = Editor::open(files, options, &mut |part| progress.say(&format!("loading {part}")))?;
        Ok(Engine { editor, choice, nvrtc, asked: args.device != DeviceChoice::Auto })
    }

    /// Before an emulated run: says so and how long it will take, and refuses a long one that was not asked for.
    pub fn announce(&self, request: &EditRequest, part: Part, progress: &mut Progress) -> Result<()> {
        let name = &self.editor.device().capabilities().name;
        if !matches!(self.choice, DeviceChoice::Emulator(_)) {
            progress.say(&format!("running on {name}"));
            return Ok(());
        }
        let estimate = self.estimate(request, part)?;
        estimate::check_patience(estimate, self.asked)?;
        progress.say(&format!(
            "running on the CUDA emulator as {name}: about {} on this machine's {} cores",
            estimate::readable(estimate),
            cores()
        ));
        Ok(())
    }

    fn estimate(&self, request: &EditRequest, part: Part) -> Result<Duration> {
        let plans = self.editor.plans(request)?;
        let start = Scheduler::new(&self.editor.model().scheduler, request.steps)?.start_step(request.strength)?;
        let figures = request.figures && matches!(request.mask, MaskSource::Prompts(_));
        let (steps, decodings) = match part {
            Part::Whole if figures => (request.steps - start, FIGURE_DECODINGS),
            Part::Whole => (request.steps - start, 0),
            Part::Mask => (0, 0),
        };
        let macs = plans.macs(steps) + decodings * plans.decode.macs();
        let launches = plans.launches(steps) + decodings * plans.decode.launches().len() as u64;
        Ok(estimate::emulated(macs, launches, cores()))
    }

    /// The device for a report.
    pub fn as_json(&self) -> Value {
        let capabilities = self.editor.device().capabilities();
        let (major, minor) = capabilities.compute_capability;
        json!({
            "choice": self.choice.to_string(),
            "name": capabilities.name,
            "compute-capability": format!("{major}.{minor}"),
            "multiprocessors": capabilities.multiprocessors,
            "memory-bytes": capabilities.memory_bytes,
            "nvrtc": self.nvrtc.map(|(major, minor)| format!("{major}.{minor}")),
        })
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
