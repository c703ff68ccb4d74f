//! Named descriptions of GPUs: what the driver reports of a device and what limits a launch.
//!
//! The figures and the source of each are in `devices.toml`; build.rs makes constants of them.

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
    pub rates: Rates,
}

/// How fast a device is, where nothing holds it up. Clocks are those of a multiprocessor; lanes are thread operations a
/// clock of one multiprocessor; `macs` are dense multiply-accumulates a clock of one multiprocessor.
#[derive(Clone, Debug, PartialEq)]
pub struct Rates {
    pub fp32_lanes: f64,
    pub int32_lanes: f64,
    pub fp64_lanes: f64,
    /// Results of packed fp16 arithmetic, counted singly.
    pub half_lanes: f64,
    /// Reciprocals, roots, exponentials, sines.
    pub special_lanes: f64,
    pub convert_lanes: f64,
    /// fp16 or bf16 factors, fp32 sums.
    pub half_macs: f64,
    /// fp16 factors and sums.
    pub half_sum_macs: f64,
    pub tf32_macs: f64,
    pub int8_macs: f64,
    /// What `mma.sync` reaches of these.
    pub matrix_sync_share: f64,
    /// The storage that L1 and shared memory divide among them, of one multiprocessor.
    pub l1_bytes: u32,
    /// Loads and stores of warps that one multiprocessor's L1 takes in a clock.
    pub l1_requests_per_clock: f64,
    /// Of one multiprocessor.
    pub shared_bytes_per_clock: f64,
    /// What L2 holds of data that every multiprocessor reads: where its halves keep copies, half of it.
    pub l2_effective_bytes: u64,
    /// Of the whole device.
    pub l2_bytes_per_clock: f64,
    /// Clocks from a load to the use of what it loaded.
    pub shared_latency: f64,
    pub l1_latency: f64,
    pub l2_latency: f64,
    pub dram_latency: f64,
    /// The duration of an empty kernel.
    pub launch_seconds: f64,
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
/// What of it cooperative groups may use, where one of their tiles is larger than a warp (`details/memory.h`).
pub const RESERVED_SHARED_BYTES_IN_USE: u32 = 288;
pub const CONSTANT_BYTES: u32 = 64 << 10;

/// The devices that have a name, from `devices.toml`; the first is the default.
pub const DEVICES: &[Description] = include!(concat!(env!("OUT_DIR"), "/devices.rs"));

impl Description {
    /// The device whose key is `name`, whatever the case.
    pub fn by_name(name: &str) -> Option<Description> {
        DEVICES.iter().find(|device| device.key.eq_ignore_ascii_case(name)).cloned()
    }

    /// Bytes a second between L2 and memory, at most: two transfers a clock on every line of the bus.
    pub fn memory_bandwidth(&self) -> f64 {
        f64::from(self.memory_clock_khz) * 1e3 * 2.0 * f64::from(self.memory_bus_bits) / 8.0
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
        let keys = ["a100", "rtx3090", "rtx4090", "l4", "l40s", "h100", "h200", "rtx5090", "b200"];
        assert!(keys.iter().all(|key| Description::by_name(key).is_some()));
        assert_eq!(Description::by_name("gtx480"), None);
    }

    /// The rates give the peaks that data sheets print, in T operations a second: the figures agree with each other.
    #[test]
    fn rates_give_the_published_peaks() {
        // fp32, fp16 matrix products with fp32 sums, GB/s.
        let published = [
            ("a100", 19.5, 312.0, 2039.0),
            ("rtx3090", 35.6, 71.0, 936.0),
            ("rtx4090", 82.6, 165.2, 1008.0),
            ("l4", 30.3, 121.0, 300.0),
            ("l40s", 91.6, 362.0, 864.0),
            ("h100", 66.9, 989.0, 3350.0),
            ("h200", 66.9, 989.0, 4800.0),
            ("rtx5090", 104.8, 209.5, 1792.0),
            ("b200", 75.0, 2250.0, 7700.0),
        ];
        for (key, fp32, half, bandwidth) in published {
            let device = Description::by_name(key).unwrap();
            // Data sheets count Hopper's and Blackwell's matrix products at less than the boost clock.
            let clocks = f64::from(device.multiprocessors) * f64::from(device.clock_khz) * 1e3;
            let teraflops = |a_clock: f64| 2.0 * a_clock * clocks / 1e12;
            let near = |found: f64, wanted: f64, tolerance: f64| (found / wanted - 1.0).abs() <= tolerance;
            assert!(near(teraflops(device.rates.fp32_lanes), fp32, 0.02), "{key} fp32");
            assert!(near(teraflops(device.rates.half_macs), half, 0.09), "{key} half");
            assert!(near(device.memory_bandwidth() / 1e9, bandwidth, 0.03), "{key} memory");
        }
    }
}
