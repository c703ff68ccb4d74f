//! Bits that count as defined do not depend on any that do not.

use super::shadow::Bits;
use super::{Definedness, Plans, Watch};
use crate::device::Description;
use crate::exec::grid::Grid;
use crate::exec::observe::{Observer, Seen};
use crate::exec::{Launch, Module, Options, grid, tests};
use crate::isa::{Op, Width};
use crate::memory::{Hint, Memory};
use std::sync::Mutex;

/// More instructions for the registers of [`tests::INSTRUCTIONS`].
const MORE: &[&str] = &[
    "mov.b32 %r1, %r2;",
    "mov.b64 %d1, %d2;",
    "mov.b32 %r1, {%h2, %h1};",
    "mov.b64 {%r1, %f1}, %d2;",
    "and.b32 %r1, %r2, %r3;",
    "or.b32 %r1, %r2, %r3;",
    "xor.b32 %r1, %r2, %r3;",
    "and.b64 %d1, %d2, %d3;",
    "or.b64 %d1, %d2, %d3;",
    "not.b32 %r1, %r2;",
    "neg.s32 %r1, %r2;",
    "abs.s32 %r1, %r2;",
    "brev.b32 %r1, %r2;",
    "popc.b32 %r1, %r2;",
    "clz.b32 %r1, %r2;",
    "bfind.s32 %r1, %r2;",
    "bfe.u32 %r1, %r2, 5, 9;",
    "bfe.s32 %r1, %r2, 3, 13;",
    "bfe.u32 %r1, %r2, %r6, %r5;",
    "bfi.b64 %d1, %d2, %d3, %r6, %r5;",
    "prmt.b32 %r1, %r2, %r3, %r4;",
    "shl.b64 %d1, %d2, %r6;",
    "shr.u32 %r1, %r2, 7;",
    "shr.s64 %d1, %d2, %r6;",
    "shf.l.clamp.b32 %r1, %r2, %r3, %r6;",
    "lop3.b32 %r1, %r2, %r3, %r4, 0xe8;",
    "cvt.s32.s8 %r1, %r2;",
    "cvt.u32.u16 %r1, %h1;",
    "cvt.s64.s32 %d1, %r2;",
    "cvt.u32.u64 %r1, %d2;",
    "sub.s64 %d1, %d2, %d3;",
    "mul.lo.s64 %d1, %d2, %d3;",
    "sad.u32 %r1, %r2, %r3, %r4;",
    "setp.eq.u32 %p, %r2, 5;",
    "setp.ne.s64 %p, %d2, %d3;",
    "setp.lt.and.u32 %p, %r2, %r3, %q;",
    "setp.ge.or.f32 %p, %f2, %f3, %q;",
    "setp.gt.xor.s32 %p, %r2, %r3, !%q;",
    "and.pred %p, %p, %q;",
    "or.pred %p, %p, !%q;",
    "xor.pred %p, %p, %q;",
    "vote.sync.any.pred %p, %q, -1;",
    "vote.sync.all.pred %p, %q, -1;",
    "vote.sync.uni.pred %p, %q, -1;",
    "vote.sync.ballot.b32 %r1, %q, -1;",
    "redux.sync.or.b32 %r1, %r2, -1;",
    "match.any.sync.b32 %r1, %r2, -1;",
];

/// Loads 32 bytes a thread into the registers, runs `instruction`, and stores what it may have written.
fn module_of(instruction: &str) -> String {
    format!(
        ".version 7.8\n.target sm_80\n.address_size 64\n.visible .entry k(.param .u64 in, .param .u64 out)\n{{
	.reg .pred %p, %q;\n	.reg .b16 %h<3>;\n	.reg .b32 %r<8>, %f<5>, %lane;\n	.reg .b64 %d<4>, %in, %out;
	ld.param.u64 %in, [in];\n	ld.param.u64 %out, [out];\n	mov.u32 %lane, %tid.x;
	mad.wide.u32 %in, %lane, 32, %in;\n	mad.wide.u32 %out, %lane, 32, %out;
	ld.global.v4.b32 {{%r2, %r3, %r4, %r5}}, [%in];
	ld.global.b64 %d2, [%in+16];\n	ld.global.b64 %d3, [%in+24];
	mov.b32 {{%h1, %h2}}, %r4;\n	mov.b32 %f2, %r2;\n	mov.b32 %f3, %r3;\n	mov.b32 %f4, %r4;
	and.b32 %r6, %r5, 31;\n	and.b32 %r5, %r5, 63;\n	setp.lt.s32 %q, %r4, 0;\n	setp.lt.s32 %p, %r3, 0;
	mov.u32 %r1, 0;\n	mov.u32 %f1, 0;\n	mov.u64 %d1, 0;
	{instruction}
	st.global.b32 [%out], %r1;\n	st.global.b32 [%out+4], %f1;\n	st.global.b64 [%out+8], %d1;
	mov.b32 %r7, {{%h1, %h2}};\n	st.global.b32 [%out+16], %r7;
	selp.b32 %r7, 1, 0, %p;\n	st.global.b32 [%out+20], %r7;\n	ret;\n}}"
    )
}

/// Where the results lie in a thread's 32 bytes, in the order of the stores.
const RESULTS: [usize; 5] = [0, 4, 8, 16, 20];

/// Notes the undefined bits of everything that is stored, and hides the stores from the checker.
struct Probe<'a> {
    inner: Definedness<'a>,
    stored: &'a Mutex<Vec<Bits>>,
}

impl Observer for Probe<'_> {
    fn block_started(&mut self, grid: &Grid, block: [u32; 3]) {
        self.inner.block_started(grid, block);
    }

    fn instruction(&mut self, seen: &Seen) {
        if let Op::Store { a, kind, .. } = &seen.instruction.op {
            let bits = self.inner.warps[seen.number].get(a[0], kind.width == Width::W64);
            self.stored.lock().unwrap().push(bits);
        } else {
            self.inner.instruction(seen);
        }
    }
}

/// The results of each thread, and their undefined bits.
fn run(memory: &mut Memory, instruction: &str, input: &[u8], defined: &[u32]) -> (Vec<u8>, Vec<Bits>) {
    let ptx = module_of(instruction);
    let module = Module::load(&ptx, &Description::default(), memory).unwrap_or_else(|report| panic!("{report}"));
    let [from, to] = [0, 0].map(|_| memory.allocate(1024).expect("room on the device"));
    // SAFETY: the allocation holds the input.
    unsafe { input.as_ptr().copy_to_nonoverlapping(from as *mut u8, 1024) };
    let mut hint = Hint::default();
    let (start, written) = memory.written(&mut hint, from, 1024).expect("an account of the input");
    defined.iter().enumerate().for_each(|(lane, bits)| written.set_bits(start + 32 * lane as u64, 32, *bits));
    let parameters = [from.to_le_bytes(), to.to_le_bytes()].concat();
    let launch =
        Launch { kernel: 0, grid: [1; 3], block: [32, 1, 1], dynamic_shared_bytes: 0, cooperative: false, parameters };
    let program = module.programs[0].as_ref().unwrap_or_else(|report| panic!("{report}"));
    let grid = grid::Grid::new(("k", &ptx), program, &launch, memory, 0);
    let (plans, stored) = (Plans::of(program), Mutex::default());
    let watch = Watch::new(&plans);
    let probe = || Probe { inner: Definedness::new(&watch), stored: &stored };
    grid::run(&grid, Options::default(), &probe).unwrap_or_else(|report| panic!("{instruction}: {report}"));
    // SAFETY: the allocation holds that many bytes.
    let results = (0..1024).map(|index| unsafe { (to as *const u8).add(index).read() }).collect();
    assert!([from, to].into_iter().all(|start| memory.free(start)));
    (results, stored.into_inner().unwrap())
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

#[test]
fn what_is_defined_does_not_depend_on_what_is_not() {
    let mut state = 7u64;
    let mut random = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as u32
    };
    // One memory serves all launches: the first allocation of each is dear.
    let mut memory = Memory::default();
    memory.track_writes();
    let (mut undefined_results, mut defined_results) = (0, 0);
    for instruction in tests::INSTRUCTIONS.iter().chain(MORE) {
        for round in 0..6 {
            let first: Vec<u8> = (0..1024).map(|_| random() as u8).collect();
            // From nothing to about half undefined; whole words at times, as loads of ragged ends have them.
            let defined: Vec<u32> = (0..32)
                .map(|lane| match (round + lane) % 4 {
                    0 => u32::MAX,
                    1 => random() | random() | random(),
                    2 => u32::MAX << (4 * (random() % 8)),
                    _ => random(),
                })
                .collect();
            let is_defined = |byte: usize| defined[byte / 32] >> (byte % 32) & 1 != 0;
            let second: Vec<u8> =
                first.iter().enumerate().map(|(byte, v)| if is_defined(byte) { *v } else { random() as u8 }).collect();
            let ((one, undefined), (other, _)) =
                (run(&mut memory, instruction, &first, &defined), run(&mut memory, instruction, &second, &defined));
            for (place, bits) in RESULTS.into_iter().zip(&undefined) {
                let keep = if place == 8 { u64::MAX } else { u64::from(u32::MAX) };
                for lane in 0..32 {
                    let changed = (word(&one, 32 * lane + place) ^ word(&other, 32 * lane + place)) & keep;
                    let wrong = changed & !bits[lane];
                    assert_eq!(wrong, 0, "{instruction}: lane {lane}, result at {place}, round {round}");
                    *(if bits[lane] != 0 { &mut undefined_results } else { &mut defined_results }) += 1;
                }
            }
        }
    }
    assert!(undefined_results > 1000 && defined_results > 1000, "{undefined_results}, {defined_results}");
}
