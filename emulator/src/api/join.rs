//! Several PTX texts as one, as the linker joins them.
//!
//! What is visible in one text is meant by the others that declare it. What is internal is each text's own and gets a
//! name of its own. Of a weak function that several texts define, as they do with templates, one is kept.

use std::collections::{BTreeMap, BTreeSet};

use super::driver::failed_with;
use super::error::{CUresult, Result, refused};
use crate::ptx;
use crate::ptx::ast::{Linking, Module};

/// More than the source files of a text.
const FILES: usize = 100_000;

/// One text of several: the header that asks for most, then the bodies.
pub fn join(texts: &[String]) -> Result<String> {
    if let [text] = texts {
        return Ok(text.clone());
    }
    let modules: Vec<Module> =
        texts.iter().map(|text| ptx::parse(text)).collect::<std::result::Result<_, _>>().map_err(refusal)?;
    let keepers = keepers(&modules)?;
    let mut joined = newest_header(texts);
    for (index, (text, module)) in texts.iter().zip(&modules).enumerate() {
        let text = without_doubles(text, module, index, &keepers);
        let text = with_own_names(&text, module, index, &modules);
        joined += &with_own_files(&body(&text), index);
        joined.push('\n');
    }
    Ok(joined)
}

fn refusal(report: crate::report::Report) -> super::error::Failure {
    failed_with(CUresult::INVALID_PTX)(report)
}

/// For each function that is defined for all texts, the one whose definition is kept: the strong one, or the first.
fn keepers(modules: &[Module]) -> Result<BTreeMap<&str, usize>> {
    let mut strong = BTreeMap::new();
    let mut weak = BTreeMap::new();
    for (index, module) in modules.iter().enumerate() {
        let functions = module.functions.iter().filter(|function| function.body.is_some());
        let functions = functions.map(|function| (function.linking, function.name.as_str()));
        let variables = module.variables.iter().map(|variable| (variable.linking, variable.name.as_str()));
        for (linking, name) in functions.chain(variables) {
            match linking {
                Linking::Internal | Linking::Extern => {}
                Linking::Weak | Linking::Common => {
                    weak.entry(name).or_insert(index);
                }
                Linking::Visible if strong.insert(name, index).is_some() => {
                    let message = format!("{name} is defined in more than one of the linked texts");
                    return refused(CUresult::INVALID_PTX, message);
                }
                Linking::Visible => {}
            }
        }
    }
    weak.extend(strong);
    Ok(weak)
}

/// The text with a name that nobody uses for each function whose definition in another text is kept.
fn without_doubles(text: &str, module: &Module, index: usize, keepers: &BTreeMap<&str, usize>) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let is_double = |name: &str| keepers.get(name).is_some_and(|&keeper| keeper != index);
    let defined = module.functions.iter().filter(|function| function.body.is_some());
    for function in defined.filter(|function| function.linking != Linking::Internal && is_double(&function.name)) {
        let new = own_name(&function.name, index);
        // The name is the first word of its kind after the directive, maybe on a later line.
        for line in lines.iter_mut().skip(function.line.saturating_sub(1) as usize) {
            let renamed = rename(line, &|word| (word == function.name).then(|| new.clone()));
            if renamed != *line {
                *line = renamed;
                break;
            }
        }
    }
    lines.join("\n")
}

/// The text with other names for what is internal in it, where another text has something of that name.
fn with_own_names(text: &str, module: &Module, index: usize, modules: &[Module]) -> String {
    let elsewhere: BTreeSet<&str> =
        modules.iter().enumerate().filter(|(other, _)| *other != index).flat_map(|(_, module)| names(module)).collect();
    let functions = module.functions.iter().map(|function| (function.linking, function.name.as_str()));
    let variables = module.variables.iter().map(|variable| (variable.linking, variable.name.as_str()));
    let internal = functions.chain(variables).filter(|(linking, _)| *linking == Linking::Internal);
    let clashing: BTreeSet<&str> = internal.map(|(_, name)| name).filter(|name| elsewhere.contains(name)).collect();
    rename(text, &|word| clashing.contains(word).then(|| own_name(word, index)))
}

/// The text with other numbers for its source files, which every text counts from 1.
fn with_own_files(text: &str, index: usize) -> String {
    let renumbered = |line: &str, before: &str| {
        let (start, rest) = line.split_once(before)?;
        let number = rest.split_whitespace().next()?;
        let own = number.parse::<usize>().ok()? + index * FILES;
        Some(format!("{start}{before}{}", rest.replacen(number, &own.to_string(), 1)))
    };
    let lines = text.lines().map(|line| match line.trim_start() {
        directive if directive.starts_with(".file") => renumbered(line, ".file").unwrap_or(line.to_owned()),
        directive if directive.starts_with(".loc") => {
            let line = renumbered(line, ".loc").unwrap_or(line.to_owned());
            renumbered(&line, "inlined_at").unwrap_or(line)
        }
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The names of everything outside of functions.
fn names(module: &Module) -> impl Iterator<Item = &str> {
    let functions = module.functions.iter().map(|function| function.name.as_str());
    functions.chain(module.variables.iter().map(|variable| variable.name.as_str()))
}

fn own_name(name: &str, index: usize) -> String {
    format!("{name}$of_text_{index}")
}

/// The text with other words, where `new` gives one. Directives, suffixes and strings hold no names.
fn rename(text: &str, new: &dyn Fn(&str) -> Option<String>) -> String {
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '$' | '%');
    let (mut renamed, mut rest, mut before) = (String::with_capacity(text.len()), text, ' ');
    while let Some(letter) = rest.chars().next() {
        let end = match letter {
            '"' => rest[1..].find('"').map_or(rest.len(), |end| end + 2),
            _ if is_word(letter) => rest.find(|letter| !is_word(letter)).unwrap_or(rest.len()),
            _ => letter.len_utf8(),
        };
        let (word, after) = rest.split_at(end);
        let replacement = if is_word(letter) && before != '.' { new(word) } else { None };
        renamed += replacement.as_deref().unwrap_or(word);
        before = word.chars().last().unwrap_or(' ');
        rest = after;
    }
    renamed
}

/// The directives that every text begins with.
const HEADER: [&str; 3] = [".version", ".target", ".address_size"];

/// The newest version of the texts, and the target that asks for most.
fn newest_header(texts: &[String]) -> String {
    let mut headers: Vec<[String; 3]> = texts.iter().map(|text| header(text)).collect();
    headers.sort_by_key(|[version, target, _]| (numbers(target), numbers(version)));
    let newest = headers.iter().map(|[version, ..]| version).max_by_key(|version| numbers(version)).cloned();
    let [_, target, size] = headers.pop().unwrap_or_default();
    format!("{}\n{target}\n{size}\n", newest.unwrap_or_default())
}

fn header(text: &str) -> [String; 3] {
    HEADER.map(|directive| {
        let line = text.lines().find(|line| line.trim_start().starts_with(directive));
        line.map_or(String::new(), |line| line.trim().to_owned())
    })
}

fn body(text: &str) -> String {
    let lines = text.lines().filter(|line| !HEADER.iter().any(|directive| line.trim_start().starts_with(directive)));
    lines.collect::<Vec<_>>().join("\n")
}

/// The numbers in a line, to compare versions by.
fn numbers(line: &str) -> Vec<u32> {
    line.split(|letter: char| !letter.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(body: &str) -> String {
        format!(".version 8.0\n.target sm_80\n.address_size 64\n{body}\n")
    }

    #[test]
    fn words_are_renamed_and_nothing_else() {
        let new = |word: &str| (word == "a").then(|| "b".to_owned());
        assert_eq!(rename("a, [a+4], %a, a.a, .a, \"a\", aa, $a", &new), "b, [b+4], %a, b.a, .a, \"a\", aa, $a");
    }

    #[test]
    fn source_files_stay_apart() {
        let text = ".loc 1 7 1\n    .loc\t2 8 1, function_name f, inlined_at 1 3 4\n.file 1 \"a.cu\"\n.local .b8 x;";
        assert_eq!(with_own_files(text, 0), text);
        let own = ".loc 100001 7 1\n    .loc\t100002 8 1, function_name f, inlined_at 100001 3 4\n\
                   .file 100001 \"a.cu\"\n.local .b8 x;";
        assert_eq!(with_own_files(text, 1), own);
    }

    #[test]
    fn internal_names_stay_apart() {
        let [one, two] = ["1", "2"].map(|value| text(&format!(".global .u32 own = {value};\n.global .u64 at = own;")));
        let module = ptx::parse(&join(&[one, two]).unwrap()).unwrap();
        let names: BTreeSet<&str> = module.variables.iter().map(|variable| variable.name.as_str()).collect();
        assert_eq!(Vec::from_iter(names), ["at$of_text_0", "at$of_text_1", "own$of_text_0", "own$of_text_1"]);
    }

    #[test]
    fn one_of_the_weak_functions_is_kept_and_two_strong_ones_are_refused() {
        let of = |linking: &str| text(&format!("{linking} .func f();\n{linking} .func f()\n{{\n    ret;\n}}"));
        let kept = |linkings: [&str; 2]| -> Option<Vec<Linking>> {
            let module = ptx::parse(&join(&linkings.map(of)).ok()?).unwrap();
            let kept = module.functions.iter().filter(|function| function.body.is_some() && function.name == "f");
            Some(kept.map(|function| function.linking).collect())
        };
        assert_eq!(kept([".weak", ".weak"]), Some(vec![Linking::Weak]));
        assert_eq!(kept([".weak", ".visible"]), Some(vec![Linking::Visible]));
        assert_eq!(kept([".visible", ".weak"]), Some(vec![Linking::Visible]));
        assert_eq!(kept([".visible", ".visible"]), None);
    }
}
