//! What the emulator executes, as a list: the instructions of PTX by family, each with examples that the tests lower.
//! The table of the README is printed from it (`cuda-emulator operations`).

/// Instructions that belong together.
pub struct Family {
    pub name: &'static str,
    pub forms: &'static [Form],
}

/// Instructions of one form.
pub struct Form {
    /// The opcodes, as PTX writes them.
    pub opcodes: &'static [&'static str],
    /// Types and modifiers, in words.
    pub covers: &'static str,
    /// One instruction for each noteworthy spelling, on the registers that the test declares.
    pub examples: &'static [&'static str],
}

const fn form(opcodes: &'static [&'static str], covers: &'static str, examples: &'static [&'static str]) -> Form {
    Form { opcodes, covers, examples }
}

/// Everything that is executed, by family.
pub const FAMILIES: &[Family] = &[
    Family { name: "Integers", forms: INTEGERS },
    Family { name: "Bits", forms: BITS },
    Family { name: "Floating point", forms: FLOATS },
    Family { name: "Comparison and choice", forms: COMPARISONS },
    Family { name: "Moves and conversions", forms: CONVERSIONS },
    Family { name: "Memory", forms: MEMORY },
    Family { name: "Warps and barriers", forms: WARPS },
    Family { name: "Matrices", forms: MATRICES },
    Family { name: "Control", forms: CONTROL },
];

const INTEGERS: &[Form] = &[
    form(
        &["add", "sub"],
        "16, 32, 64 bits; `.sat`; `.u16x2`/`.s16x2`; with carry (`.cc`)",
        &[
            "add.s32 %r1, %r2, %r3;",
            "sub.sat.s32 %r1, %r2, %r3;",
            "add.u16x2 %r1, %r2, %r3;",
            "add.cc.u64 %d1, %d2, %d3;",
        ],
    ),
    form(&["addc", "subc"], "32, 64 bits; `.cc`", &["addc.cc.u32 %r1, %r2, %r3;", "subc.u64 %d1, %d2, %d3;"]),
    form(
        &["mul", "mad", "mul24", "mad24", "madc"],
        "`.lo`, `.hi`, `.wide`, `.sat`; with carry",
        &[
            "mul.wide.s16 %r1, %h1, %h2;",
            "mad.hi.u64 %d1, %d2, %d3, %d4;",
            "mad24.lo.s32 %r1, %r2, %r3, %r4;",
            "madc.lo.u32 %r1, %r2, %r3, %r4;",
        ],
    ),
    form(
        &["div", "rem", "min", "max", "abs", "neg", "sad"],
        "16, 32, 64 bits; `min` and `max` of pairs, `.relu`",
        &[
            "div.s64 %d1, %d2, %d3;",
            "rem.u16 %h1, %h2, %h3;",
            "max.s16x2 %r1, %r2, %r3;",
            "abs.s32 %r1, %r2;",
            "sad.u32 %r1, %r2, %r3, %r4;",
        ],
    ),
    form(
        &["dp4a", "dp2a"],
        "all signs, `.lo`/`.hi`",
        &["dp4a.s32.u32 %r1, %r2, %r3, %r4;", "dp2a.lo.u32.s32 %r1, %r2, %r3, %r4;"],
    ),
    form(
        &["vadd", "vsub", "vavrg", "vabsdiff", "vmin", "vmax", "vset"],
        "the forms for two halves and four bytes (`vadd2`, `vset4`)",
        &["vadd2.u32.u32.u32 %r1, %r2, %r3, %r4;", "vabsdiff4.u32.u32.u32.add %r1, %r2, %r3, %r4;"],
    ),
];

const BITS: &[Form] = &[
    form(
        &["and", "or", "xor", "not", "cnot"],
        "16, 32, 64 bits, predicates",
        &["and.b64 %d1, %d2, %d3;", "xor.pred %p1, %p2, %p3;", "not.pred %p1, %p2;", "cnot.b32 %r1, %r2;"],
    ),
    form(&["lop3"], "any table; with a predicate", &["lop3.b32 %r1, %r2, %r3, %r4, 0x96;"]),
    form(
        &["shl", "shr", "shf"],
        "16, 32, 64 bits; `.clamp`, `.wrap`",
        &["shl.b64 %d1, %d2, %r1;", "shf.l.wrap.b32 %r1, %r2, %r3, %r4;"],
    ),
    form(
        &["bfe", "bfi", "bfind", "bmsk", "szext", "fns"],
        "32, 64 bits",
        &[
            "bfe.s32 %r1, %r2, %r3, %r4;",
            "bfi.b64 %d1, %d2, %d3, %r1, %r2;",
            "bfind.shiftamt.u32 %r1, %r2;",
            "bmsk.clamp.b32 %r1, %r2, %r3;",
            "szext.wrap.s32 %r1, %r2, %r3;",
            "fns.b32 %r1, %r2, %r3, %r4;",
        ],
    ),
    form(
        &["popc", "clz", "brev", "prmt"],
        "32, 64 bits; all modes",
        &["popc.b64 %r1, %d1;", "clz.b32 %r1, %r2;", "brev.b32 %r1, %r2;", "prmt.b32.f4e %r1, %r2, %r3, %r4;"],
    ),
];

const FLOATS: &[Form] = &[
    form(
        &["add", "sub", "mul", "fma", "mad"],
        "f16, f16x2, bf16, bf16x2, f32, f64; `.rn .rz .rm .rp`, `.ftz`, `.sat`, `.relu`",
        &[
            "add.rm.f64 %e1, %e2, %e3;",
            "mul.rz.ftz.f32 %f1, %f2, %f3;",
            "fma.rn.relu.bf16x2 %r1, %r2, %r3, %r4;",
            "fma.rp.sat.f32 %f1, %f2, %f3, %f4;",
            "sub.f16 %h1, %h2, %h3;",
        ],
    ),
    form(
        &["div", "rcp", "sqrt", "rsqrt"],
        "f32, f64; `.approx`, `.full`, all roundings",
        &[
            "div.full.f32 %f1, %f2, %f3;",
            "rcp.rz.f64 %e1, %e2;",
            "sqrt.rp.f32 %f1, %f2;",
            "rsqrt.approx.ftz.f64 %e1, %e2;",
        ],
    ),
    form(
        &["min", "max", "abs", "neg", "copysign"],
        "f16 to f64; `.NaN`, `.xorsign.abs`, three operands",
        &[
            "min.NaN.f16x2 %r1, %r2, %r3;",
            "max.xorsign.abs.f32 %f1, %f2, %f3;",
            "copysign.f64 %e1, %e2, %e3;",
            "neg.ftz.f32 %f1, %f2;",
        ],
    ),
    form(
        &["sin", "cos", "ex2", "lg2", "tanh"],
        "f32; `ex2` and `tanh` of f16 and bf16 too",
        &["sin.approx.f32 %f1, %f2;", "ex2.approx.f16x2 %r1, %r2;", "tanh.approx.bf16 %h1, %h2;"],
    ),
    form(&["testp"], "all classes", &["testp.subnormal.f64 %p1, %e1;"]),
];

const COMPARISONS: &[Form] = &[
    form(
        &["setp", "set"],
        "all types and relations, `.and .or .xor`, two results",
        &[
            "setp.lt.and.s64 %p1|%p2, %d1, %d2, !%p3;",
            "setp.gtu.f16x2 %p1|%p2, %r1, %r2;",
            "set.le.u32.f32 %r1, %f1, %f2;",
        ],
    ),
    form(&["selp", "slct"], "16, 32, 64 bits", &["selp.b64 %d1, %d2, %d3, %p1;", "slct.f32.s32 %f1, %f2, %f3, %r1;"]),
];

const CONVERSIONS: &[Form] = &[
    form(
        &["mov"],
        "registers, addresses, packing and unpacking",
        &["mov.b64 {%r1, %r2}, %d1;", "mov.b128 %q1, {%d1, %d2};", "mov.b32 %r1, {%h1, %h2};", "mov.u32 %r1, %tid.x;"],
    ),
    form(
        &["cvt"],
        "between all integers and f16, bf16, tf32, f32, f64, e4m3x2, e5m2x2; all roundings, `.sat`, `.ftz`, `.relu`, `.pack`",
        &[
            "cvt.rni.sat.u8.f32 %h1, %f1;",
            "cvt.rn.f16x2.f32 %r1, %f1, %f2;",
            "cvt.rna.tf32.f32 %r1, %f1;",
            "cvt.rn.satfinite.e4m3x2.f32 %h1, %f1, %f2;",
            "cvt.pack.sat.s8.s32.b32 %r1, %r2, %r3, %r4;",
        ],
    ),
    form(&["cvta", "isspacep"], "all state spaces", &["cvta.to.shared.u64 %d1, %d2;", "isspacep.global %p1, %d1;"]),
];

const MEMORY: &[Form] = &[
    form(
        &["ld", "ldu", "st"],
        "global, shared, local, constant, parameters, generic; 8 to 64 bits, `.v2 .v4 .v8`; volatile, relaxed, acquire, release; cache words",
        &[
            "ld.global.nc.L1::no_allocate.v4.f32 {%f1, %f2, %f3, %f4}, [%d1+16];",
            "st.release.gpu.global.u32 [%d1], %r1;",
            "ld.volatile.shared.u8 %h1, [%r1];",
        ],
    ),
    form(
        &["atom", "red"],
        "all operations of b16, u/s/b 32 and 64, f16, f16x2, bf16, bf16x2, f32, f64, vectors; `cas`, `exch` of b128; any order and scope",
        &[
            "atom.global.acq_rel.gpu.cas.b64 %d1, [%d2], %d3, %d4;",
            "red.shared.add.f32 [%r1], %f1;",
            "atom.global.add.noftz.f16x2 %r1, [%d1], %r2;",
            "atom.inc.u32 %r1, [%d1], %r2;",
            "atom.global.exch.b128 %q1, [%d1], %q2;",
        ],
    ),
    form(
        &["cp.async"],
        "4, 8, 16 bytes, zero filling; groups; `.mbarrier.arrive`",
        &[
            "cp.async.cg.shared.global.L2::128B [%r1], [%d1], 16, %r2;",
            "cp.async.commit_group;",
            "cp.async.wait_group 1;",
            "cp.async.mbarrier.arrive.noinc.shared.b64 [%r1];",
        ],
    ),
    form(
        &["cp.async.bulk"],
        "between global memory and the block's own shared memory; no tensors",
        &[
            "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r1], [%d1], %r2, [%r3];",
            "cp.async.bulk.global.shared::cta.bulk_group.L2::cache_hint [%d1], [%r1], 64, %d2;",
            "cp.async.bulk.commit_group;",
            "cp.async.bulk.wait_group.read 0;",
        ],
    ),
    form(
        &["membar", "fence"],
        "all scopes; `.proxy.async`, `.mbarrier_init`",
        &[
            "membar.gl;",
            "fence.acq_rel.cluster;",
            "fence.proxy.async.shared::cta;",
            "fence.mbarrier_init.release.cluster;",
        ],
    ),
    form(
        &["prefetch", "prefetchu", "applypriority", "discard", "createpolicy"],
        "hints, whose addresses are not looked at",
        &["prefetch.global.L2 [%d1];"],
    ),
];

const WARPS: &[Form] = &[
    form(&["shfl"], "`.up .down .bfly .idx`, with predicate", &["shfl.sync.bfly.b32 %r1|%p1, %r2, 1, 31, -1;"]),
    form(
        &["vote", "match", "activemask", "elect", "redux"],
        "all modes",
        &[
            "vote.sync.ballot.b32 %r1, %p1, -1;",
            "match.all.sync.b64 %r1|%p1, %d1, %r2;",
            "activemask.b32 %r1;",
            "redux.sync.max.s32 %r1, %r2, -1;",
        ],
    ),
    form(
        &["bar", "barrier"],
        "16 named barriers, counts, `.arrive`, `.red`; `bar.warp.sync`",
        &["bar.sync 1, 64;", "barrier.cta.arrive 2, 128;", "bar.red.popc.u32 %r1, 0, %p1;", "bar.warp.sync %r1;"],
    ),
    form(
        &["mbarrier"],
        "objects in the block's own shared memory",
        &[
            "mbarrier.init.shared::cta.b64 [%r1], %r2;",
            "mbarrier.arrive.noComplete.release.cta.shared::cta.b64 %d1, [%r1], 3;",
            "mbarrier.arrive_drop.expect_tx.release.cta.shared::cta.b64 _, [%r1], %r2;",
            "mbarrier.try_wait.parity.acquire.cta.shared::cta.b64 %p1, [%r1], %r2, %r3;",
            "mbarrier.test_wait.b64 %p1, [%d1], %d2;",
            "mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%r1], 16;",
            "mbarrier.pending_count.b64 %r1, %d1;",
            "mbarrier.inval.shared.b64 [%r1];",
        ],
    ),
    form(&["nanosleep"], "lets others run", &["nanosleep.u32 100;"]),
];

const MATRICES: &[Form] = &[
    form(
        &["mma"],
        "f16, bf16, tf32, f64, e4m3, e5m2, s8, u8, s4, u4, b1, all shapes; `.sp`, `.sp::ordered_metadata`",
        &[
            "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%f1, %f2, %f3, %f4}, {%r1, %r2, %r3, %r4}, {%r5, %r6}, {%f1, %f2, %f3, %f4};",
            "mma.sync.aligned.m16n8k32.row.col.satfinite.s32.u8.s8.s32 {%r1, %r2, %r3, %r4}, {%r5, %r6, %r7, %r8}, {%r1, %r2}, {%r1, %r2, %r3, %r4};",
            "mma.sp::ordered_metadata.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16 {%r1, %r2}, {%r3, %r4}, {%r5, %r6}, {%r1, %r2}, %r7, 3;",
        ],
    ),
    form(
        &["wmma"],
        "`.load .store .mma` of all types and shapes",
        &["wmma.load.a.sync.aligned.row.m16n16k16.shared.f16 {%r1, %r2, %r3, %r4, %r5, %r6, %r7, %r8}, [%r9], %r10;"],
    ),
    form(
        &["ldmatrix", "stmatrix", "movmatrix"],
        "`.x1 .x2 .x4`, `.trans`",
        &[
            "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%r1, %r2, %r3, %r4}, [%r5];",
            "movmatrix.sync.aligned.m8n8.trans.b16 %r1, %r2;",
        ],
    ),
];

const CONTROL: &[Form] = &[
    form(&["bra", "brx"], "with tables", &["bra.uni $next;"]),
    form(&["call"], "direct, indirect, recursive; `vprintf`, `__assertfail`, `malloc`, `free`", &["call.uni nothing;"]),
    form(
        &["alloca", "stacksave", "stackrestore"],
        "any size and alignment",
        &["alloca.u64 %d1, %d2, 32;", "stacksave.u32 %r1;", "stackrestore.u64 %d1;"],
    ),
    form(&["ret", "exit", "trap", "brkpt"], "", &["@%p1 exit;", "trap;"]),
    form(&["griddepcontrol", "setmaxnreg", "pmevent", "pragma"], "without effect", &["pmevent 1;"]),
];

/// The list as a table in Markdown.
pub fn table() -> String {
    let mut text = String::from("| family | instructions | what of them |\n|---|---|---|\n");
    for family in FAMILIES {
        for form in family.forms {
            let opcodes: Vec<String> = form.opcodes.iter().map(|opcode| format!("`{opcode}`")).collect();
            text += &format!("| {} | {} | {} |\n", family.name, opcodes.join(" "), form.covers);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::Module;
    use crate::memory::Memory;
    use std::collections::BTreeSet;

    fn opcodes() -> BTreeSet<&'static str> {
        FAMILIES.iter().flat_map(|family| family.forms).flat_map(|form| form.opcodes).copied().collect()
    }

    #[test]
    fn every_example_is_executed() {
        for example in FAMILIES.iter().flat_map(|family| family.forms).flat_map(|form| form.examples) {
            let ptx = format!(
                ".version 8.5\n.target sm_90\n.address_size 64\n.func nothing()\n{{\n\tret;\n}}\n.entry example()\n{{\n\
                 \t.reg .pred %p<8>;\n\t.reg .b16 %h<8>;\n\t.reg .b32 %r<16>;\n\t.reg .f32 %f<8>;\n\t.reg .b64 %d<8>;\n\
                 \t.reg .f64 %e<8>;\n\t.reg .b128 %q<8>;\n\t{example}\n$next:\n\tret;\n}}\n"
            );
            let problems = Module::problems(&ptx, &mut Memory::default()).unwrap_or_else(|report| panic!("{report}"));
            assert!(problems.is_empty(), "{example}: {}", problems[0]);
        }
    }

    /// Opcodes in the arms of the decoders' matches.
    fn decoded() -> BTreeSet<String> {
        let sources = [
            include_str!("decode/arithmetic.rs"),
            include_str!("decode/control.rs"),
            include_str!("decode/convert.rs"),
            include_str!("decode/float.rs"),
            include_str!("decode/matrix.rs"),
            include_str!("decode/mbarrier.rs"),
            include_str!("decode/memory.rs"),
            include_str!("decode/packed.rs"),
            include_str!("decode/stack.rs"),
            include_str!("decode/warp.rs"),
        ];
        let arms = sources.iter().flat_map(|source| {
            let decoder = source.split_once("fn decode").map_or("", |(_, rest)| rest);
            let decoder = decoder.split_once("\n}\n").map_or(decoder, |(body, _)| body);
            decoder.lines().filter(|line| line.starts_with("        \"")).filter_map(|line| line.split_once("=>"))
        });
        let words = arms.flat_map(|(patterns, _)| patterns.split_once(" if ").map_or(patterns, |(p, _)| p).split('|'));
        words.map(|word| word.trim().trim_matches('"').to_owned()).collect()
    }

    #[test]
    fn the_list_has_every_opcode_that_is_decoded() {
        let decoded = decoded();
        assert!(decoded.len() > 60, "{decoded:?}");
        let listed = opcodes();
        let missing: Vec<_> = decoded.iter().filter(|o| *o != "cp" && !listed.contains(o.as_str())).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn the_readme_has_the_table() {
        let readme = include_str!("../../README.md");
        assert!(readme.contains(&table()), "put the output of `cuda-emulator operations` into emulator/README.md");
    }
}
