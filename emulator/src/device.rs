//! Named descriptions of GPUs: what the driver reports of a device and what limits a launch.

/// A device as the driver describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// The name for `CUDA_EMULATOR_DEVICE`: `a100`.
    pub key: &'static str,
    /// The name that `cuDeviceGetName` gives, without the word that marks it as emulated.
    pub name: &'static str,
    pub compute_capability: (u32, u32),
    pub multiprocessors: u32,
    pub memory_bytes: u64,
    pub shared_bytes_per_multiprocessor: u32,
    /// The most a block gets after opting in.
    pub shared_bytes_per_block_optin: u32,
    pub registers_per_multiprocessor: u32,
    pub threads_per_multiprocessor: u32,
    pub blocks_per_multiprocessor: u32,
    pub l2_bytes: u32,
    pub clock_khz: u32,
    pub memory_clock_khz: u32,
    pub memory_bus_bits: u32,
}
