//! Which vector instructions the host has, asked once.

/// The host's vector instructions; warp-wide primitives take it and choose their path by it.
///
/// Every path gives the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimdLevel {
    avx2: bool,
}

impl SimdLevel {
    /// No assumption beyond the compilation target.
    pub const PORTABLE: SimdLevel = SimdLevel { avx2: false };

    /// The best level of this machine.
    pub fn detect() -> SimdLevel {
        #[cfg(target_arch = "x86_64")]
        let avx2 =
            is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c");
        #[cfg(not(target_arch = "x86_64"))]
        let avx2 = false;
        SimdLevel { avx2 }
    }

    /// AVX2, FMA and F16C are there: true only of a level that [`SimdLevel::detect`] made on a machine that has them.
    #[inline(always)]
    pub fn has_avx2(self) -> bool {
        self.avx2
    }
}
