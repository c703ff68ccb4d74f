//! Calls that cannot be inlined: recursion, functions in memory, virtual functions.

use crate::harness::{Argument, HEADER, Shape, fill, launch, module};

/// The definitions of the kernel in `virtual_calls.cu`.
mod definition {
    pub fn fibonacci(n: i32) -> i32 {
        if n < 2 { n } else { fibonacci(n - 1) + fibonacci(n - 2) }
    }

    pub fn depth_sum(n: i32, mask: i32) -> i32 {
        if n == 0 {
            return mask & 1;
        }
        let left = if mask >> n & 1 == 1 { i32::from(n % 2 == 0) } else { depth_sum(n - 1, mask.wrapping_mul(3)) };
        2 * left + depth_sum(n - 1, mask + n) + n
    }

    pub fn accumulate(mut values: [i32; 10], scale: f64, n: i32) -> ([i32; 10], f64) {
        if n == 0 {
            return (values, scale);
        }
        values[n as usize % 10] += n;
        let (mut inner, scale) = accumulate(values, scale * 1.5, n - 1);
        inner[0] += values[1];
        (inner, scale)
    }

    fn apply(operation: &str, a: i32, b: i32) -> i32 {
        match operation {
            "add" => a + b,
            "subtract" => a - b,
            _ => a * b,
        }
    }

    pub fn results(t: i32, which: i32) -> [i32; 7] {
        let circle = |radius: i32| 3 * radius * radius - t;
        let area = match (t + which) % 3 {
            0 => (t + 1) * (t + 1) * t + t,
            1 => circle(t + 2),
            _ => 4 * circle(t + 3),
        };
        let constant = ["add", "subtract", "multiply"][((t * 7 + which) % 3) as usize];
        let device = ["multiply", "add"][(t & 1) as usize];
        let (values, scale) = accumulate([0; 10], 1.0, t % 12);
        [
            area,
            apply(constant, t, which) + apply(device, t, 2),
            apply(if which != 0 { "subtract" } else { "add" }, 10, t),
            fibonacci(t % 13),
            i32::from(t % 9 % 2 == 0) + 2 * i32::from(t % 5 % 2 == 1),
            depth_sum(t % 6, t),
            values[0] + 100 * values[3] + scale as i32,
        ]
    }
}

#[test]
fn compiled_virtual_functions_pointers_and_recursion() {
    const THREADS: usize = 96;
    for (which, seed) in [(0, 0), (1, 0), (1, 7), (0, 12345)] {
        let mut out = vec![0; 8 * THREADS];
        let unsorted = |i: u32| i.wrapping_mul(2_654_435_761) >> 20;
        let mut data: Vec<u32> = (0..16 * THREADS as u32).map(unsorted).collect();
        let arguments = &mut [Argument::Buffer(&mut out), Argument::Buffer(&mut data), Argument::U32(which)];
        let shape = Shape::line(1, THREADS as u32).order(1, seed);
        launch(include_str!("../ptx/virtual_calls.ptx"), shape, arguments).unwrap_or_else(|report| panic!("{report}"));
        for (t, found) in out.as_chunks::<8>().0.iter().enumerate() {
            let expected = definition::results(t as i32, which as i32).map(|value| value as u32);
            assert_eq!(found[..7], expected, "thread {t}, which {which}, seed {seed}");
            let mut row: Vec<u32> = (16 * t as u32..16 * t as u32 + 16).map(unsorted).collect();
            row.sort_unstable();
            assert_eq!(data[16 * t..16 * t + 16], row, "sorted by thread {t}");
        }
    }
}

/// A kernel that calls `%target` with its thread number, after `prologue`.
fn pointer_call(functions: &str, prologue: &str) -> String {
    let kernel = module(
        &["out"],
        &format!(
            "\t.reg .b64 %base, %offset, %target;\n\t.reg .b32 %thread, %r;\n\t.reg .pred %p;
	mov.u32 %thread, %tid.x;\n{prologue}
	{{ .param .b32 a; .param .b32 d; st.param.b32 [a], %thread;
	prototype: .callprototype (.param .b32 _) _ (.param .b32 _);
	call (d), %target, (a), prototype; ld.param.b32 %r, [d]; }}
	ld.param.u64 %base, [out];\n	mul.wide.u32 %offset, %thread, 4;\n	add.s64 %base, %base, %offset;
	st.global.b32 [%base], %r;"
        ),
    );
    kernel.replacen(HEADER, &format!("{HEADER}{functions}"), 1)
}

/// `name(x) = x * factor`.
fn scale(name: &str, factor: u32) -> String {
    format!(
        ".func (.param .b32 d) {name} (.param .b32 a) {{ .reg .b32 %x; ld.param.b32 %x, [a];
	mul.lo.u32 %x, %x, {factor}; st.param.b32 [d], %x; ret; }}\n"
    )
}

#[test]
fn addresses_of_functions_are_values() {
    let functions = [scale("twice", 2), scale("thrice", 3), ".alias other, thrice;\n".into()].concat();
    let ptx = pointer_call(
        &functions,
        "\tand.b32 %r, %thread, 4;\n\tsetp.eq.u32 %p, %r, 0;\n\tmov.u64 %target, twice;\n\t@%p mov.u64 %target, other;",
    );
    for (thread, found) in fill(&ptx, Shape::line(1, 64), 64).into_iter().enumerate() {
        assert_eq!(found, thread as u32 * if thread & 4 == 0 { 3 } else { 2 });
    }
}

#[test]
fn wrong_pointers_are_faults() {
    let other = ".func wide (.param .b64 a, .param .b64 b) { ret; }\n";
    for (prologue, message) in [
        ("mov.u64 %target, 0;", "call through the null pointer"),
        ("mov.u64 %target, 4660;", "call through 0x1234, which points to no function"),
        ("mov.u64 %target, wide;", "which points to no function with the call's parameters"),
        ("mov.u64 %target, twice; add.u64 %target, %target, 1;", "which points to no function"),
    ] {
        let mut out = vec![0; 32];
        let ptx = pointer_call(&[&scale("twice", 2), other].concat(), prologue);
        let report = launch(&ptx, Shape::line(1, 32), &mut [Argument::Buffer(&mut out)]).unwrap_err();
        assert!(report.message.contains(message), "{report}");
        assert!(report.instruction.as_ref().is_some_and(|text| text.starts_with("call")), "{report}");
    }
}

#[test]
fn call_targets_may_be_listed() {
    let functions = [scale("twice", 2), scale("thrice", 3)].concat();
    let ptx = pointer_call(&functions, "\tmov.u64 %target, thrice;").replace(
        "prototype: .callprototype (.param .b32 _) _ (.param .b32 _);",
        "prototype: .calltargets twice, thrice;",
    );
    for (thread, found) in fill(&ptx, Shape::line(1, 32), 32).into_iter().enumerate() {
        assert_eq!(found, thread as u32 * 3);
    }
}

/// `f(n)` has a local array, an early return by half of the lanes, and a barrier of the warp in its middle.
#[test]
fn lanes_diverge_in_recursion_and_meet_again() {
    let function = ".visible .func (.reg .b32 d) f (.reg .b32 n)
{ .reg .pred %p; .reg .b32 %x, %m; .local .b32 kept;
	mov.b32 d, 1; setp.eq.u32 %p, n, 0; @%p ret;
	st.local.b32 [kept], n; activemask.b32 %m; bar.warp.sync %m;
	sub.u32 %x, n, 1; call (%x), f, (%x);
	ld.local.b32 %m, [kept]; mul.lo.u32 %m, %m, 3; add.u32 d, %x, %m; ret; }
";
    let kernel = module(
        &["out"],
        "\t.reg .b64 %base, %offset;\n\t.reg .b32 %thread, %r, %m;
	mov.u32 %thread, %tid.x;\n	and.b32 %r, %thread, 7;\n	call (%r), f, (%r);
	activemask.b32 %m;\n	popc.b32 %m, %m;\n	mad.lo.u32 %r, %m, 1000, %r;
	ld.param.u64 %base, [out];\n	mul.wide.u32 %offset, %thread, 4;\n	add.s64 %base, %base, %offset;
	st.global.b32 [%base], %r;",
    );
    let ptx = kernel.replacen(HEADER, &format!("{HEADER}{function}"), 1);
    for seed in 0..4 {
        for (thread, found) in fill(&ptx, Shape::line(1, 64).order(1, seed), 64).into_iter().enumerate() {
            let n = thread as u32 % 8;
            assert_eq!(found, 32_000 + 1 + 3 * n * (n + 1) / 2, "thread {thread}, seed {seed}");
        }
    }
}

#[test]
fn endless_recursion_overflows_the_stack() {
    let function = ".func f () { .local .b8 room[100]; .reg .b32 %x; st.local.b8 [room+9], 1; call f; ld.local.u8 %x, [room+9]; ret; }\n";
    let ptx = module(&["out"], "\tcall f;").replacen(HEADER, &format!("{HEADER}{function}"), 1);
    let report = launch(&ptx, Shape::line(1, 32), &mut [Argument::Buffer(&mut [0])]).unwrap_err();
    assert!(report.message.contains("stack overflow: the call of f"), "{report}");
}
