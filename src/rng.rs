//! PyTorch's random numbers on the CPU, so that a seed means the same noise here as there.

/// Words of state of the Mersenne twister MT19937.
const WORDS: usize = 624;
/// Offset of the word mixed into each.
const SHIFT: usize = 397;
/// Normals are made in blocks of this many, cosines in the first half and sines in the second.
const BLOCK: usize = 16;

/// PyTorch's default CPU generator after `torch.manual_seed`.
///
/// The twister and its seeding are Matsumoto and Nishimura's MT19937; what is made of its words follows PyTorch's
/// `ATen/core/MT19937RNGEngine.h`, `ATen/core/TransformationHelper.h` and `ATen/native/cpu/DistributionTemplates.h`.
/// Calls continue one stream, as successive calls of `torch.rand` and `torch.randn` do.
///
/// Uniforms equal PyTorch's in every bit. Its normals depend on the vector unit it was run on (its own paths differ
/// by up to 1.8e-6); those given here lie within 2e-6 of all of them.
#[derive(Clone, Debug)]
pub struct TorchRng {
    state: [u32; WORDS],
    /// Index of the next word to give out.
    next: usize,
    /// The second value of the last pair of single normals, in double precision.
    cached_normal: Option<f64>,
}

impl TorchRng {
    /// The generator after `torch.manual_seed(seed)`; only the low 32 bits of the seed matter, as there.
    pub fn new(seed: u64) -> TorchRng {
        let mut state = [0; WORDS];
        state[0] = seed as u32;
        for index in 1..WORDS {
            let previous: u32 = state[index - 1];
            state[index] = 1_812_433_253_u32.wrapping_mul(previous ^ (previous >> 30)).wrapping_add(index as u32);
        }
        TorchRng { state, next: WORDS, cached_normal: None }
    }

    /// What `torch.rand(n)` gives: `n` numbers from [0, 1), multiples of 2^-24.
    pub fn uniforms(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.uniform()).collect()
    }

    /// What `torch.randn(n)` gives, in row-major order for any shape of `n` elements (NCHW for latents).
    ///
    /// From 16 elements on, whole blocks are transformed from as many uniforms, and a ragged end redraws the last 16.
    /// Fewer than 16 come one by one, from pairs of double-precision uniforms.
    pub fn randn(&mut self, n: usize) -> Vec<f32> {
        if n < BLOCK {
            return (0..n).map(|_| self.single_normal() as f32).collect();
        }
        let mut values = self.uniforms(n);
        let (blocks, ragged) = values.as_chunks_mut::<BLOCK>();
        blocks.iter_mut().for_each(box_muller);
        if !ragged.is_empty() {
            let end: &mut [f32; BLOCK] = values.last_chunk_mut().expect("at least one block");
            end.fill_with(|| self.uniform());
            box_muller(end);
        }
        values
    }

    /// The next word of the stream.
    fn word(&mut self) -> u32 {
        if self.next == WORDS {
            self.twist();
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    /// Replaces the state by the next 624 words.
    fn twist(&mut self) {
        for index in 0..WORDS {
            let joined = (self.state[index] & 0x8000_0000) | (self.state[(index + 1) % WORDS] & 0x7fff_ffff);
            let odd = if joined & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[index] = self.state[(index + SHIFT) % WORDS] ^ (joined >> 1) ^ odd;
        }
        self.next = 0;
    }

    /// A float uniform: the low 24 bits of one word.
    fn uniform(&mut self) -> f32 {
        (self.word() & 0x00ff_ffff) as f32 / (1 << 24) as f32
    }

    /// A double uniform: the low 53 bits of two words, the first one high.
    fn uniform_f64(&mut self) -> f64 {
        let high = u64::from(self.word());
        let bits = (high << 32 | u64::from(self.word())) & ((1 << 53) - 1);
        bits as f64 / (1_u64 << 53) as f64
    }

    /// A normal by Box and Muller's method in double precision, every other one kept from the call before.
    fn single_normal(&mut self) -> f64 {
        if let Some(normal) = self.cached_normal.take() {
            return normal;
        }
        let angle = std::f64::consts::TAU * self.uniform_f64();
        let radius = (-2.0 * (-self.uniform_f64()).ln_1p()).sqrt();
        self.cached_normal = Some(radius * angle.sin());
        radius * angle.cos()
    }
}

/// Sixteen uniforms into sixteen normals: radii from the first eight, angles from the others.
///
/// The angle is rounded to single precision as PyTorch's vector paths round it; everything else is exact but for the
/// last rounding, which keeps the result near all of PyTorch's paths and alike on every machine.
fn box_muller(block: &mut [f32; BLOCK]) {
    let (radii, angles) = block.split_at_mut(BLOCK / 2);
    for (first, second) in radii.iter_mut().zip(angles) {
        let radius = (-2.0 * f64::from(1.0 - *first).ln()).sqrt();
        let angle = f64::from(std::f32::consts::TAU * *second);
        *first = (radius * angle.cos()) as f32;
        *second = (radius * angle.sin()) as f32;
    }
}
