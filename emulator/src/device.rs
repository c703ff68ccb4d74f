//! Named descriptions of GPUs: what the driver reports of a device and what limits a launch.
//!
//! Sources: NVIDIA's architecture white papers (GA100, GA102, AD102, GH100) and the table "technical specifications per
//! compute capability" of the CUDA C++ programming guide. Memory sizes are those that drivers report, a little under
//! the nominal ones.

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

/// Limits that all supported compute capabilities share.
pub const WARP_THREADS: u32 = 32;
pub const THREADS_PER_BLOCK: u32 = 1024;
pub const BLOCK_DIMENSIONS: [u32; 3] = [1024, 1024, 64];
pub const GRID_DIMENSIONS: [u32; 3] = [0x7fff_ffff, 65535, 65535];
pub const REGISTERS_PER_THREAD: u32 = 255;
pub const REGISTERS_PER_BLOCK: u32 = 65536;
/// Registers are given to warps in units of this many.
pub const REGISTER_ALLOCATION_UNIT: u32 = 256;
/// Shared memory that a block gets without opting in, static and dynamic together.
pub const SHARED_BYTES_PER_BLOCK: u32 = 48 << 10;
/// Shared memory that the system keeps for itself in every block, on top of the block's own.
pub const SHARED_BYTES_RESERVED_PER_BLOCK: u32 = 1 << 10;
pub const CONSTANT_BYTES: u32 = 64 << 10;

/// The devices that have a name; the first is the default.
pub const DEVICES: &[Description] = &[
    Description {
        key: "a100",
        name: "NVIDIA A100-SXM4-80GB",
        compute_capability: (8, 0),
        multiprocessors: 108,
        memory_bytes: 84_974_239_744,
        shared_bytes_per_multiprocessor: 164 << 10,
        shared_bytes_per_block_optin: 163 << 10,
        registers_per_multiprocessor: 65536,
        threads_per_multiprocessor: 2048,
        blocks_per_multiprocessor: 32,
        l2_bytes: 40 << 20,
        clock_khz: 1_410_000,
        memory_clock_khz: 1_593_000,
        memory_bus_bits: 5120,
    },
    Description {
        key: "rtx3090",
        name: "NVIDIA GeForce RTX 3090",
        compute_capability: (8, 6),
        multiprocessors: 82,
        memory_bytes: 25_438_126_080,
        shared_bytes_per_multiprocessor: 100 << 10,
        shared_bytes_per_block_optin: 99 << 10,
        registers_per_multiprocessor: 65536,
        threads_per_multiprocessor: 1536,
        blocks_per_multiprocessor: 16,
        l2_bytes: 6 << 20,
        clock_khz: 1_695_000,
        memory_clock_khz: 9_751_000,
        memory_bus_bits: 384,
    },
    Description {
        key: "rtx4090",
        name: "NVIDIA GeForce RTX 4090",
        compute_capability: (8, 9),
        multiprocessors: 128,
        memory_bytes: 25_393_692_672,
        shared_bytes_per_multiprocessor: 100 << 10,
        shared_bytes_per_block_optin: 99 << 10,
        registers_per_multiprocessor: 65536,
        threads_per_multiprocessor: 1536,
        blocks_per_multiprocessor: 24,
        l2_bytes: 72 << 20,
        clock_khz: 2_520_000,
        memory_clock_khz: 10_501_000,
        memory_bus_bits: 384,
    },
    Description {
        key: "h100",
        name: "NVIDIA H100 80GB HBM3",
        compute_capability: (9, 0),
        multiprocessors: 132,
        memory_bytes: 84_942_979_072,
        shared_bytes_per_multiprocessor: 228 << 10,
        shared_bytes_per_block_optin: 227 << 10,
        registers_per_multiprocessor: 65536,
        threads_per_multiprocessor: 2048,
        blocks_per_multiprocessor: 32,
        l2_bytes: 50 << 20,
        clock_khz: 1_980_000,
        memory_clock_khz: 2_619_000,
        memory_bus_bits: 5120,
    },
];

impl Description {
    /// The device whose key is `name`, whatever the case.
    pub fn by_name(name: &str) -> Option<Description> {
        DEVICES.iter().find(|device| device.key.eq_ignore_ascii_case(name)).cloned()
    }

    /// `(8, 0)` as 80.
    pub fn architecture(&self) -> u32 {
        self.compute_capability.0 * 10 + self.compute_capability.1
    }
}

impl Default for Description {
    fn default() -> Self {
        DEVICES[0].clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_names_and_consistent_limits() {
        for device in DEVICES {
            assert_eq!(Description::by_name(&device.key.to_uppercase()).as_ref(), Some(device));
            let optin = device.shared_bytes_per_block_optin + SHARED_BYTES_RESERVED_PER_BLOCK;
            assert_eq!(optin, device.shared_bytes_per_multiprocessor, "{}", device.key);
            assert_eq!(device.threads_per_multiprocessor % WARP_THREADS, 0, "{}", device.key);
        }
        assert_eq!(Description::default().architecture(), 80);
        assert_eq!(Description::by_name("gtx480"), None);
    }
}
