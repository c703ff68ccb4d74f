//! Registers of a thread, from the assembler's report.

use std::collections::HashMap;

/// Registers of a thread by kernel. PTX itself does not say; but a program may append, as comments, what the assembler
/// said of the same source (`--ptxas-options=-v`): `// ptxas info : Compiling entry function 'k' for 'sm_80'`, and for
/// the function named last `// ptxas info : Used 40 registers, ...`.
pub fn reported_registers(ptx: &str) -> HashMap<String, u32> {
    let mut registers = HashMap::new();
    let mut kernel = None;
    for line in ptx.lines().filter_map(|line| line.trim_start().strip_prefix("//")) {
        if let Some((_, rest)) = line.split_once("Compiling entry function '") {
            kernel = rest.split('\'').next();
        } else if let Some((_, rest)) = line.split_once("Used ") {
            let count = rest.split_once(" registers").and_then(|(count, _)| count.trim().parse().ok());
            if let Some((kernel, count)) = kernel.zip(count) {
                registers.insert(kernel.to_owned(), count);
            }
        }
    }
    registers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_assemblers_report_travels_in_comments() {
        let text = "// ptxas info    : Compiling entry function 'first' for 'sm_80'\n\
                    // ptxas info    : Used 40 registers, used 1 barriers, 400 bytes cmem[0]\n\
                    .version 8.8\n// Used 7 registers\n\
                    // ptxas info    : Compiling entry function 'second' for 'sm_80'\n";
        let expected = HashMap::from([("first".to_owned(), 7)]);
        assert_eq!(reported_registers(text), expected, "the last word on a kernel counts");
    }
}
