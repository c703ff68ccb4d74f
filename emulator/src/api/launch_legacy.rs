//! Launches as before CUDA 4: shape and parameters are set at the function, call by call.

use super::driver::{Driver, call};
use super::error::{CUresult, Result, refused};
use super::launch::Request;
use super::types::{CUfunction, CUstream, In};

/// What was set for the next launch of a function.
#[derive(Clone, Debug)]
pub struct NextLaunch {
    block: [u32; 3],
    dynamic_shared_bytes: u32,
    parameters: Vec<u8>,
}

impl Default for NextLaunch {
    fn default() -> Self {
        NextLaunch { block: [1; 3], dynamic_shared_bytes: 0, parameters: Vec::new() }
    }
}

impl Driver {
    fn next_launch(&mut self, function: CUfunction) -> Result<&mut NextLaunch> {
        self.function(function)?;
        Ok(self.next_launches.entry(function).or_default())
    }

    /// Writes bytes of a parameter at `offset` into the block of parameters.
    fn set_parameter(&mut self, function: CUfunction, offset: i32, bytes: &[u8]) -> Result {
        let most = self.function(function)?.info.parameter_bytes;
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let Some(end) = start.checked_add(bytes.len()).filter(|&end| end <= most) else {
            let message = format!("{} bytes at {offset} of {most} bytes of parameters", bytes.len());
            return refused(CUresult::INVALID_VALUE, message);
        };
        let next = self.next_launch(function)?;
        next.parameters.resize(most, 0);
        next.parameters[start..end].copy_from_slice(bytes);
        Ok(())
    }

    fn launch_next(&mut self, function: CUfunction, grid: [i32; 2], stream: CUstream) -> Result {
        let bytes = self.function(function)?.info.parameter_bytes;
        let mut next = self.next_launch(function)?.clone();
        next.parameters.resize(bytes, 0);
        // The packed block, its size, and the end of the list, as launches take them since.
        let extra = [1, next.parameters.as_ptr() as usize, 2, (&raw const bytes) as usize, 0];
        let request = Request {
            grid: [grid[0].max(0) as u32, grid[1].max(0) as u32, 1],
            block: next.block,
            dynamic_shared_bytes: next.dynamic_shared_bytes,
            stream,
            cooperative: false,
            parameters: In::at(0),
            extra: In::at(extra.as_ptr() as u64),
        };
        self.launch(function, &request)
    }
}

/// Sets the block of later launches.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuFuncSetBlockShape(function: CUfunction, x: i32, y: i32, z: i32) -> CUresult {
    call("cuFuncSetBlockShape", |driver| {
        driver.next_launch(function)?.block = [x, y, z].map(|side| side.max(0) as u32);
        Ok(())
    })
}

/// Sets the dynamic shared memory of later launches.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuFuncSetSharedSize(function: CUfunction, bytes: u32) -> CUresult {
    call("cuFuncSetSharedSize", |driver| {
        driver.next_launch(function)?.dynamic_shared_bytes = bytes;
        Ok(())
    })
}

/// Says how many bytes of parameters later launches have, which is known.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuParamSetSize(function: CUfunction, bytes: u32) -> CUresult {
    call("cuParamSetSize", |driver| {
        let most = driver.function(function)?.info.parameter_bytes;
        if bytes as usize > most {
            return refused(CUresult::INVALID_VALUE, format!("{bytes} of {most} bytes of parameters"));
        }
        Ok(())
    })
}

/// Sets an integer among the parameters of later launches.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuParamSeti(function: CUfunction, offset: i32, value: u32) -> CUresult {
    call("cuParamSeti", |driver| driver.set_parameter(function, offset, &value.to_le_bytes()))
}

/// Sets a number among the parameters of later launches.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuParamSetf(function: CUfunction, offset: i32, value: f32) -> CUresult {
    call("cuParamSetf", |driver| driver.set_parameter(function, offset, &value.to_le_bytes()))
}

/// Sets bytes among the parameters of later launches.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuParamSetv(function: CUfunction, offset: i32, value: In<u8>, bytes: u32) -> CUresult {
    call("cuParamSetv", |driver| driver.set_parameter(function, offset, &value.to_vec(bytes as usize)?))
}

/// Launches one block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLaunch(function: CUfunction) -> CUresult {
    call("cuLaunch", |driver| driver.launch_next(function, [1; 2], CUstream(0)))
}

/// Launches a grid of blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLaunchGrid(function: CUfunction, width: i32, height: i32) -> CUresult {
    call("cuLaunchGrid", |driver| driver.launch_next(function, [width, height], CUstream(0)))
}

/// Launches a grid of blocks in a stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLaunchGridAsync(
    function: CUfunction,
    width: i32,
    height: i32,
    stream: CUstream,
) -> CUresult {
    call("cuLaunchGridAsync", |driver| driver.launch_next(function, [width, height], stream))
}

super::exports![
    cuFuncSetBlockShape,
    cuFuncSetSharedSize,
    cuParamSetSize,
    cuParamSeti,
    cuParamSetf,
    cuParamSetv,
    cuLaunch,
    cuLaunchGrid,
    cuLaunchGridAsync,
];
