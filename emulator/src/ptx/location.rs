//! The line of the CUDA source that a line of PTX was compiled from.

/// File and line of the CUDA source behind line `line` of the PTX, which names them where it was compiled with
/// `-lineinfo`. Of inlined code the line in the inlined function.
pub fn source(ptx: &str, line: u32) -> Option<(String, u32)> {
    let mut last = None;
    for text in ptx.lines().take(line as usize).map(str::trim_start) {
        if let Some(rest) = text.strip_prefix(".loc") {
            let mut numbers = rest.split_whitespace();
            last = numbers.next().zip(numbers.next());
        } else if [".visible", ".entry", ".func", ".weak"].iter().any(|start| text.starts_with(start)) {
            last = None;
        }
    }
    let (index, line) = last?;
    let file = ptx.lines().find_map(|text| {
        let rest = text.trim_start().strip_prefix(".file")?.trim_start().strip_prefix(index)?;
        rest.trim_start().strip_prefix('"')?.split('"').next()
    });
    Some((file?.to_owned(), line.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PTX: &str = "\
.visible .entry first()
{
.loc 1 3 5
add.s32 %r1, %r2, %r3;
sub.s32 %r1, %r2, %r3;
.loc 12 7 9, function_name $L__info_string0, inlined_at 1 4 2
mul.lo.s32 %r1, %r2, %r3;
}
.visible .entry second()
{
ret;
}
.file 1 \"a.cu\"
.file 12 \"b.h\", 0, 0
";

    #[test]
    fn the_source_is_that_of_the_last_directive_of_the_function() {
        assert_eq!(source(PTX, 4), Some(("a.cu".into(), 3)));
        assert_eq!(source(PTX, 5), Some(("a.cu".into(), 3)));
        assert_eq!(source(PTX, 7), Some(("b.h".into(), 7)));
        assert_eq!(source(PTX, 11), None);
    }
}
