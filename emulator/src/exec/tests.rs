//! The vector paths and the plain ones give the same bits.

use super::simd::SimdLevel;
use super::{Launch, Module, Options, grid};
use crate::device::Description;
use crate::memory::Memory;

/// Instructions with a vector path of their own. Registers: %r1.. 32 bits, %f1.. the same as fp32, %d1.. 64 bits,
/// %h1.. 16 bits, %p and %q predicates; all start with the thread's own values.
pub(super) const INSTRUCTIONS: &[&str] = &[
    "add.s32 %r1, %r2, %r3;",
    "sub.s32 %r1, %r2, %r3;",
    "mul.lo.s32 %r1, %r2, %r3;",
    "mul.hi.u32 %r1, %r2, %r3;",
    "mul.wide.s32 %d1, %r2, %r3;",
    "mad.wide.u32 %d1, %r2, %r3, %d2;",
    "mad.lo.s32 %r1, %r2, %r3, %r4;",
    "min.s32 %r1, %r2, %r3;",
    "max.u32 %r1, %r2, %r3;",
    "shl.b32 %r1, %r2, %r3;",
    "shr.s32 %r1, %r2, %r5;",
    "shr.u64 %d1, %d2, %r5;",
    "shf.r.wrap.b32 %r1, %r2, %r3, %r4;",
    "div.u32 %r1, %r2, %r3;",
    "rem.u32 %r1, %r2, %r5;",
    "div.s32 %r1, %r2, %r3;",
    "rem.s32 %r1, %r2, %r5;",
    "lop3.b32 %r1, %r2, %r3, %r4, 0x1b;",
    "bfi.b32 %r1, %r2, %r3, %r5, %r6;",
    "prmt.b32 %r1, %r2, %r3, 0x7250;",
    "prmt.b32 %r1, %r2, %r3, 0x9250;",
    "add.s64 %d1, %d2, %d3;",
    "selp.b32 %r1, %r2, %r3, %q;",
    "selp.b64 %d1, %d2, %d3, %q;",
    "setp.lt.s32 %p, %r2, %r3;",
    "setp.geu.f32 %p, %f2, %f3;",
    "setp.gt.s64 %p, %d2, %d3;",
    "add.f32 %f1, %f2, %f3;",
    "mul.ftz.f32 %f1, %f2, %f3;",
    "fma.rn.f32 %f1, %f2, %f3, %f4;",
    "fma.rn.ftz.f32 %f1, %f2, %f3, %f4;",
    "div.rn.f32 %f1, %f2, %f3;",
    "min.f32 %f1, %f2, %f3;",
    "rcp.rn.f32 %f1, %f2;",
    "sqrt.rn.f32 %f1, %f2;",
    "rsqrt.approx.f32 %f1, %f2;",
    "ex2.approx.f32 %f1, %f2;",
    "lg2.approx.f32 %f1, %f2;",
    "sin.approx.f32 %f1, %f2;",
    "cos.approx.f32 %f1, %f2;",
    "tanh.approx.f32 %f1, %f2;",
    "cvt.rzi.s32.f32 %r1, %f2;",
    "cvt.rzi.u32.f32 %r1, %f2;",
    "cvt.rn.f32.u32 %f1, %r2;",
    "cvt.rn.f16x2.f32 %r1, %f2, %f3;",
    "cvt.f32.f16 %f1, %h1;",
    "add.f16x2 %r1, %r2, %r3;",
    "mul.bf16x2 %r1, %r2, %r3;",
    "fma.rn.f16x2 %r1, %r2, %r3, %r4;",
    "fma.rn.bf16x2 %r1, %r2, %r3, %r4;",
    "shfl.sync.up.b32 %r1|%p, %r2, 3, 0, -1;",
    "shfl.sync.down.b32 %r1|%p, %r2, 3, 0x181f, -1;",
    "shfl.sync.bfly.b32 %r1|%p, %r2, 20, 31, -1;",
    "shfl.sync.idx.b32 %r1|%p, %r2, %r5, 0x100f, -1;",
    "mov.b32 {%h1, %h2}, %r2;",
];

/// Runs `instruction` on pseudo-random registers and gives everything that it may have written.
fn results(instruction: &str, guard: &str, level: SimdLevel) -> Vec<u32> {
    let ptx = format!(
        ".version 7.8\n.target sm_80\n.address_size 64\n.visible .entry k(.param .u64 out)\n{{
	.reg .pred %p, %q;\n	.reg .b16 %h<3>;\n	.reg .b32 %r<7>, %f<5>, %lane;\n	.reg .b64 %d<4>, %out;
	ld.param.u64 %out, [out];\n	mov.u32 %lane, %tid.x;
	mad.lo.u32 %r1, %lane, 0x9e3779b9, 0x3c6ef372;\n	mad.lo.u32 %r2, %r1, 0x85ebca6b, 0x27d4eb2f;
	mad.lo.u32 %r3, %r2, 0xc2b2ae35, 0x165667b1;\n	mad.lo.u32 %r4, %r3, 0x9e3779b1, 0x85ebca77;
	and.b32 %r5, %r4, 63;\n	and.b32 %r6, %r3, 31;\n	setp.lt.s32 %q, %r4, 0;\n	setp.lt.s32 %p, %r3, 0;
	mov.b64 %d1, {{%r1, %r2}};\n	mov.b64 %d2, {{%r3, %r4}};\n	mov.b64 %d3, {{%r2, %r3}};
	mov.b32 {{%h1, %h2}}, %r4;\n	mov.b32 %f1, %r1;
	// Floats of moderate size; some lanes keep any bits: NaN, infinities, subnormal numbers.
	and.b32 %f2, %r2, 0x87ffffff;\n	or.b32 %f2, %f2, 0x38000000;\n	@%p mov.b32 %f2, %r2;
	and.b32 %f3, %r3, 0x83ffffff;\n	or.b32 %f3, %f3, 0x3c000000;\n	and.b32 %f4, %r4, 0x807fffff;
	{guard} {instruction}
	mad.wide.u32 %out, %lane, 32, %out;
	st.global.v2.b32 [%out], {{%r1, %f1}};\n	st.global.b64 [%out+8], %d1;\n	st.global.v2.b16 [%out+16], {{%h1, %h2}};
	selp.b32 %r1, 1, 0, %p;\n	st.global.b32 [%out+20], %r1;\n	ret;\n}}"
    );
    let mut memory = Memory::default();
    let module = Module::load(&ptx, &Description::default(), &mut memory).unwrap_or_else(|report| panic!("{report}"));
    let words = 8 * 64;
    let out = memory.allocate(4 * words).expect("room on the device");
    let parameters = out.to_le_bytes().to_vec();
    let launch =
        Launch { kernel: 0, grid: [1; 3], block: [64, 1, 1], dynamic_shared_bytes: 0, cooperative: false, parameters };
    let program = module.programs[0].as_ref().unwrap_or_else(|report| panic!("{report}"));
    let mut grid = grid::Grid::new(("k", &ptx), program, &launch, &memory, 0);
    grid.level = level;
    grid::run(&grid, Options::default(), &|| ()).unwrap_or_else(|report| panic!("{report}"));
    // SAFETY: the allocation holds that many words at this host address.
    (0..words as usize).map(|index| unsafe { (out as *const u32).add(index).read() }).collect()
}

#[test]
fn vector_paths_give_the_bits_of_the_plain_ones() {
    for instruction in INSTRUCTIONS {
        for guard in ["", "@%q"] {
            // A shuffle wants all the lanes that it names.
            if guard == "@%q" && instruction.starts_with("shfl") {
                continue;
            }
            let [plain, vector] =
                [SimdLevel::PORTABLE, SimdLevel::detect()].map(|level| results(instruction, guard, level));
            assert_eq!(plain, vector, "{guard} {instruction}");
        }
    }
}
