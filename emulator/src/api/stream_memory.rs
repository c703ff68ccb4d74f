//! Streams that wait for values in memory and write them.

use super::driver::{Driver, call};
use super::error::{CUresult, Result, refused};
use super::types::{CUdeviceptr, CUstream, In};
use super::work::{Work, check};
use crate::memory::Memory;
use crate::report::Report;

/// A value in memory: 4 or 8 bytes.
#[derive(Clone, Copy, Debug)]
struct Value {
    address: CUdeviceptr,
    is_wide: bool,
    value: u64,
}

/// A wait for memory to hold a value.
#[derive(Debug)]
pub struct Poll {
    value: Value,
    condition: Condition,
}

/// A write of a value to memory.
#[derive(Debug)]
pub struct Write(Value);

/// How the memory compares with the value when the wait ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    /// As a difference that is not negative: counters may wrap around.
    AtLeast,
    Equal,
    /// Common bits.
    And,
    /// Bits that are in neither.
    Nor,
}

/// A flag of waits that concerns writes of other devices, of which there are none.
const FLUSH: u32 = 1 << 30;
const NO_MEMORY_BARRIER: u32 = 1;

impl Condition {
    fn of_flags(flags: u32) -> Result<Condition> {
        match flags & !FLUSH {
            0 => Ok(Condition::AtLeast),
            1 => Ok(Condition::Equal),
            2 => Ok(Condition::And),
            3 => Ok(Condition::Nor),
            _ => refused(CUresult::INVALID_VALUE, format!("{flags:#x} are no flags of a wait for a value")),
        }
    }
}

impl Value {
    fn bytes(&self) -> u64 {
        if self.is_wide { 8 } else { 4 }
    }

    fn read(&self) -> u64 {
        // SAFETY: the callers checked that the memory is there; host threads may write it at any time.
        unsafe {
            match self.is_wide {
                true => (self.address as *const u64).read_volatile(),
                false => (self.address as *const u32).read_volatile().into(),
            }
        }
    }
}

impl Poll {
    /// Whether the wait is over.
    pub fn is_over(&self, memory: &Memory) -> bool {
        let Value { address, is_wide, value } = self.value;
        if !memory.find(address).is_some_and(|allocation| allocation.holds(address, self.value.bytes())) {
            // The fault shows when the wait runs.
            return true;
        }
        let found = self.value.read();
        match self.condition {
            Condition::AtLeast if is_wide => found.wrapping_sub(value) as i64 >= 0,
            Condition::AtLeast => (found as u32).wrapping_sub(value as u32) as i32 >= 0,
            Condition::Equal => found == value,
            Condition::And => found & value != 0,
            Condition::Nor if is_wide => !(found | value) != 0,
            Condition::Nor => !((found | value) as u32) != 0,
        }
    }

    /// Ends the wait, which is over.
    pub fn run(&self, memory: &Memory) -> std::result::Result<(), Report> {
        check(memory, self.value.address, self.value.bytes(), "wait for a value")
    }

    /// What is waited for, in words.
    pub fn text(&self) -> String {
        let Value { address, value, .. } = self.value;
        format!("a stream waits for the value {value:#x} at {address:#x}, which nothing writes")
    }
}

impl Write {
    pub fn run(&self, memory: &Memory) -> std::result::Result<(), Report> {
        let Value { address, is_wide, value } = self.0;
        check(memory, address, self.0.bytes(), "write of a value")?;
        // SAFETY: checked just now.
        unsafe {
            match is_wide {
                true => (address as *mut u64).write_volatile(value),
                false => (address as *mut u32).write_volatile(value as u32),
            }
        }
        memory.mark_written(address, self.0.bytes());
        Ok(())
    }
}

impl Driver {
    fn value(&self, address: CUdeviceptr, is_wide: bool, value: u64) -> Result<Value> {
        let found = Value { address, is_wide, value };
        self.device_range(address, found.bytes())?;
        if !address.is_multiple_of(found.bytes()) {
            return refused(CUresult::INVALID_VALUE, format!("{address:#x} is not aligned to {} bytes", found.bytes()));
        }
        Ok(found)
    }

    fn poll(&self, value: Value, flags: u32) -> Result<Work> {
        Ok(Work::Poll(Poll { value, condition: Condition::of_flags(flags)? }))
    }

    fn write(&self, value: Value, flags: u32) -> Result<Work> {
        match flags & !NO_MEMORY_BARRIER {
            0 => Ok(Work::Write(Write(value))),
            _ => refused(CUresult::INVALID_VALUE, format!("{flags:#x} are no flags of a write of a value")),
        }
    }
}

macro_rules! value_functions {
    ($($(#[$doc:meta])* $name:ident, $earlier:ident, $value:ty, $work:ident;)*) => {
        $(
            $(#[$doc])*
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name(
                stream: CUstream, address: CUdeviceptr, value: $value, flags: u32,
            ) -> CUresult {
                call(stringify!($name), |driver| {
                    let stream = driver.stream(stream)?;
                    let value = driver.value(address, size_of::<$value>() == 8, value.into())?;
                    let work = driver.$work(value, flags)?;
                    driver.enqueue(stream, work).map(|_| ())
                })
            }

            $(#[$doc])*
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $earlier(
                stream: CUstream, address: CUdeviceptr, value: $value, flags: u32,
            ) -> CUresult {
                // SAFETY: the arguments are the caller's.
                unsafe { $name(stream, address, value, flags) }
            }
        )*

        super::exports![$($name, $earlier,)* cuStreamBatchMemOp_v2, cuStreamBatchMemOp];
    };
}

value_functions! {
    /// Lets a stream wait until 32 bits of memory hold a value.
    cuStreamWaitValue32_v2, cuStreamWaitValue32, u32, poll;
    /// Lets a stream wait until 64 bits of memory hold a value.
    cuStreamWaitValue64_v2, cuStreamWaitValue64, u64, poll;
    /// Writes 32 bits in the order of a stream.
    cuStreamWriteValue32_v2, cuStreamWriteValue32, u32, write;
    /// Writes 64 bits in the order of a stream.
    cuStreamWriteValue64_v2, cuStreamWriteValue64, u64, write;
}

/// One of several operations, as the driver's header lays it out; what is in it depends on its kind.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct CUstreamBatchMemOpParams {
    kind: u32,
    padding: u32,
    address: CUdeviceptr,
    value: u64,
    flags: u32,
    padding_end: u32,
    alias: CUdeviceptr,
    unused: u64,
}

const WAIT_32: u32 = 1;
const WRITE_32: u32 = 2;
const FLUSH_REMOTE_WRITES: u32 = 3;
const WAIT_64: u32 = 4;
const WRITE_64: u32 = 5;
const BARRIER: u32 = 6;

/// Adds several waits and writes to a stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamBatchMemOp_v2(
    stream: CUstream,
    operation_count: u32,
    operations: In<CUstreamBatchMemOpParams>,
    flags: u32,
) -> CUresult {
    call("cuStreamBatchMemOp_v2", |driver| {
        let stream = driver.stream(stream)?;
        if flags != 0 || operation_count > 256 {
            return refused(CUresult::INVALID_VALUE, format!("{operation_count} operations, flags {flags:#x}"));
        }
        let mut all = Vec::new();
        for operation in operations.to_vec(operation_count as usize)? {
            let CUstreamBatchMemOpParams { kind, address, value, flags, .. } = operation;
            let narrow = u64::from(value as u32);
            all.push(match kind {
                WAIT_32 => driver.poll(driver.value(address, false, narrow)?, flags)?,
                WAIT_64 => driver.poll(driver.value(address, true, value)?, flags)?,
                WRITE_32 => driver.write(driver.value(address, false, narrow)?, flags)?,
                WRITE_64 => driver.write(driver.value(address, true, value)?, flags)?,
                FLUSH_REMOTE_WRITES | BARRIER => Work::Nothing,
                other => return refused(CUresult::NOT_SUPPORTED, format!("operation {other} of a stream on memory")),
            });
        }
        for work in all {
            driver.enqueue(stream, work)?;
        }
        Ok(())
    })
}

/// As [`cuStreamBatchMemOp_v2`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamBatchMemOp(
    stream: CUstream,
    operation_count: u32,
    operations: In<CUstreamBatchMemOpParams>,
    flags: u32,
) -> CUresult {
    // SAFETY: the arguments are the caller's.
    unsafe { cuStreamBatchMemOp_v2(stream, operation_count, operations, flags) }
}
