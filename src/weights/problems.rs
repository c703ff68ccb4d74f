//! What is wrong with a checkpoint, all of it at once.

use std::fmt::Write as _;

use safetensors::Dtype;

/// Tensors that one line names before it counts the rest.
const SHOWN: usize = 6;

/// One tensor that is not as the config wants it. Names are those of the file.
#[derive(Clone, Debug, PartialEq)]
pub enum Problem {
    Missing {
        name: String,
        wanted: Vec<usize>,
    },
    Misshapen {
        name: String,
        found: Vec<usize>,
        wanted: Vec<usize>,
    },
    /// Neither F32, BF16 nor F16.
    Type {
        name: String,
        found: Dtype,
    },
    Unexpected {
        name: String,
        found: Vec<usize>,
    },
    /// Elements that fp16 cannot hold.
    Value {
        name: String,
        reason: String,
    },
}

impl Problem {
    /// What a list of such problems begins with, and the problem in it.
    fn described(&self) -> (&'static str, String) {
        match self {
            Problem::Missing { name, wanted } => ("missing", format!("{name} {wanted:?}")),
            Problem::Misshapen { name, found, wanted } => {
                ("of another shape", format!("{name} is {found:?}, wanted {wanted:?}"))
            }
            Problem::Type { name, found } => ("of a type other than F32, BF16 and F16", format!("{name} is {found:?}")),
            Problem::Unexpected { name, found } => ("unexpected", format!("{name} {found:?}")),
            Problem::Value { name, reason } => ("unusable in fp16", format!("{name} {reason}")),
        }
    }
}

/// The problems as indented lines, one a kind, which names the first few and counts the others.
pub fn listed(problems: &[Problem]) -> String {
    let mut text = String::new();
    let mut kinds: Vec<&str> = Vec::new();
    for problem in problems {
        let (kind, _) = problem.described();
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    for kind in kinds {
        let of_kind: Vec<String> =
            problems.iter().map(Problem::described).filter(|(other, _)| *other == kind).map(|(_, text)| text).collect();
        let more = of_kind.len().saturating_sub(SHOWN);
        let shown = of_kind[..of_kind.len() - more].join("; ");
        write!(text, "\n  {} {kind}: {shown}", of_kind.len()).expect("a string takes all");
        if more > 0 {
            write!(text, "; and {more} more").expect("a string takes all");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_counted_and_cut() {
        let missing = |index| Problem::Missing { name: format!("m{index}"), wanted: vec![2, 3] };
        let mut problems: Vec<Problem> = (0..100).map(missing).collect();
        problems.push(Problem::Unexpected { name: "u".into(), found: vec![1] });
        let text = listed(&problems);
        assert!(text.starts_with("\n  100 missing: m0 [2, 3]; m1 [2, 3]"), "{text}");
        assert!(text.ends_with("; and 94 more\n  1 unexpected: u [1]"), "{text}");
    }
}
