//! Nothing depends on names, order or comments: PTX in which every kernel, parameter, variable, register and label is
//! called otherwise, and whose functions stand in the opposite order, gives the same bits and the same figures.

use std::collections::BTreeMap;

use crate::harness::{Build, Program, line, on_ptx};
use crate::support::Random;

/// The functions of a module, what precedes them, and nothing behind.
fn parts(ptx: &str) -> (Vec<&str>, Vec<String>) {
    let (mut head, mut functions) = (Vec::new(), Vec::new());
    let mut function: Option<String> = None;
    let mut depth = 0;
    for line in ptx.trim_end_matches('\0').lines() {
        if let Some(text) = &mut function {
            text.push_str(line);
            text.push('\n');
            let count = |brace| line.matches(brace).count();
            depth += count('{');
            depth -= count('}');
            if depth == 0 && count('}') > 0 {
                functions.extend(function.take());
            }
        } else if [".entry", ".func"].iter().any(|word| line.starts_with('.') && line.contains(word)) {
            function = Some(format!("{line}\n"));
        } else if !line.starts_with("//") {
            head.push(line);
        }
    }
    (head, functions)
}

/// Calls every identifier of the text by what `name` makes of it.
fn renamed(text: &str, name: impl Fn(&str) -> Option<String>) -> String {
    let inside = |c: char| c.is_ascii_alphanumeric() || "_$%".contains(c);
    let mut result = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c| !inside(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        // What follows a dot is part of an instruction's or a special register's name.
        let dotted = result.ends_with('.');
        result.push_str(&if dotted { None } else { name(word) }.unwrap_or_else(|| word.to_owned()));
        let mut others = after.char_indices();
        let next = others.find(|(_, c)| inside(*c)).map_or(after.len(), |(index, _)| index);
        let (between, following) = after.split_at(next);
        result.push_str(between);
        rest = following;
    }
    result
}

/// A module that says the same in other words, and what its kernels are called.
fn disguised(ptx: &str) -> (String, BTreeMap<String, String>) {
    let (head, mut functions) = parts(ptx);
    let after_entry = |text: &String| Some(text.split_once(".entry ")?.1.split(['(', '\n']).next()?.trim().to_owned());
    let kernels: BTreeMap<String, String> =
        functions.iter().filter_map(after_entry).enumerate().map(|(i, name)| (name, format!("q{i}_wx"))).collect();
    let registers = ["%rd", "%rs", "%r", "%p", "%fd", "%f", "%h"];
    let name = |word: &str| {
        let is_register =
            |prefix: &&str| word.strip_prefix(*prefix).is_some_and(|number| number.chars().all(|c| c.is_ascii_digit()));
        if let Some(kernel) = kernels.get(word) {
            return Some(kernel.clone());
        }
        if let Some((kernel, number)) = word.split_once("_param_") {
            return kernels.get(kernel).map(|kernel| format!("$of_{kernel}${number}x"));
        }
        if let Some(prefix) = registers.iter().find(|prefix| is_register(prefix)) {
            return Some(format!("%z{}_{}", &prefix[1..], &word[prefix.len()..]));
        }
        if let Some(label) = word.strip_prefix("$L__") {
            return Some(format!("There_{label}"));
        }
        // Variables inside kernels are mangled.
        word.strip_prefix("_ZZ").map(|rest| format!("moved_{rest}"))
    };
    functions.reverse();
    let text = format!("{}\n// Other words.\n{}", head.join("\n"), functions.join("\n\n// Next.\n\t \n"));
    (renamed(&text, name) + "\0", kernels)
}

/// Runs a kernel under the name that it has in the program, for bits and figures.
type Run = fn(&Program, &dyn Fn(&str) -> String) -> Vec<u32>;

fn check(file: &'static str, kernels: &[&str], run: Run) {
    for build in Build::all().filter(Build::is_optimised) {
        let original = build.ptx(file);
        let (disguise, names) = disguised(std::str::from_utf8(&original).expect("PTX is ASCII"));
        let other = |name: &str| names[name].clone();
        let results = [(&original[..], None), (disguise.as_bytes(), Some(other))].map(|(ptx, other)| {
            let name = |kernel: &str| other.as_ref().map_or(kernel.to_owned(), |other| other(kernel));
            on_ptx(build, ptx, |program| {
                let figures: Vec<Vec<i32>> = kernels.iter().map(|kernel| program.attributes(&name(kernel))).collect();
                (figures, run(program, &name))
            })
        });
        assert!(!original.starts_with(disguise.as_bytes()) && names.len() >= kernels.len(), "it is another text");
        assert_eq!(results[0], results[1], "{file} in {build}");
    }
}

fn numbers(count: usize) -> Vec<u32> {
    let mut random = Random::new(1);
    (0..count).map(|_| random.next() as u32).collect()
}

#[test]
fn integers_under_other_names() {
    check("sorting.cu", &["radix_pass", "bitonic_shared", "quicksort_rows"], |program, name| {
        let keys = program.upload(&numbers(1024));
        let values = program.upload(&numbers(1024));
        program.launch(&name("bitonic_shared"), line(2, 256), &[&keys, &values]);
        let sorted = program.room::<u32>(1024);
        program.launch(&name("radix_pass"), line(1, 256), &[&values, &sorted, &8]);
        program.launch(&name("quicksort_rows"), line(1, 16), &[&values, &32]);
        [keys.read(), values.read(), sorted.read()].concat()
    });
}

#[test]
fn floats_under_other_names() {
    check("mathematics.cu", &["functions_f32", "special_values"], |program, name| {
        let input: Vec<f32> = numbers(64).iter().map(|&x| (x as f32 - 2e9) / 1e8).collect();
        let output = program.room::<u32>(64 * 32);
        program.launch(&name("functions_f32"), line(1, 64), &[&program.upload(&input), &output, &64]);
        output.read()
    });
}

#[test]
fn control_flow_under_other_names() {
    check("warps.cu", &["nested", "leaving", "tiles"], |program, name| {
        let input = program.upload(&numbers(96).iter().map(|x| x % 100).collect::<Vec<_>>());
        let (output, rounds) = (program.room::<u32>(96), program.room::<u32>(4));
        program.launch(&name("nested"), line(1, 96), &[&input, &output]);
        program.launch(&name("leaving"), line(1, 128), &[&rounds]);
        let tiles = program.room::<u32>(64);
        program.launch(&name("tiles"), line(1, 64), &[&input, &tiles]);
        [output.read(), rounds.read(), tiles.read()].concat()
    });
}
