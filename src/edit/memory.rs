//! What an edit takes of a device's memory, known before anything runs.

use super::stages::Plans;
use crate::plan::{Layout, Plan};

/// Device memory of an edit, in bytes: to the byte what is allocated for it. The driver's context and the code of the
/// kernels come on top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Of each network, by name.
    pub weights: Vec<(&'static str, usize)>,
    /// What passes from stage to stage: picture, keys and values, latents, noise.
    pub state: usize,
    /// In the order in which they run.
    pub stages: Vec<StageMemory>,
}

/// One stage of an edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageMemory {
    pub name: &'static str,
    /// Bytes of the arena that its tensors take, as they come and go.
    pub arena: usize,
    /// How often it runs, and the kernels it launches each time. Of the calls of a map, the largest.
    pub runs: usize,
    pub launches: usize,
}

impl MemoryPlan {
    /// Weights and state, which are there all the time.
    pub fn resident(&self) -> usize {
        self.weights.iter().map(|(_, bytes)| bytes).sum::<usize>() + self.state
    }

    /// The arena that the stages share.
    pub fn arena(&self) -> usize {
        self.stages.iter().map(|stage| stage.arena).max().unwrap_or(0)
    }

    /// All that an edit allocates.
    pub fn total(&self) -> usize {
        self.resident() + self.arena()
    }
}

impl Plans {
    /// What the edit takes.
    pub fn memory(&self) -> MemoryPlan {
        let stage = |name, plans: &[Plan], runs| StageMemory {
            name,
            arena: plans.iter().map(|plan| Layout::new(plan).bytes).max().unwrap_or(0),
            runs,
            launches: plans.iter().map(|plan| plan.launches().len()).max().unwrap_or(0),
        };
        let one = |name, plan: &Plan, runs| stage(name, std::slice::from_ref(plan), runs);
        MemoryPlan {
            weights: self.weight_bytes.to_vec(),
            state: self.state.bytes(),
            stages: vec![
                one("encode", &self.encode, 1),
                stage("map", &self.map, self.map.len()),
                one("mask", &self.mask, 1),
                one("start", &self.start, 1),
                one("step", &self.step, self.steps),
                one("decode", &self.decode, 1),
            ],
        }
    }
}
