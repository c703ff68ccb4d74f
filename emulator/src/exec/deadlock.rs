//! What a report of a block that cannot go on says: where each of its warps stands.

use super::barrier::Barriers;
use super::grid::Grid;
use super::warp::{State, Warp};
use crate::isa::Op;
use std::collections::BTreeMap;

/// The lines of the report: one for each distinct place, with the warps and the number of threads that stand there.
pub(super) fn standings(grid: &Grid, warps: &[Warp], barriers: &Barriers) -> String {
    let mut places: BTreeMap<(u32, String), (Vec<usize>, u32)> = BTreeMap::new();
    let mut note = |position: u32, waits: String, number: usize, lanes: u32| {
        let (warps, threads) = places.entry((position, waits)).or_default();
        if warps.last() != Some(&number) {
            warps.push(number);
        }
        *threads += lanes.count_ones();
    };
    for (number, warp) in warps.iter().enumerate() {
        for fragment in &warp.fragments {
            note(
                fragment.position,
                waits_for(grid, fragment.position, fragment.state, warps, barriers),
                number,
                fragment.mask,
            );
        }
        for (position, lanes) in warp.waiting_at_joins() {
            note(position, "for lanes that they parted from to meet them here".into(), number, lanes);
        }
    }
    let mut text = String::new();
    for ((position, waits), (numbers, threads)) in places {
        let line = grid.program.code[position as usize].line;
        let instruction = crate::lower::source_line(grid.text, line).unwrap_or_default();
        text +=
            &format!("\n  {}, {threads} threads, PTX line {line}: {instruction}\n    wait {waits}", ranges(&numbers));
    }
    text
}

fn waits_for(grid: &Grid, position: u32, state: State, warps: &[Warp], barriers: &Barriers) -> String {
    match state {
        State::Runnable => "for nothing: they can go on".into(),
        State::AtBarrier { id, .. } => {
            let (arrived, expected) = barriers.standing(id, warps);
            format!("at barrier {id}, where {arrived} of {expected} threads have arrived")
        }
        State::AtMeeting => match grid.program.code[position as usize].op {
            Op::Barrier { .. } => "for the other lanes of their warp to reach the same barrier".into(),
            _ => "for the other lanes that the instruction names".into(),
        },
    }
}

/// `warps 0-3, 7`
fn ranges(numbers: &[usize]) -> String {
    let mut parts: Vec<(usize, usize)> = Vec::new();
    for &number in numbers {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => parts.push((number, number)),
        }
    }
    let parts: Vec<String> = parts
        .into_iter()
        .map(|(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") })
        .collect();
    format!("{} {}", if numbers.len() == 1 { "warp" } else { "warps" }, parts.join(", "))
}
