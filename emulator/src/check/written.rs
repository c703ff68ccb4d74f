//! Which bytes of a piece of memory were ever written: one bit a byte.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The bytes of one piece of memory. Shared by reference like the memory itself, and as that changed by several threads.
#[derive(Debug)]
pub(crate) struct Written {
    words: Box<[AtomicU64]>,
    bytes: u64,
    /// How many bytes were not written.
    missing: AtomicU64,
}

/// Bits `[first, first + count)`, of which there are at most 64.
fn mask(first: u64, count: u64) -> u64 {
    (u64::MAX >> (64 - count)) << first
}

impl Written {
    /// `bytes` bytes that nobody wrote. The bits cost memory once they are touched.
    pub fn new(bytes: u64) -> Self {
        let words = Box::into_raw(vec![0u64; bytes.div_ceil(64) as usize].into_boxed_slice());
        // SAFETY: the box was just taken apart, and an `AtomicU64` is laid out as a `u64` is.
        let words = unsafe { Box::from_raw(words as *mut [AtomicU64]) };
        Written { words, bytes, missing: AtomicU64::new(bytes) }
    }

    /// Forgets all writes.
    pub fn clear(&self) {
        self.words.iter().for_each(|word| word.store(0, Relaxed));
        self.missing.store(self.bytes, Relaxed);
    }

    /// Number of bytes.
    pub fn len(&self) -> u64 {
        self.bytes
    }

    /// Whether every byte was written.
    #[inline(always)]
    pub fn is_complete(&self) -> bool {
        self.missing.load(Relaxed) == 0
    }

    /// The bits of up to 32 bytes from `start` on, all inside.
    #[inline(always)]
    pub fn bits(&self, start: u64, count: u32) -> u32 {
        let (word, first) = ((start / 64) as usize, start % 64);
        let mut bits = self.words[word].load(Relaxed) >> first;
        if first + u64::from(count) > 64 {
            bits |= self.words[word + 1].load(Relaxed) << (64 - first);
        }
        bits as u32 & mask(0, count.into()) as u32
    }

    /// Makes the bits of up to 32 bytes from `start` on those of `bits`.
    #[inline(always)]
    pub fn set_bits(&self, start: u64, count: u32, bits: u32) {
        let (word, first) = ((start / 64) as usize, start % 64);
        let (range, bits) = (mask(0, count.into()), u64::from(bits));
        self.change(word, range << first, bits << first);
        if first + u64::from(count) > 64 {
            self.change(word + 1, range >> (64 - first), bits >> (64 - first));
        }
    }

    #[inline(always)]
    fn change(&self, word: usize, range: u64, bits: u64) {
        let (word, bits) = (&self.words[word], bits & range);
        let old = word.load(Relaxed);
        if bits & !old != 0 {
            let added = bits & !word.fetch_or(bits, Relaxed);
            self.missing.fetch_sub(added.count_ones().into(), Relaxed);
        }
        if range & !bits & old != 0 {
            let taken = range & !bits & word.fetch_and(bits | !range, Relaxed);
            self.missing.fetch_add(taken.count_ones().into(), Relaxed);
        }
    }

    /// The words that `bytes` bytes from `start` on touch, each with the mask of those bytes.
    #[inline(always)]
    fn pieces(start: u64, bytes: u64) -> impl Iterator<Item = (usize, u64)> {
        let end = start + bytes;
        (start / 64..end.div_ceil(64)).map(move |word| {
            let (first, last) = (start.max(64 * word), end.min(64 * word + 64));
            (word as usize, mask(first % 64, last - first))
        })
    }

    /// Whether all of `bytes` bytes from `start` on were written.
    #[inline(always)]
    pub fn all(&self, start: u64, bytes: u64) -> bool {
        Self::pieces(start, bytes).all(|(word, mask)| self.words[word].load(Relaxed) & mask == mask)
    }

    /// Notes that `bytes` bytes from `start` on were written.
    pub fn fill(&self, start: u64, bytes: u64) {
        if !self.is_complete() {
            Self::pieces(start, bytes).for_each(|(word, mask)| self.change(word, mask, mask));
        }
    }

    /// Notes that `bytes` bytes from `start` on were never written, whatever was there before.
    pub fn forget(&self, start: u64, bytes: u64) {
        Self::pieces(start, bytes).for_each(|(word, mask)| self.change(word, mask, 0));
    }

    /// Makes `bytes` bytes from `start` on what those of `source` from `from` on are. The ranges may overlap.
    pub fn copy(&self, start: u64, source: &Written, from: u64, bytes: u64) {
        let chunks = bytes.div_ceil(32);
        let backwards = start > from;
        for index in 0..chunks {
            let offset = 32 * if backwards { chunks - 1 - index } else { index };
            let count = (bytes - offset).min(32) as u32;
            self.set_bits(start + offset, count, source.bits(from + offset, count));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(written: &Written) -> Vec<bool> {
        (0..written.len()).map(|byte| written.bits(byte, 1) == 1).collect()
    }

    #[test]
    fn bits_are_those_of_a_plain_array() {
        let (written, mut plain) = (Written::new(300), vec![false; 300]);
        let mut random = 1u64;
        for _ in 0..2000 {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let count = 1 + (random >> 40) % 32;
            let start = (random >> 20) % (300 - count);
            let value = (random >> 33) as u32 & (random >> 13) as u32;
            match random >> 61 {
                0 => {
                    written.fill(start, count);
                    plain[start as usize..][..count as usize].fill(true);
                }
                1 => {
                    let from = (random >> 50) % (300 - count);
                    written.copy(start, &written, from, count);
                    plain.copy_within(from as usize..(from + count) as usize, start as usize);
                }
                2 => {
                    written.forget(start, count);
                    plain[start as usize..][..count as usize].fill(false);
                }
                _ => {
                    written.set_bits(start, count as u32, value);
                    (0..count as usize).for_each(|bit| plain[start as usize + bit] = value >> bit & 1 == 1);
                }
            }
            let range = &plain[start as usize..][..count as usize];
            assert_eq!(written.all(start, count), range.iter().all(|bit| *bit));
            let expected = range.iter().enumerate().fold(0, |sum, (bit, set)| sum | u32::from(*set) << bit);
            assert_eq!(written.bits(start, count as u32), expected);
        }
        assert_eq!(bits(&written), plain);
        assert_eq!(written.is_complete(), plain.iter().all(|bit| *bit));
        written.fill(0, 300);
        assert!(written.is_complete());
        written.clear();
        assert!(bits(&written).iter().all(|bit| !bit));
    }

    #[test]
    fn overlapping_copies_move_as_memmove_does() {
        for (from, to) in [(0, 40), (40, 0), (3, 70)] {
            let written = Written::new(400);
            let mut plain = vec![false; 400];
            for byte in (0..200).filter(|byte| byte % 3 == 0 || byte % 7 == 1) {
                written.fill(byte, 1);
                plain[byte as usize] = true;
            }
            written.copy(to, &written, from, 200);
            plain.copy_within(from as usize..from as usize + 200, to as usize);
            assert_eq!(bits(&written), plain, "{from} to {to}");
        }
    }
}
