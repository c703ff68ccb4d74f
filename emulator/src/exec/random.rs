//! Choices that CUDA leaves open, by seed.

/// A stream of pseudo-random choices (xorshift64*); the stream of seed 0 always chooses what is first or whole.
#[derive(Clone, Debug, Default)]
pub(super) struct Random(u64);

impl Random {
    /// The choices of `seed` for the thing numbered `number`; streams of different numbers are independent.
    pub(super) fn new(seed: u64, number: u64) -> Self {
        if seed == 0 {
            return Random(0);
        }
        // The finaliser of splitmix64 spreads neighbouring seeds and numbers apart.
        let mut state = seed ^ number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        state = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ state >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        Random((state ^ state >> 31) | 1)
    }

    /// Whether choices vary at all.
    pub(super) fn varies(&self) -> bool {
        self.0 != 0
    }

    /// A number below `count`, which is at least 1.
    pub(super) fn below(&mut self, count: u32) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32;
        (u64::from(high) * u64::from(count) >> 32) as u32
    }

    /// Brings `items` into a random order.
    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        if !self.varies() {
            return;
        }
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u32 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_vary_with_seed_and_number_and_not_without() {
        let stream = |seed, number| {
            let mut random = Random::new(seed, number);
            (0..20).map(|_| random.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(stream(1, 0), stream(1, 0));
        assert_ne!(stream(1, 0), stream(2, 0));
        assert_ne!(stream(1, 0), stream(1, 1));
        assert_eq!(stream(0, 5), [0; 20]);
        let mut order: Vec<u32> = (0..32).collect();
        Random::new(9, 9).shuffle(&mut order);
        assert_ne!(order, (0..32).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..32).collect::<Vec<_>>());
    }
}
