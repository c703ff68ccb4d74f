//! Loads a module, gives it buffers, runs it, brings the buffers back.

use std::cell::RefCell;
use std::time::Duration;

use cuda_emulator::device::Description;
use cuda_emulator::exec::{Launch, Limits, Module, Numerics, Options};
use cuda_emulator::memory::Memory;
use cuda_emulator::report::Report;
use cuda_emulator::{Checks, findings};

/// A table's row: the text of an operation and its definition.
pub type Case<F> = (&'static str, F);
/// The definition of an operation on one, two or three operands of type `T`.
pub type Unary<T> = fn(T) -> T;
pub type Binary<T> = fn(T, T) -> T;
pub type Ternary<T> = fn(T, T, T) -> T;
/// The definition of a class of numbers, of a comparison.
pub type Predicate<T> = fn(T) -> bool;
pub type Comparison<T> = fn(T, T) -> bool;

/// What precedes the kernels that tests put together from pieces.
pub const HEADER: &str = ".version 7.8\n.target sm_80\n.address_size 64\n";

/// Bytes of the device that tests run on.
const MEMORY_BYTES: u64 = 1 << 30;

/// A kernel's argument.
pub enum Argument<'a> {
    /// Copied to a buffer of the device before the launch and back after it; the kernel gets its address.
    Buffer(&'a mut [u32]),
    U32(u32),
}

/// Blocks, threads, dynamic shared memory, and how the emulator runs them.
#[derive(Clone, Copy)]
pub struct Shape {
    pub grid: [u32; 3],
    pub block: [u32; 3],
    pub shared_bytes: u32,
    pub threads: usize,
    pub seed: u64,
    /// The number of the kernel in its module.
    pub kernel: usize,
    pub cooperative: bool,
    pub timeout: Option<Duration>,
    pub numerics: Numerics,
    pub checks: Checks,
    pub limits: Limits,
}

impl Shape {
    /// `blocks` of `threads` in a row.
    pub fn line(blocks: u32, threads: u32) -> Shape {
        Shape {
            grid: [blocks, 1, 1],
            block: [threads, 1, 1],
            shared_bytes: 0,
            threads: 1,
            seed: 0,
            kernel: 0,
            cooperative: false,
            timeout: None,
            numerics: Numerics::Fast,
            checks: checks(),
            limits: Limits::default(),
        }
    }

    /// For a kernel that is wrong on purpose.
    pub fn unchecked(self) -> Shape {
        Shape { checks: Checks::NONE, ..self }
    }

    pub fn shared(self, shared_bytes: u32) -> Shape {
        Shape { shared_bytes, ..self }
    }

    pub fn kernel(self, kernel: usize) -> Shape {
        Shape { kernel, ..self }
    }

    pub fn cooperative(self) -> Shape {
        Shape { cooperative: true, ..self }
    }

    pub fn numerics(self, numerics: Numerics) -> Shape {
        Shape { numerics, ..self }
    }

    pub fn order(self, threads: usize, seed: u64) -> Shape {
        Shape { threads, seed, ..self }
    }
}

thread_local! {
    /// One memory serves all launches of a test: the first allocation of each is dear.
    static MEMORY: RefCell<Memory> = RefCell::new(Memory::new(MEMORY_BYTES));
}

/// The checks that every launch runs under, none unless the environment says so: with `CUDA_EMULATOR_CHECK=all` the
/// kernels of all tests have to be clean.
fn checks() -> Checks {
    cuda_emulator::Config::from_environment().unwrap_or_else(|report| panic!("{report}")).checks
}

/// Runs a kernel of `ptx`, the first unless `shape` says otherwise.
pub fn launch(ptx: &str, shape: Shape, arguments: &mut [Argument]) -> Result<(), Report> {
    MEMORY.with_borrow_mut(|memory| {
        if checks().initialised {
            memory.track_writes();
        }
        let serial = memory.serial();
        let result = launch_in(memory, ptx, shape, arguments);
        for start in memory.allocated_since(serial) {
            memory.free(start);
        }
        result
    })
}

fn launch_in(memory: &mut Memory, ptx: &str, shape: Shape, arguments: &mut [Argument]) -> Result<(), Report> {
    let module = Module::load(ptx, &Description::default(), memory)?;
    let addresses: Vec<u64> = arguments.iter().map(|argument| upload(argument, memory)).collect();
    let kernel = &module.kernels()[shape.kernel];
    assert_eq!(kernel.parameters.len(), arguments.len(), "arguments of {}", kernel.name);
    let mut parameters = vec![0; kernel.parameter_bytes];
    for (parameter, address) in kernel.parameters.iter().zip(&addresses) {
        let bytes = &address.to_le_bytes()[..parameter.bytes];
        parameters[parameter.offset..][..parameter.bytes].copy_from_slice(bytes);
    }
    let Shape { grid, block, shared_bytes, threads, seed, kernel, cooperative, timeout, numerics, checks, limits } =
        shape;
    let launch = Launch { kernel, grid, block, dynamic_shared_bytes: shared_bytes, cooperative, parameters };
    module.run(&launch, memory, Options { threads, seed, numerics, checks, timeout, limits })?;
    assert!(findings().is_empty(), "{:?}", findings());
    for (argument, &address) in arguments.iter_mut().zip(&addresses) {
        if let Argument::Buffer(words) = argument {
            // SAFETY: device addresses are host addresses, and the allocation holds that many words.
            unsafe { (address as *const u32).copy_to_nonoverlapping(words.as_mut_ptr(), words.len()) };
        }
    }
    Ok(())
}

/// The 64 bits that the kernel gets for `argument`.
fn upload(argument: &Argument, memory: &mut Memory) -> u64 {
    match argument {
        Argument::U32(value) => (*value).into(),
        Argument::Buffer(words) => {
            let address = memory.allocate(4 * words.len() as u64).expect("room on the device");
            // SAFETY: device addresses are host addresses, and the allocation holds that many words.
            unsafe { words.as_ptr().copy_to_nonoverlapping(address as *mut u32, words.len()) };
            memory.mark_written(address, 4 * words.len() as u64);
            address
        }
    }
}

/// Runs the first kernel of `ptx` with one buffer of `count` words, which it writes.
pub fn fill(ptx: &str, shape: Shape, count: usize) -> Vec<u32> {
    let mut out = vec![0xdead_beef; count];
    launch(ptx, shape, &mut [Argument::Buffer(&mut out)]).unwrap_or_else(|report| panic!("{report}"));
    out
}

/// A whole module around the statements of an entry `k` with the 64-bit parameters `names`.
pub fn module(names: &[&str], body: &str) -> String {
    let parameters: Vec<String> = names.iter().map(|name| format!("\t.param .u64 {name}")).collect();
    format!("{HEADER}.visible .entry k(\n{}\n)\n{{\n{body}\n\tret;\n}}\n", parameters.join(",\n"))
}

/// Runs `text` for each triple of operands: `%d` (of `to` bits) from `%a`, `%b`, `%c` (of `from` bits, 16 to 64).
/// `%p` and `%q` are predicates, `%t` another register of `from` bits.
pub fn elementwise(text: &str, to: u32, from: u32, operands: &[[u64; 3]]) -> Vec<u64> {
    let (shift_to, shift_from) = ((to / 8).ilog2(), (from / 8).ilog2());
    let body = format!(
        "\t.reg .b64 %base, %address, %index;
	.reg .b32 %thread, %block, %size;
	.reg .pred %p, %q;
	.reg .b{from} %a, %b, %c, %t;
	.reg .b{to} %d;
	mov.u32 %thread, %tid.x;
	mov.u32 %block, %ctaid.x;
	mov.u32 %size, %ntid.x;
	mad.lo.s32 %thread, %block, %size, %thread;
	cvt.u64.u32 %index, %thread;
	shl.b64 %address, %index, {shift_from};
	ld.param.u64 %base, [a];
	add.s64 %base, %base, %address;
	ld.global.b{from} %a, [%base];
	ld.param.u64 %base, [b];
	add.s64 %base, %base, %address;
	ld.global.b{from} %b, [%base];
	ld.param.u64 %base, [c];
	add.s64 %base, %base, %address;
	ld.global.b{from} %c, [%base];
	{text}
	shl.b64 %address, %index, {shift_to};
	ld.param.u64 %base, [out];
	add.s64 %base, %base, %address;
	st.global.b{to} [%base], %d;"
    );
    let count = operands.len().next_multiple_of(32);
    let column = |index: usize| {
        let values = (0..count).map(|row| operands[row % operands.len()][index]);
        pack(values, from)
    };
    let (mut a, mut b, mut c) = (column(0), column(1), column(2));
    let mut out = pack((0..count).map(|_| 0), to);
    let ptx = module(&["out", "a", "b", "c"], &body);
    let arguments = &mut [&mut out, &mut a, &mut b, &mut c].map(|buffer| Argument::Buffer(buffer.as_mut_slice()));
    launch(&ptx, Shape::line(count as u32 / 32, 32), arguments).unwrap_or_else(|report| panic!("{text}: {report}"));
    unpack(&out, to).take(operands.len()).collect()
}

fn pack(values: impl Iterator<Item = u64>, bits: u32) -> Vec<u32> {
    let bytes: Vec<u8> = values.flat_map(|value| value.to_le_bytes().into_iter().take(bits as usize / 8)).collect();
    bytes.as_chunks().0.iter().map(|&word| u32::from_le_bytes(word)).collect()
}

fn unpack(words: &[u32], bits: u32) -> impl Iterator<Item = u64> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let width = bits as usize / 8;
    (0..bytes.len() / width).map(move |index| {
        let mut value = [0; 8];
        value[..width].copy_from_slice(&bytes[index * width..][..width]);
        u64::from_le_bytes(value)
    })
}

/// Checks `text` on 32-bit registers against its definition.
pub fn check32(text: &str, operands: &[[u64; 3]], definition: impl Fn(u32, u32, u32) -> u32) {
    check(text, 32, 32, operands, |a, b, c| definition(a as u32, b as u32, c as u32).into());
}

/// Checks `text` against its definition, on registers of `to` and `from` bits.
pub fn check(text: &str, to: u32, from: u32, operands: &[[u64; 3]], definition: impl Fn(u64, u64, u64) -> u64) {
    let mask = u64::MAX >> (64 - to);
    for (found, &[a, b, c]) in elementwise(text, to, from, operands).into_iter().zip(operands) {
        let expected = definition(a, b, c) & mask;
        assert_eq!(found, expected, "{text} of {a:#x}, {b:#x}, {c:#x}: {found:#x}, not {expected:#x}");
    }
}

/// Checks a floating-point result bit by bit, any NaN for a NaN.
pub fn check_f32(text: &str, operands: &[[u64; 3]], definition: impl Fn(f32, f32, f32) -> f32) {
    for (found, &[a, b, c]) in elementwise(text, 32, 32, operands).into_iter().zip(operands) {
        let [a, b, c] = [a, b, c].map(|bits| f32::from_bits(bits as u32));
        let (found, expected) = (f32::from_bits(found as u32), definition(a, b, c));
        let same = found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan();
        assert!(same, "{text} of {a:e}, {b:e}, {c:e}: {found:e}, not {expected:e}");
    }
}

/// Every pair of `values`, with a third operand that takes all of them in turn.
pub fn triples(values: &[u64]) -> Vec<[u64; 3]> {
    let n = values.len();
    (0..n * n).map(|index| [values[index % n], values[index / n], values[(index * 7 + 3) % n]]).collect()
}

/// 32-bit integers that matter.
pub fn integers32() -> Vec<u64> {
    [0, 1, 2, 5, 31, 32, 33, 255, 0x7fff, 0x1_0000, 0x1234_5678, 0x7fff_ffff, 0x8000_0000, 0xdead_beef, 0xffff_fffe]
        .into_iter()
        .chain([0xffff_ffff])
        .collect()
}

/// 64-bit integers that matter.
pub fn integers64() -> Vec<u64> {
    let wide = [1 << 32, 1 << 63, u64::MAX, u64::MAX - 1, i64::MAX as u64, 0x0123_4567_89ab_cdef, 63, 64, 65];
    [0, 1, 3, 0xffff_ffff, 0x8000_0000].into_iter().chain(wide).collect()
}

/// fp32 numbers that matter, as bits.
pub fn floats32() -> Vec<u64> {
    let numbers = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        1.5,
        -2.5,
        3.0,
        0.1,
        -7.25e-5,
        1e10,
        -3.4e38,
        f32::MAX,
        f32::MIN_POSITIVE,
        1e-40,
        -1e-45,
        1.000_000_1,
        16_777_217.0,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
    ];
    numbers.into_iter().map(|x: f32| x.to_bits().into()).collect()
}

/// The first line of `ptx` that holds `text`, counted from 1.
pub fn line_of(ptx: &str, text: &str) -> Option<u32> {
    ptx.lines().position(|line| line.contains(text)).map(|index| index as u32 + 1)
}
