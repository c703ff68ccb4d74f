//! The difference map, stretched to 0..1.

use super::{count, ensure, ensure_tensor};
use crate::error::Result;
use crate::plan::{Arg, DType, Launch, Plan, Tensor, Unit};

const OP: &str = "normalise";

/// Threads of the one block; the kernel's `THREADS`.
const THREADS: u32 = 1024;

/// Records the mean over the channels of a sum (height, width, 4) fp32, less its minimum, divided by what is then its
/// maximum; gives (height, width) fp32. A constant sum gives zeros. The number of maps in the sum cancels.
pub fn normalise(plan: &mut Plan, sum: &Tensor) -> Result<Tensor> {
    let shape = sum.shape();
    ensure(OP, shape.len() == 3 && sum.elements() > 0, || format!("sum is {shape:?}"))?;
    ensure_tensor(OP, "sum", sum, DType::F32, &[shape[0], shape[1], 4])?;
    let map = plan.tensor(DType::F32, &shape[..2]);
    plan.launch(Launch {
        unit: Unit { file: "normalise", defines: vec![("THREADS", i64::from(THREADS))] },
        entry: OP,
        grid: [1, 1, 1],
        block: THREADS,
        shared_bytes: 0,
        args: vec![Arg::Read(sum.clone()), Arg::Write(map.clone()), Arg::U32(count(OP, map.elements())?)],
        macs: 0,
    });
    Ok(map)
}
