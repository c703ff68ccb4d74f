//! From counts to time.
//!
//! A multiprocessor works on as many blocks as fit (a wave of the grid is that many on each). A wave needs the arithmetic
//! units and schedulers, the path to L1 and shared memory, the matrix units, L2 and memory, each for some time; what is
//! needed longest decides, and what is needed about as long adds to it: the times are joined by a power sum.
//!
//! Besides, a block waits: for what it loaded, between barriers that keep its warps together. While it waits the other
//! blocks of its multiprocessor have the units for themselves. That is a closed queueing network of one station, the
//! units, and a delay, with the blocks as customers; mean value analysis (Reiser and Lavenberg, 1980) gives the time that
//! all of them take.
//!
//! The grid takes its whole waves and the last, partial one; a launch takes that and what an empty kernel does.

use super::cost::{PIPE_NAMES, Pipe};
use super::counters::Counters;
use super::{LaunchProfile, Shape};
use crate::device::Description;

/// What the model takes from measurements. All else is in the description of the device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameters {
    /// Exponent of the power sum: infinite if units worked wholly side by side, 1 if one after another.
    pub overlap: f64,
    /// What a stream reaches of the memory's peak.
    pub dram_share: f64,
    /// What real code reaches of the rate at which instructions can be issued.
    pub issue_share: f64,
    /// What real code reaches of the rate of L1 and shared memory.
    pub l1_share: f64,
}

impl Default for Parameters {
    /// Fitted to the measurements marked `fit` in `benches/published.toml`.
    fn default() -> Self {
        Parameters { overlap: 8.0, dram_share: 0.94, issue_share: 0.75, l1_share: 1.0 }
    }
}

/// How far predictions were from published measurements that nothing was fitted to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accuracy {
    pub kernels: usize,
    /// Mean and largest |ln(predicted / measured)|.
    pub mean: f64,
    pub worst: f64,
}

/// With the default parameters, on the measurements marked `judge` in `benches/published.toml`; the example `predict`
/// measures it anew and fails where it differs.
pub const ACCURACY: Accuracy = Accuracy { kernels: 15, mean: 0.219, worst: 0.806 };

/// What a launch waits for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Term {
    pub name: &'static str,
    /// Seconds that the launch would take if this were all.
    pub seconds: f64,
}

/// A predicted time.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    pub seconds: f64,
    /// The name of what bounds it.
    pub bound: &'static str,
    /// Every term, the largest first.
    pub terms: Vec<Term>,
}

/// The groups of units that work side by side.
const ARITHMETIC: [Pipe; 7] =
    [Pipe::Issue, Pipe::Integer, Pipe::Fp32, Pipe::Fp64, Pipe::Half, Pipe::Special, Pipe::Conversion];

/// What one block needs.
struct Block {
    /// The busiest arithmetic unit: its name and its clocks.
    arithmetic: (&'static str, f64),
    memory: f64,
    matrix: f64,
    /// Sectors to and from L2, and to and from memory, in bytes.
    l2_bytes: f64,
    dram_bytes: f64,
    /// Clocks that it waits while it keeps no unit busy.
    waits: f64,
}

impl Block {
    fn of(counters: &Counters, blocks: f64, device: &Description, parameters: &Parameters) -> Block {
        let clocks = |pipe: Pipe| {
            let share = if pipe == Pipe::Issue { parameters.issue_share } else { 1.0 };
            (PIPE_NAMES[pipe as usize], counters.unit_clocks[pipe as usize] / blocks / share)
        };
        let larger = |a: (_, f64), b: (_, f64)| if b.1 > a.1 { b } else { a };
        let cache = &counters.cache;
        let l2 = cache.l2_read_sectors + cache.l2_written_sectors + cache.l2_atomic_sectors;
        let dram = cache.dram_read_sectors + cache.dram_written_sectors;
        Block {
            arithmetic: ARITHMETIC.map(clocks).into_iter().fold(("issue", 0.0), larger),
            memory: clocks(Pipe::Memory).1 / parameters.l1_share,
            matrix: clocks(Pipe::Matrix).1,
            l2_bytes: 32.0 * l2 as f64 / blocks,
            dram_bytes: 32.0 * dram as f64 / blocks,
            waits: waits(counters, device),
        }
    }

    /// What `blocks` of them need at once, in clocks.
    fn terms(&self, blocks: f64, device: &Description, parameters: &Parameters) -> Vec<(&'static str, f64)> {
        let each = (blocks / f64::from(device.multiprocessors)).ceil();
        let dram_rate = device.memory_bandwidth() * parameters.dram_share / clock(device);
        vec![
            (self.arithmetic.0, each * self.arithmetic.1),
            ("shared memory and L1", each * self.memory),
            ("matrix", each * self.matrix),
            ("L2", blocks * self.l2_bytes / device.rates.l2_bytes_per_clock),
            ("DRAM", blocks * self.dram_bytes / dram_rate),
        ]
    }

    /// What they take, in clocks.
    fn clocks(&self, blocks: f64, device: &Description, parameters: &Parameters) -> f64 {
        if blocks == 0.0 {
            return 0.0;
        }
        let terms = self.terms(blocks, device, parameters);
        let largest = terms.iter().map(|term| term.1).fold(1.0, f64::max);
        let sum: f64 = terms.iter().map(|term| (term.1 / largest).powf(parameters.overlap)).sum();
        let busy = largest * sum.powf(1.0 / parameters.overlap);
        let customers = (blocks / f64::from(device.multiprocessors)).ceil() as u32;
        time_of_all(customers, busy / f64::from(customers), self.waits)
    }
}

/// Mean value analysis: how long `customers` take once around a station that serves each for `service`, one after the
/// other, and a delay of `waits`.
fn time_of_all(customers: u32, service: f64, waits: f64) -> f64 {
    let (mut queue, mut response) = (0.0, service);
    for number in 1..=customers {
        response = service * (1.0 + queue);
        queue = f64::from(number) * response / (response + waits);
    }
    response + waits
}

fn clock(device: &Description) -> f64 {
    f64::from(device.clock_khz) * 1e3
}

/// Clocks that a block waits when it is alone, its loads at the latency of where they were found on average.
fn waits(counters: &Counters, device: &Description) -> f64 {
    let (cache, rates, chain) = (&counters.cache, &device.rates, &counters.chain);
    let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    let in_l2 = share(cache.l2_read_hits, cache.l2_read_sectors);
    let beyond_l1 = in_l2 * rates.l2_latency + (1.0 - in_l2) * rates.dram_latency;
    let reads = cache.l1_hits + cache.l2_read_sectors;
    let in_l1 = share(cache.l1_hits, reads);
    let latency = in_l1 * rates.l1_latency + (1.0 - in_l1) * beyond_l1;
    let followed = chain.blocks.max(1) as f64;
    (chain.clocks - chain.busy + chain.loads * (latency - rates.l2_latency)).max(0.0) / followed
}

/// The time of a launch with `counters` on `device`.
pub fn estimate(counters: &Counters, shape: &Shape, device: &Description, parameters: &Parameters) -> Estimate {
    let blocks = shape.blocks() as f64;
    let block = Block::of(counters, blocks, device, parameters);
    let wave = f64::from(device.multiprocessors) * f64::from(shape.occupancy.blocks.max(1));
    let (whole, rest) = ((blocks / wave).floor(), blocks % wave);
    let of_wave = block.clocks(wave, device, parameters);
    let clocks = whole * of_wave + block.clocks(rest, device, parameters);
    let seconds = |clocks: f64| clocks / clock(device);
    let full = if whole > 0.0 { wave } else { rest };
    let waves = (blocks / wave).max(if whole > 0.0 { 0.0 } else { 1.0 });
    let mut terms: Vec<Term> = block
        .terms(full, device, parameters)
        .into_iter()
        .map(|(name, clocks)| Term { name, seconds: seconds(clocks * waves) })
        .collect();
    terms.push(Term { name: "latency", seconds: seconds(waves.ceil() * block.waits) });
    terms.push(Term { name: "launch", seconds: device.rates.launch_seconds });
    // What the grid loses by not filling its last wave, or its only one.
    let filled = of_wave * blocks / wave;
    terms.push(Term { name: "grid fill", seconds: seconds((clocks - filled).max(0.0)) });
    terms.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    let seconds = seconds(clocks) + device.rates.launch_seconds;
    let unfilled = terms.iter().find(|term| term.name == "grid fill" && term.seconds > 0.4 * seconds);
    let bound = unfilled.or(terms.iter().find(|term| term.name != "grid fill")).map_or("launch", |term| term.name);
    Estimate { seconds, bound, terms }
}

impl LaunchProfile {
    /// The predicted time of the launch on the device it was counted for.
    pub fn estimate(&self, parameters: &Parameters) -> Estimate {
        estimate(&self.counters, &self.shape, &self.device, parameters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_that_wait_are_hidden_by_others_and_never_faster_than_the_units() {
        assert_eq!(time_of_all(1, 10.0, 90.0), 100.0);
        assert_eq!(time_of_all(4, 10.0, 0.0), 40.0, "nothing to hide");
        let two = time_of_all(2, 10.0, 90.0);
        assert!(two > 100.0 && two < 102.0, "{two}");
        let many = time_of_all(100, 10.0, 90.0);
        assert!((1000.0..1001.0).contains(&many), "{many}");
    }
}
