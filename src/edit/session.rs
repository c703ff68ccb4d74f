//! Everything one kind of edit needs on the device, made before its first kernel runs: memory for what passes from
//! stage to stage, one arena for the rest, and each stage as a program.

use super::settings::Settings;
use super::stages::Plans;
use super::state::State;
use crate::device::{Device, Graph, Memory, Program};
use crate::error::Result;
use crate::model::Model;
use crate::plan::Plan;
use crate::scheduler::Scheduler;

/// An edit's programs over its state.
pub struct Session {
    pub settings: Settings,
    pub scheduler: Scheduler,
    pub state: State,
    pub encode: Program,
    /// Noise, predictions and differences of the maps, and their normalisation.
    pub map: Vec<Program>,
    /// Map to mask.
    pub mask: Program,
    pub start: Program,
    /// One denoising step.
    pub step: Graph,
    pub decode: Program,
    /// Multiply-accumulates of one run of each: encode, map, step, decode.
    pub macs: [u64; 4],
}

impl Session {
    /// Plans, compiles and binds every stage.
    pub fn new(
        device: &Device,
        model: &Model,
        settings: Settings,
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<Session> {
        let plans = Plans::of(model, &settings, device.capabilities())?;
        device.prepare(&plans.all().collect::<Vec<_>>(), progress)?;
        plans.state.allocate(device, settings.separate_memory)?;
        let memory = if settings.separate_memory {
            Memory::Separate
        } else {
            Memory::Arena(device.allocate(plans.arena_bytes())?)
        };
        let macs =
            [plans.encode.macs(), plans.map.iter().map(Plan::macs).sum(), plans.step.macs(), plans.decode.macs()];
        let bind = |plan: &Plan| device.bind(plan, &memory);
        Ok(Session {
            encode: bind(&plans.encode)?,
            map: plans.map.iter().map(bind).collect::<Result<_>>()?,
            mask: bind(&plans.mask)?,
            start: bind(&plans.start)?,
            step: bind(&plans.step)?.capture(device)?,
            decode: bind(&plans.decode)?,
            scheduler: Scheduler::new(&model.scheduler, settings.steps)?,
            settings,
            state: plans.state,
            macs,
        })
    }
}
