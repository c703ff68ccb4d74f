//! Damaged PTX is refused with a report, or loaded: never a panic, a hang or memory without bound.
//!
//! The damage is what a fixed seed makes of real modules: words left out, exchanged, repeated or put elsewhere, numbers
//! made extreme, lines and characters lost, texts cut off.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use cuda_emulator::device::Description;
use cuda_emulator::exec::Module;
use cuda_emulator::memory::Memory;
use cuda_emulator::report::Class;

/// Whole modules, as NVRTC makes them and as people write them.
const MODULES: [&str; 6] = [
    include_str!("ptx/nvrtc_warps.ptx"),
    include_str!("ptx/nvrtc_debug.ptx"),
    include_str!("ptx/gemm.ptx"),
    concat!(".version 7.8\n.target sm_80\n.address_size 64\n", include_str!("ptx/calls.ptx")),
    concat!(".version 7.8\n.target sm_80\n.address_size 64\n", include_str!("ptx/spaces.ptx")),
    concat!(".version 7.8\n.target sm_80\n.address_size 64\n", include_str!("ptx/special_registers.ptx")),
];

/// Damaged texts of each module.
const CASES: usize = 700;
/// Far above what any of these modules takes, far below what a hang would.
const LONGEST: Duration = Duration::from_secs(5);
/// The device's memory: variables that ask for more are refused.
const MEMORY_BYTES: u64 = 64 << 20;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// Words, numbers, punctuation and the space between them: their concatenation is the text.
fn tokens(text: &str) -> Vec<&str> {
    let kind = |c: char| match c {
        c if c.is_alphanumeric() || "_$%".contains(c) => 0,
        c if c.is_whitespace() => 1,
        // Every other character stands for itself.
        c => 2 + c as u32,
    };
    let mut tokens = Vec::new();
    let mut start = 0;
    let mut last = None;
    for (position, c) in text.char_indices() {
        let single = kind(c) >= 2;
        if last.is_some_and(|last| last != kind(c) || single) {
            tokens.push(&text[start..position]);
            start = position;
        }
        last = Some(kind(c));
    }
    tokens.push(&text[start..]);
    tokens
}

const NUMBERS: [&str; 16] = [
    "0",
    "1",
    "3",
    "7",
    "31",
    "33",
    "65535",
    "65537",
    "2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775808",
    "18446744073709551615",
    "99999999999999999999999",
    "0x",
    "0f7f800000",
];

/// One to four changes to `text`.
fn damaged(text: &str, random: &mut Random) -> String {
    let mut parts: Vec<String> = tokens(text).into_iter().map(str::to_owned).collect();
    for _ in 0..1 + random.below(4) {
        let place = random.below(parts.len());
        let other = random.below(parts.len());
        let line_end =
            |parts: &[String]| (place..parts.len()).find(|&i| parts[i].contains('\n')).unwrap_or(parts.len());
        match random.below(10) {
            0 => drop(parts.remove(place)),
            1 => parts.swap(place, other),
            2 => parts.insert(place, parts[other].clone()),
            3 => parts[place] = parts[other].clone(),
            4 => {
                let number = |part: &String| part.starts_with(|c: char| c.is_ascii_digit());
                if let Some(place) = (place..parts.len()).find(|&i| number(&parts[i])) {
                    parts[place] = NUMBERS[random.below(NUMBERS.len())].into();
                }
            }
            5 => drop(parts.drain(place..line_end(&parts))),
            6 => {
                let line = parts[place..line_end(&parts)].to_vec();
                parts.splice(other..other, line);
            }
            7 if random.below(4) == 0 => parts.truncate(place),
            8 => {
                let mut characters: Vec<char> = parts[place].chars().collect();
                let at = random.below(characters.len());
                characters[at] = char::from(random.next() as u8);
                parts[place] = characters.into_iter().collect();
            }
            _ => parts[place].insert(0, '-'),
        }
        if parts.is_empty() {
            break;
        }
    }
    parts.concat()
}

/// Loads `text`; what is wrong with how that went.
fn complaint(text: &str) -> Option<String> {
    let start = Instant::now();
    let load = || Module::load(text, &Description::default(), &mut Memory::new(MEMORY_BYTES));
    let Ok(loaded) = catch_unwind(AssertUnwindSafe(load)) else {
        return Some("a panic".into());
    };
    if start.elapsed() > LONGEST {
        return Some(format!("{:?} to load", start.elapsed()));
    }
    let reports = match &loaded {
        Ok(module) => (0..module.kernels().len()).filter_map(|kernel| module.unsupported(kernel)).collect(),
        Err(report) => vec![report],
    };
    reports.into_iter().find_map(|report| {
        let lines = text.lines().count() as u32 + 1;
        let placed = report.ptx_line.is_none_or(|line| (1..=lines).contains(&line));
        let refusal = matches!(report.class, Class::UnsupportedPtx | Class::InvalidPtx);
        let clear = refusal && !report.message.is_empty() && placed;
        (!clear).then(|| format!("the report {report:?}"))
    })
}

#[test]
fn damaged_modules_are_refused_without_harm() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let mut random = Random(20_251_123);
    let mut complaints = Vec::new();
    for module in MODULES {
        complaints.extend(complaint(module).map(|complaint| (complaint, module.to_owned())));
        for _ in 0..CASES {
            let text = damaged(module, &mut random);
            complaints.extend(complaint(&text).map(|complaint| (complaint, text)));
        }
    }
    std::panic::set_hook(hook);
    if let Some((complaint, text)) = complaints.first() {
        panic!("{} of the texts do harm; the first: {complaint} for\n{text}", complaints.len());
    }
}
