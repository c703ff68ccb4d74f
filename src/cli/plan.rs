//! `diffedit plan`: the device memory of an edit, from the model's configs alone.

use anyhow::Result;
use serde_json::{Value, json};

use super::args::{MapsArgs, PlanArgs};
use super::output::{self, Outputs};
use super::settings;
use crate::device::{self, Capabilities};
use crate::edit::{EditRequest, MaskSource, MemoryPlan, Plans};
use crate::model::Model;

pub fn run(args: &PlanArgs) -> Result<()> {
    if let Some(path) = &args.json {
        output::check(&[path], &[])?;
    }
    let files = settings::model_files(&args.model, args.offline)?;
    let mut request = EditRequest::new(image::RgbImage::new(1, 1), "", "");
    request.take_defaults(&files)?;
    MapsArgs { maps: args.maps, batch: args.batch, ..MapsArgs::default() }.apply(&mut request);
    request.steps = args.steps.unwrap_or(request.steps);
    request.figures = args.sheet;
    request.vae_tiling = args.vae_tiling;
    request.size = args.size.or(request.size);
    let size = settings::size(&request, &files)?;
    request.size = Some(size);

    let device = device::capabilities(&args.device)?;
    let plans = Plans::record(&Model::describe(&files)?, &request, &device)?;
    let subject = Subject { request: &request, size, device: &device, memory: plans.memory() };
    print!("{}", subject.table());
    if let Some(path) = &args.json {
        let mut outputs = Outputs::new();
        outputs.add(path, |to| writeln!(to, "{:#}", subject.as_json()))?;
        outputs.keep()?;
    }
    Ok(())
}

/// A plan and what it is for.
struct Subject<'a> {
    request: &'a EditRequest,
    size: (usize, usize),
    device: &'a Capabilities,
    memory: MemoryPlan,
}

impl Subject<'_> {
    fn maps(&self) -> usize {
        match &self.request.mask {
            MaskSource::Prompts(maps) => maps.maps,
            _ => 0,
        }
    }

    fn table(&self) -> String {
        let memory = &self.memory;
        let (width, height) = self.size;
        let mut text = format!("an edit of {width}x{height} with {} maps on {}\n\n", self.maps(), self.device.name);
        let mut line = |name: &str, bytes: usize| text.push_str(&format!("{name:<22}{:>10}\n", megabytes(bytes)));
        for (name, bytes) in &memory.weights {
            line(&format!("weights, {name}"), *bytes);
        }
        line("between the stages", memory.state);
        line("arena of the stages", memory.arena());
        line("all", memory.total());
        text.push_str(&format!("\n{:<10}{:>12}{:>12}{:>8}{:>10}\n", "stage", "arena", "all", "runs", "kernels"));
        for stage in &memory.stages {
            text.push_str(&format!(
                "{:<10}{:>12}{:>12}{:>8}{:>10}\n",
                stage.name,
                megabytes(stage.arena),
                megabytes(memory.resident() + stage.arena),
                stage.runs,
                stage.launches
            ));
        }
        if memory.vae_tiled {
            text.push_str("\nthe VAE works in parts (encode and decode)\n");
        }
        let share = if memory.total() as u64 > self.device.memory_bytes { "more than" } else { "of" };
        text.push_str(&format!(
            "\n{} {share} the device's {}; the driver's context and the kernels' code come on top\n",
            megabytes(memory.total()),
            megabytes(self.device.memory_bytes as usize)
        ));
        text
    }

    fn as_json(&self) -> Value {
        let memory = &self.memory;
        let weights: serde_json::Map<String, Value> =
            memory.weights.iter().map(|(name, bytes)| ((*name).into(), (*bytes).into())).collect();
        let stage = |stage: &crate::edit::StageMemory| {
            json!({
                "name": stage.name,
                "arena": stage.arena,
                "all": memory.resident() + stage.arena,
                "runs": stage.runs,
                "kernels": stage.launches,
            })
        };
        json!({
            "size": [self.size.0, self.size.1],
            "maps": self.maps(),
            "steps": self.request.steps,
            "device": { "name": self.device.name, "memory": self.device.memory_bytes },
            "weights": weights,
            "state": memory.state,
            "arena": memory.arena(),
            "vae-tiled": memory.vae_tiled,
            "all": memory.total(),
            "stages": memory.stages.iter().map(stage).collect::<Vec<_>>(),
        })
    }
}

fn megabytes(bytes: usize) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
