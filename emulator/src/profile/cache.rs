//! A set-associative cache of 128-byte lines in 32-byte sectors, the least recently used line replaced: L1 and L2.

/// Bytes of a line, and of its sectors.
pub const LINE_BYTES: u64 = 128;
pub const SECTOR_BYTES: u64 = 32;

/// A line, or room for one.
#[derive(Clone, Copy, Default)]
struct Line {
    /// Its number, plus one; 0 for room.
    tag: u64,
    used: u32,
    /// Sectors that are there, and those that memory does not have yet.
    valid: u8,
    dirty: u8,
}

/// What an access did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Sectors that were missing.
    pub missing: u8,
    /// Sectors that memory had until now and has no longer.
    pub dirtied: u8,
}

/// A cache without its data.
pub struct Cache {
    lines: Vec<Line>,
    ways: usize,
    sets: u64,
    clock: u32,
}

impl Cache {
    /// A cold cache of about `bytes`; 0 for none.
    pub fn new(bytes: u64, ways: usize) -> Cache {
        let sets = bytes / LINE_BYTES / ways as u64;
        Cache { lines: vec![Line::default(); sets as usize * ways], ways, sets, clock: 0 }
    }

    /// The set of a line. Hardware spreads lines by a hash, so that strides of powers of two do not meet.
    fn set(&self, line: u64) -> usize {
        let mixed = line.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        ((mixed * self.sets) >> 32) as usize * self.ways
    }

    /// Reads `sectors` of `line`; missing ones are fetched.
    pub fn read(&mut self, line: u64, sectors: u8) -> Outcome {
        self.access(line, sectors, 0)
    }

    /// Writes `sectors` of `line`, which need not be fetched for that.
    pub fn write(&mut self, line: u64, sectors: u8) -> Outcome {
        self.access(line, sectors, sectors)
    }

    fn access(&mut self, line: u64, sectors: u8, dirty: u8) -> Outcome {
        if self.sets == 0 {
            return Outcome { missing: sectors, dirtied: dirty };
        }
        self.clock = self.clock.wrapping_add(1);
        let first = self.set(line);
        let set = &mut self.lines[first..first + self.ways];
        let tag = line + 1;
        let found = match set.iter().position(|line| line.tag == tag) {
            Some(way) => way,
            None => {
                let oldest = |line: &&Line| (line.tag != 0, self.clock.wrapping_neg().wrapping_add(line.used));
                let victim = set.iter().enumerate().min_by_key(|(_, line)| oldest(line)).map_or(0, |(way, _)| way);
                set[victim] = Line { tag, ..Line::default() };
                victim
            }
        };
        let line = &mut set[found];
        let missing = sectors & !line.valid;
        let dirtied = dirty & !line.dirty;
        line.valid |= sectors;
        line.dirty |= dirty;
        line.used = self.clock;
        Outcome { missing, dirtied }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sectors_are_fetched_once_while_their_line_stays() {
        let mut cache = Cache::new(64 * LINE_BYTES, 4);
        assert_eq!(cache.read(7, 0b0011), Outcome { missing: 0b0011, ..Outcome::default() });
        assert_eq!(cache.read(7, 0b0110), Outcome { missing: 0b0100, ..Outcome::default() });
        assert_eq!(cache.read(7, 0b0111), Outcome::default());
    }

    #[test]
    fn what_is_used_stays_and_what_is_dirty_is_so_once() {
        let mut cache = Cache::new(4 * LINE_BYTES, 4);
        assert_eq!(cache.write(0, 0b1111).dirtied, 0b1111);
        assert_eq!(cache.write(0, 0b0001).dirtied, 0, "it is dirty already");
        (1..4).for_each(|line| {
            cache.read(line, 1);
        });
        cache.read(0, 1);
        cache.read(9, 1);
        (2..4).for_each(|line| assert_eq!(cache.read(line, 1).missing, 0));
        assert_eq!(cache.read(0, 1).missing, 0, "line 1 was the oldest");
        assert_eq!(cache.read(1, 1), Outcome { missing: 1, dirtied: 0 });
    }

    #[test]
    fn a_stream_larger_than_the_cache_always_misses_and_a_smaller_one_hits() {
        let misses = |lines: u64| {
            let mut cache = Cache::new(1024 * LINE_BYTES, 16);
            let round = |cache: &mut Cache| (0..lines).filter(|&line| cache.read(line, 1).missing != 0).count();
            round(&mut cache);
            round(&mut cache)
        };
        assert_eq!(misses(512), 0);
        assert_eq!(misses(4096), 4096);
    }
}
