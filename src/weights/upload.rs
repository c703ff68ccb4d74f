//! From a checkpoint to the device: threads read, convert and repack chunks into pinned memory while others are copied.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::repack::Recipe;
use crate::device::{Device, Staging};
use crate::error::{Error, Result};
use crate::plan::Tensor;

/// Bytes of a staging buffer: enough that a copy's start does not matter, few enough to stay in the caches.
const BUFFER_BYTES: usize = 4 << 20;

/// Buffers of a thread: one is filled while the other is copied.
const BUFFERS: usize = 2;

/// More threads would wait for memory or the bus. Together their buffers take 32 MB.
const MAX_THREADS: usize = 4;

/// A tensor on the device and what it is made of.
pub(super) struct Job<'a> {
    /// fp16 (rows, columns), or (rows).
    pub target: Tensor,
    pub recipe: Recipe<'a>,
}

/// Some rows of a job.
struct Chunk<'j, 'a> {
    recipe: &'j Recipe<'a>,
    first_row: usize,
    columns: usize,
    /// (rows, columns) of the job's target.
    target: Tensor,
}

/// Fills the jobs' targets. Gives what is wrong with their elements: names and reasons, each name once, in the order of
/// the names; then the targets hold anything.
pub(super) fn upload(device: &Device, jobs: &[Job]) -> Result<Vec<(String, String)>> {
    let chunks = chunks(jobs);
    let Some(largest) = chunks.iter().map(|chunk| chunk.target.bytes()).max() else { return Ok(Vec::new()) };
    let next = AtomicUsize::new(0);
    let problems = Mutex::new(Vec::new());
    let work = || -> Result<()> {
        let mut staging = Staging::new(device, BUFFERS, largest)?;
        while let Some(chunk) = chunks.get(next.fetch_add(1, Ordering::Relaxed)) {
            let out = bytemuck::cast_slice_mut(&mut staging.buffer()?[..chunk.target.bytes()]);
            match chunk.recipe.fill(chunk.first_row, chunk.columns, out) {
                Ok(()) => staging.send(&chunk.target)?,
                Err(problem) => problems.lock().expect("no panics under it").push(problem),
            }
        }
        staging.finish()
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = cores.min(MAX_THREADS).min(chunks.len());
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("reading weights does not panic"))
    })?;
    let mut problems = problems.into_inner().map_err(|_| Error::Device("reading weights failed".into()))?;
    problems.sort_unstable();
    problems.dedup_by(|later, earlier| later.0 == earlier.0);
    Ok(problems)
}

/// The jobs in chunks of a staging buffer, in the order in which their tensors lie in the checkpoint.
fn chunks<'j, 'a>(jobs: &'j [Job<'a>]) -> Vec<Chunk<'j, 'a>> {
    let mut order: Vec<&Job> = jobs.iter().collect();
    order.sort_by_key(|job| job.recipe.first().map_or(0, |part| part.stored.address()));
    let mut chunks = Vec::new();
    for Job { target, recipe } in order {
        let rows = target.dim(0);
        let columns = target.elements() / rows.max(1);
        let target = target.reshape(&[rows, columns]);
        let rows_at_a_time = (BUFFER_BYTES / (columns * target.dtype().bytes()).max(1)).max(1);
        chunks.extend((0..rows).step_by(rows_at_a_time).map(|first_row| Chunk {
            recipe,
            first_row,
            columns,
            target: target.slice(first_row, rows_at_a_time.min(rows - first_row)),
        }));
    }
    chunks
}
