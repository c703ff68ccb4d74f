//! Stored numbers to fp16.

use half::f16;
use half::slice::HalfFloatSliceExt as _;
use safetensors::Dtype;

/// Elements converted at a time: what is between stored and converted stays in the first cache.
const BLOCK: usize = 2048;

/// A tensor's elements as its checkpoint stores them: little-endian, perhaps not aligned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored<'a> {
    kind: Kind,
    bytes: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    F16,
    BF16,
    F32,
}

impl<'a> Stored<'a> {
    /// `None` where the dtype is no float that weights come in.
    pub fn new(dtype: Dtype, bytes: &'a [u8]) -> Option<Stored<'a>> {
        let kind = match dtype {
            Dtype::F16 => Kind::F16,
            Dtype::BF16 => Kind::BF16,
            Dtype::F32 => Kind::F32,
            _ => return None,
        };
        Some(Stored { kind, bytes })
    }

    pub fn len(&self) -> usize {
        self.bytes.len() / self.element_bytes()
    }

    /// Where it lies: tensors in this order are read from front to back.
    pub fn address(&self) -> usize {
        self.bytes.as_ptr().addr()
    }

    /// Converts elements `first ..`, as many as `out` takes, rounding to nearest even.
    ///
    /// # Errors
    /// The reason, if one of them is not finite or does not fit fp16; `out` then holds anything.
    pub fn read(&self, first: usize, out: &mut [f16]) -> Result<(), String> {
        let size = self.element_bytes();
        let bytes = &self.bytes[first * size..][..out.len() * size];
        match self.kind {
            Kind::F16 => bytemuck::cast_slice_mut(out).copy_from_slice(bytes),
            Kind::BF16 | Kind::F32 => {
                let mut floats = [0f32; BLOCK];
                for (out, bytes) in out.chunks_mut(BLOCK).zip(bytes.chunks(BLOCK * size)) {
                    let floats = &mut floats[..out.len()];
                    self.widen(bytes, floats);
                    out.convert_from_f32_slice(floats);
                }
            }
        }
        if all_finite(out) { Ok(()) } else { Err(self.complaint(bytes)) }
    }

    fn element_bytes(&self) -> usize {
        if self.kind == Kind::F32 { 4 } else { 2 }
    }

    /// Stored bytes, not of fp16, as fp32.
    fn widen(&self, bytes: &[u8], floats: &mut [f32]) {
        match self.kind {
            Kind::F32 => bytemuck::cast_slice_mut(floats).copy_from_slice(bytes),
            _ => {
                for (float, pair) in floats.iter_mut().zip(bytes.chunks_exact(2)) {
                    *float = f32::from_bits(u32::from(u16::from_le_bytes([pair[0], pair[1]])) << 16);
                }
            }
        }
    }

    /// What is wrong with elements that are not all finite as fp16.
    fn complaint(&self, bytes: &[u8]) -> String {
        if self.kind != Kind::F16 {
            let mut float = [0f32];
            for bytes in bytes.chunks_exact(self.element_bytes()) {
                self.widen(bytes, &mut float);
                if float[0].is_finite() && !f16::from_f32(float[0]).is_finite() {
                    return format!("{} overflows fp16", float[0]);
                }
            }
        }
        "holds NaN or infinity".into()
    }
}

/// Without a branch an element, so that it is vectorised.
fn all_finite(halves: &[f16]) -> bool {
    const EXPONENT: u16 = 0x7C00;
    halves.chunks(BLOCK).all(|block| {
        let infinite = |half: &f16| u16::from(half.to_bits() & EXPONENT == EXPONENT);
        block.iter().fold(0, |any, half| any | infinite(half)) == 0
    })
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;

    /// More than a block, and not a multiple of one.
    fn values() -> Vec<f32> {
        (0..BLOCK + 77).map(|index| (index as f32 - 900.0) * 0.731).collect()
    }

    fn read(dtype: Dtype, bytes: &[u8], first: usize, count: usize) -> Result<Vec<f16>, String> {
        let mut out = vec![f16::NAN; count];
        Stored::new(dtype, bytes).expect("a float").read(first, &mut out).map(|()| out)
    }

    #[test]
    fn every_kind_is_rounded_once_wherever_it_starts() {
        let values = values();
        let f32s: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let bf16s: Vec<u8> = values.iter().flat_map(|&value| bf16::from_f32(value).to_le_bytes()).collect();
        let f16s: Vec<u8> = values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect();
        let count = values.len() - 5;
        let rounded: Vec<f16> = values[5..].iter().map(|&value| f16::from_f32(value)).collect();
        let twice: Vec<f16> = values[5..].iter().map(|&value| f16::from_f32(bf16::from_f32(value).to_f32())).collect();
        for (dtype, bytes, expected) in
            [(Dtype::F32, &f32s, &rounded), (Dtype::F16, &f16s, &rounded), (Dtype::BF16, &bf16s, &twice)]
        {
            assert_eq!(&read(dtype, bytes, 5, count).expect("finite"), expected, "{dtype:?}");
            // At an odd address.
            let shifted = [&[0], bytes.as_slice()].concat();
            assert_eq!(&read(dtype, &shifted[1..], 5, count).expect("finite"), expected, "{dtype:?}, not aligned");
        }
    }

    #[test]
    fn what_fp16_does_not_hold_is_named() {
        let bytes = |value: f32| -> Vec<u8> {
            let mut values = values();
            values[BLOCK + 3] = value;
            values.iter().flat_map(|value| value.to_le_bytes()).collect()
        };
        let count = BLOCK + 77;
        let complaint = |value| read(Dtype::F32, &bytes(value), 0, count).expect_err("it is not finite");
        assert_eq!(complaint(70_000.0), "70000 overflows fp16");
        assert_eq!(complaint(f32::NAN), "holds NaN or infinity");
        assert_eq!(complaint(f32::NEG_INFINITY), "holds NaN or infinity");
        read(Dtype::F32, &bytes(65_519.0), 0, count).expect("it is rounded to the largest fp16");
        read(Dtype::F32, &bytes(f32::NAN), 0, BLOCK).expect("what is not read does not matter");
        let halves = [f16::ONE, f16::INFINITY].map(f16::to_le_bytes).concat();
        assert_eq!(read(Dtype::F16, &halves, 0, 2).expect_err("infinite"), "holds NaN or infinity");
        assert!(Stored::new(Dtype::I64, &[0; 8]).is_none(), "no float");
    }
}
