//! The device goes on by itself, as hardware does: hosts that poll memory, host functions and kernels that wait for other
//! threads or for each other all come to an end, and work is no earlier than that takes.

#[macro_use]
mod common;

use std::ffi::c_void;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use common::{SUCCESS, TestContext, device_memory, function, load, pinned_memory, read_integers, stream};
use cudarc::driver::sys::{self, CUresult};

const NON_BLOCKING: u32 = 1;
/// Longer than any of these tests takes on a machine that is busy.
const LIMIT: Duration = Duration::from_secs(60);
const NOT_READY: CUresult = CUresult::CUDA_ERROR_NOT_READY;

/// `relay(from, to)` waits until `from` is not 0, then writes 1 more to `to`; `relay_sleeping` does the same and sleeps,
/// `relay_counting` counts its rounds and writes their number. `rally(mine, other, last)` waits for 1, 3, 5 .. `last` at `mine` and answers each at `other` with one more.
/// `work(to, rounds)` writes the number of its rounds. `fault` writes to address 0 once `from` is not 0.
const PTX: &str = "
.version 8.0
.target sm_80
.address_size 64
.visible .entry relay(.param .u64 from, .param .u64 to)
{
    .reg .pred %p<2>;
    .reg .b32 %r<3>;
    .reg .b64 %rd<3>;
    ld.param.u64 %rd1, [from];
    ld.param.u64 %rd2, [to];
WAIT:
    ld.volatile.global.u32 %r1, [%rd1];
    setp.eq.u32 %p1, %r1, 0;
    @%p1 bra WAIT;
    add.u32 %r2, %r1, 1;
    membar.sys;
    st.volatile.global.u32 [%rd2], %r2;
    ret;
}
.visible .entry relay_sleeping(.param .u64 from, .param .u64 to)
{
    .reg .pred %p<2>;
    .reg .b32 %r<3>;
    .reg .b64 %rd<3>;
    ld.param.u64 %rd1, [from];
    ld.param.u64 %rd2, [to];
WAIT:
    nanosleep.u32 100;
    ld.relaxed.sys.global.u32 %r1, [%rd1];
    setp.eq.u32 %p1, %r1, 0;
    @%p1 bra WAIT;
    add.u32 %r2, %r1, 1;
    st.relaxed.sys.global.u32 [%rd2], %r2;
    ret;
}
.visible .entry relay_counting(.param .u64 from, .param .u64 to)
{
    .reg .pred %p<2>;
    .reg .b32 %r<4>;
    .reg .b64 %rd<3>;
    ld.param.u64 %rd1, [from];
    ld.param.u64 %rd2, [to];
    mov.u32 %r3, 0;
WAIT:
    add.u32 %r3, %r3, 1;
    ld.volatile.global.u32 %r1, [%rd1];
    setp.eq.u32 %p1, %r1, 0;
    @%p1 bra WAIT;
    st.volatile.global.u32 [%rd2], %r3;
    ret;
}
.visible .entry rally(.param .u64 mine, .param .u64 other, .param .u32 first, .param .u32 last)
{
    .reg .pred %p<3>;
    .reg .b32 %r<5>;
    .reg .b64 %rd<3>;
    ld.param.u64 %rd1, [mine];
    ld.param.u64 %rd2, [other];
    ld.param.u32 %r1, [first];
    ld.param.u32 %r2, [last];
WAIT:
    atom.global.add.u32 %r3, [%rd1], 0;
    setp.ne.u32 %p1, %r3, %r1;
    @%p1 bra WAIT;
    add.u32 %r4, %r1, 1;
    atom.global.exch.b32 %r3, [%rd2], %r4;
    add.u32 %r1, %r1, 2;
    setp.le.u32 %p2, %r1, %r2;
    @%p2 bra WAIT;
    ret;
}
.visible .entry work(.param .u64 to, .param .u32 rounds)
{
    .reg .pred %p<2>;
    .reg .b32 %r<3>;
    .reg .b64 %rd<2>;
    ld.param.u64 %rd1, [to];
    ld.param.u32 %r1, [rounds];
    mov.u32 %r2, 0;
AGAIN:
    add.u32 %r2, %r2, 1;
    setp.lt.u32 %p1, %r2, %r1;
    @%p1 bra AGAIN;
    st.volatile.global.u32 [%rd1], %r2;
    ret;
}
.visible .entry fault(.param .u64 from)
{
    .reg .pred %p<2>;
    .reg .b32 %r<2>;
    .reg .b64 %rd<3>;
    ld.param.u64 %rd1, [from];
WAIT:
    ld.volatile.global.u32 %r1, [%rd1];
    setp.eq.u32 %p1, %r1, 0;
    @%p1 bra WAIT;
    mov.u64 %rd2, 0;
    st.global.u32 [%rd2], %r1;
    ret;
}
";

/// Ends the process if `body`, which has a context of its own in a thread of its own, does not end.
fn in_time(body: impl FnOnce(usize) + Send + 'static) {
    let (done, end) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let context = TestContext::new();
        body(context.handle as usize);
        drop(context);
        let _ = done.send(());
    });
    if end.recv_timeout(LIMIT) == Err(mpsc::RecvTimeoutError::Timeout) {
        // A thread that hangs inside the driver would keep the other tests and the end of the process waiting.
        eprintln!("{}: not done after {LIMIT:?}", std::thread::current().name().unwrap_or("a test"));
        std::process::exit(101);
    }
    thread.join().unwrap();
}

/// As [`in_time`], once for every seed.
fn with_seeds(body: fn()) {
    in_time(move |_| {
        let config = cuda_emulator::Config { quiet: true, threads: 2, ..cuda_emulator::Config::default() };
        for seed in 0..5 {
            cuda_emulator::configure(cuda_emulator::Config { seed, ..config.clone() }).expect("only the seed changes");
            body();
        }
        cuda_emulator::configure(config).expect("only the seed changes");
    });
}

/// A thread of the host with the context `handle`.
fn thread(handle: usize, body: impl FnOnce() + Send + 'static) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        succeed!(cuCtxSetCurrent(handle as sys::CUcontext));
        body();
    })
}

/// Adds a kernel of one thread to a stream; `numbers` follow the addresses.
fn launch(kernel: sys::CUfunction, stream: sys::CUstream, addresses: &[u64], numbers: &[u32]) {
    let addresses = addresses.iter().map(|address| std::ptr::from_ref(address).cast_mut().cast::<c_void>());
    let numbers = numbers.iter().map(|number| std::ptr::from_ref(number).cast_mut().cast::<c_void>());
    let mut pointers: Vec<*mut c_void> = addresses.chain(numbers).collect();
    succeed!(cuLaunchKernel(kernel, 1, 1, 1, 1, 1, 1, 0, stream, pointers.as_mut_ptr(), std::ptr::null_mut()));
}

/// Page-locked numbers, all 0, which host and device see change.
fn flags(count: usize) -> &'static [AtomicU32] {
    let bytes = pinned_memory(4 * count);
    bytes.fill(0);
    // SAFETY: page-locked memory starts at a page, and lives as long as the test's context.
    unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), count) }
}

fn address(flag: &AtomicU32) -> u64 {
    flag.as_ptr() as u64
}

/// Looks at memory, without a call of the driver, until it is not 0.
fn poll(flag: &AtomicU32) -> u32 {
    while flag.load(SeqCst) == 0 {
        std::hint::spin_loop();
    }
    flag.load(SeqCst)
}

fn poll_for(condition: impl Fn() -> bool) {
    while !condition() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_host_that_polls_memory_sees_what_kernels_and_copies_write() {
    with_seeds(|| {
        let (work, stream) = (function(load(PTX), "work"), stream(NON_BLOCKING));
        let (flags, device) = (flags(3), device_memory(4));
        launch(work, stream, &[address(&flags[0])], &[5]);
        assert_eq!(poll(&flags[0]), 5);
        launch(work, stream, &[device], &[6]);
        succeed!(cuMemcpyDtoHAsync_v2(flags[1].as_ptr().cast(), device, 4, stream));
        assert_eq!(poll(&flags[1]), 6);
        let mut managed = 0;
        succeed!(cuMemAllocManaged(&mut managed, 4, 1));
        // SAFETY: managed memory of this size, which lives as long as the context.
        let managed = unsafe { &*(managed as *const AtomicU32) };
        managed.store(0, SeqCst);
        launch(work, stream, &[address(managed)], &[7]);
        assert_eq!(poll(managed), 7);
    });
}

#[test]
fn a_kernel_waits_for_what_the_host_writes_after_a_query() {
    with_seeds(|| {
        let (relay, stream) = (function(load(PTX), "relay"), stream(NON_BLOCKING));
        let flags = flags(4);
        launch(relay, stream, &[address(&flags[0]), address(&flags[1])], &[]);
        assert_eq!(result!(cuStreamQuery(stream)), NOT_READY);
        assert_eq!(result!(cuStreamQuery(stream)), NOT_READY);
        flags[0].store(1, SeqCst);
        assert_eq!(poll(&flags[1]), 2);
        launch(relay, stream, &[address(&flags[2]), address(&flags[3])], &[]);
        let event = common::event();
        succeed!(cuEventRecord(event, stream));
        assert_eq!(result!(cuEventQuery(event)), NOT_READY);
        flags[2].store(4, SeqCst);
        poll_for(|| result!(cuEventQuery(event)) == SUCCESS);
        assert_eq!(flags[3].load(SeqCst), 5);
    });
}

#[test]
fn a_stream_waits_for_a_value_while_the_host_polls_what_follows() {
    with_seeds(|| {
        let (work, stream) = (function(load(PTX), "work"), stream(NON_BLOCKING));
        let flags = flags(2);
        succeed!(cuStreamWaitValue32_v2(stream, address(&flags[0]), 3, 0));
        launch(work, stream, &[address(&flags[1])], &[9]);
        std::thread::sleep(Duration::from_millis(60));
        assert_eq!(flags[1].load(SeqCst), 0);
        flags[0].store(3, SeqCst);
        assert_eq!(poll(&flags[1]), 9);
    });
}

#[test]
fn other_threads_use_the_driver_while_a_kernel_runs() {
    in_time(|context| {
        let module = load(PTX);
        let (relay, work) = (function(module, "relay"), function(module, "work"));
        let (waiting, flags) = (stream(NON_BLOCKING), flags(2));
        let flag = device_memory(4);
        succeed!(cuMemsetD32_v2(flag, 0, 1); cuCtxSynchronize());
        launch(relay, waiting, &[flag, address(&flags[1])], &[]);
        let work = work as usize;
        let other = thread(context, move || {
            let (side, memory) = (stream(NON_BLOCKING), device_memory(8));
            launch(work as sys::CUfunction, side, &[memory], &[12]);
            succeed!(cuStreamSynchronize(side));
            let (mut seen, one) = (0u32, 1u32);
            succeed!(cuMemcpyDtoHAsync_v2((&raw mut seen).cast(), memory, 4, side));
            assert_eq!(seen, 12);
            load(PTX);
            assert_eq!(flags[1].load(SeqCst), 0, "the kernel still waits");
            succeed!(cuMemcpyHtoDAsync_v2(flag, (&raw const one).cast(), 4, side); cuStreamSynchronize(side));
        });
        succeed!(cuStreamSynchronize(waiting));
        assert_eq!(flags[1].load(SeqCst), 2);
        other.join().unwrap();
    });
}

/// What a host function waits for.
static CALLED: AtomicBool = AtomicBool::new(false);

unsafe extern "C" fn wait_for_a_call(_: *mut c_void) {
    poll_for(|| CALLED.load(SeqCst));
}

unsafe extern "C" fn wait_for_a_call_back(_: sys::CUstream, state: CUresult, _: *mut c_void) {
    assert_eq!(state, SUCCESS);
    poll_for(|| CALLED.load(SeqCst));
}

#[test]
fn functions_of_the_program_wait_for_threads_that_call_the_driver() {
    in_time(|context| {
        let (stream, null) = (stream(NON_BLOCKING), std::ptr::null_mut());
        for back in [false, true] {
            CALLED.store(false, SeqCst);
            if back {
                succeed!(cuStreamAddCallback(stream, Some(wait_for_a_call_back), null, 0));
            } else {
                succeed!(cuLaunchHostFunc(stream, Some(wait_for_a_call), null));
            }
            let other = thread(context, || {
                std::thread::sleep(Duration::from_millis(20));
                let memory = device_memory(4);
                succeed!(cuMemsetD32_v2(memory, 3, 1));
                assert_eq!(read_integers(memory, 1), [3]);
                CALLED.store(true, SeqCst);
            });
            succeed!(cuStreamSynchronize(stream));
            assert!(CALLED.load(SeqCst));
            other.join().unwrap();
            // The thread that asks is not the one that waits.
            CALLED.store(false, SeqCst);
            succeed!(cuLaunchHostFunc(stream, Some(wait_for_a_call), null));
            assert_eq!(result!(cuStreamQuery(stream)), NOT_READY);
            CALLED.store(true, SeqCst);
            succeed!(cuStreamSynchronize(stream));
        }
    });
}

#[test]
fn kernels_of_two_streams_wait_for_each_other() {
    with_seeds(|| {
        let module = load(PTX);
        let (relay, rally) = (function(module, "relay"), function(module, "rally"));
        let (one, two) = (stream(NON_BLOCKING), stream(NON_BLOCKING));
        let flags = flags(3);
        // The first waits for the third, which waits for the second, which has what it needs.
        launch(relay, one, &[address(&flags[1]), address(&flags[2])], &[]);
        launch(relay, two, &[address(&flags[0]), address(&flags[1])], &[]);
        flags[0].store(1, SeqCst);
        succeed!(cuStreamSynchronize(one));
        assert_eq!(flags[2].load(SeqCst), 3);
        let (mine, other) = (device_memory(4), device_memory(4));
        succeed!(cuMemsetD32_v2(mine, 1, 1); cuMemsetD32_v2(other, 0, 1); cuCtxSynchronize());
        launch(rally, one, &[mine, other], &[1, 99]);
        launch(rally, two, &[other, mine], &[2, 98]);
        succeed!(cuCtxSynchronize());
        assert_eq!((read_integers(mine, 1), read_integers(other, 1)), (vec![99], vec![100]));
    });
}

#[test]
fn what_others_wait_for_is_begun_by_a_query_as_well() {
    with_seeds(|| {
        let module = load(PTX);
        let (relay, work) = (function(module, "relay"), function(module, "work"));
        let (one, two, flags) = (stream(NON_BLOCKING), stream(NON_BLOCKING), flags(4));
        launch(relay, one, &[address(&flags[1]), address(&flags[2])], &[]);
        launch(work, two, &[address(&flags[1])], &[8]);
        poll_for(|| result!(cuStreamQuery(one)) == SUCCESS);
        assert_eq!(flags[2].load(SeqCst), 9);
        succeed!(cuStreamWaitValue32_v2(one, address(&flags[3]), 10, 0));
        launch(work, two, &[address(&flags[3])], &[10]);
        poll_for(|| result!(cuStreamQuery(one)) == SUCCESS);
        assert_eq!(flags[3].load(SeqCst), 10);
    });
}

#[test]
fn a_kernel_that_only_waits_is_told_from_one_that_works() {
    in_time(|_| {
        let module = load(PTX);
        let (work, one, two) = (function(module, "work"), stream(NON_BLOCKING), stream(NON_BLOCKING));
        let flags = flags(2);
        for relay in ["relay", "relay_sleeping"].map(|name| function(module, name)) {
            // After a second the other kernel would run whatever the first one does.
            let soon = (0..10).any(|_| {
                flags.iter().for_each(|flag| flag.store(0, SeqCst));
                let start = Instant::now();
                launch(relay, one, &[address(&flags[0]), address(&flags[1])], &[]);
                launch(work, two, &[address(&flags[0])], &[4]);
                succeed!(cuStreamSynchronize(one));
                assert_eq!(flags[1].load(SeqCst), 5);
                start.elapsed() < Duration::from_millis(900)
            });
            assert!(soon);
        }
    });
}

#[test]
fn waiting_that_cannot_be_told_from_work_ends_as_well() {
    in_time(|_| {
        let module = load(PTX);
        let (relay, counting) = (function(module, "relay"), function(module, "relay_counting"));
        let (one, two, flags) = (stream(NON_BLOCKING), stream(NON_BLOCKING), flags(3));
        launch(counting, one, &[address(&flags[1]), address(&flags[2])], &[]);
        launch(relay, two, &[address(&flags[0]), address(&flags[1])], &[]);
        flags[0].store(1, SeqCst);
        succeed!(cuStreamSynchronize(one));
        assert!(flags[2].load(SeqCst) > 1);
    });
}

#[test]
fn a_thread_that_polls_is_served_while_another_calls_all_the_time() {
    in_time(|context| {
        let (work, stream, flags) = (function(load(PTX), "work"), stream(NON_BLOCKING), flags(1));
        let stop = &*Box::leak(Box::new(AtomicBool::new(false)));
        let other = thread(context, move || {
            let memory = device_memory(4);
            while !stop.load(SeqCst) {
                succeed!(cuMemsetD32_v2(memory, 3, 1); cuCtxGetFlags(&mut 0));
            }
        });
        launch(work, stream, &[address(&flags[0])], &[4]);
        assert_eq!(poll(&flags[0]), 4);
        stop.store(true, SeqCst);
        other.join().unwrap();
    });
}

#[test]
fn work_that_nobody_needs_stays_late_beside_a_long_kernel() {
    in_time(|_| {
        let (work, one, two) = (function(load(PTX), "work"), stream(NON_BLOCKING), stream(NON_BLOCKING));
        let flags = flags(2);
        // A long kernel, the time that it and the calls around it took, and what the other one had written then.
        let run = |rounds| {
            flags.iter().for_each(|flag| flag.store(0, SeqCst));
            let start = Instant::now();
            launch(work, two, &[address(&flags[1])], &[1]);
            launch(work, one, &[address(&flags[0])], &[rounds]);
            succeed!(cuStreamSynchronize(one));
            let seen = (start.elapsed(), flags[1].load(SeqCst));
            succeed!(cuCtxSynchronize());
            seen
        };
        let mut rounds = 100_000;
        while run(rounds).0 < Duration::from_millis(150) {
            rounds *= 2;
        }
        // A busy machine may keep this thread from calling for as long as the device is patient, but not every time.
        let seen: Vec<(Duration, u32)> = (0..5).map(|_| run(rounds)).collect();
        assert!(seen.iter().any(|&(_, written)| written == 0), "{seen:?}");
    });
}

#[test]
fn a_fault_ends_the_kernels_that_run_beside_it() {
    in_time(|context| {
        let module = load(PTX);
        let (relay, fault) = (function(module, "relay"), function(module, "fault"));
        let (one, two, flags) = (stream(NON_BLOCKING), stream(NON_BLOCKING), flags(3));
        launch(relay, one, &[address(&flags[1]), address(&flags[2])], &[]);
        launch(fault, two, &[address(&flags[0])], &[]);
        let two = two as usize;
        let code = CUresult::CUDA_ERROR_ILLEGAL_ADDRESS;
        let other = thread(context, move || {
            assert_eq!(result!(cuStreamSynchronize(two as sys::CUstream)), code);
        });
        std::thread::sleep(Duration::from_millis(50));
        flags[0].store(1, SeqCst);
        assert_eq!(result!(cuStreamSynchronize(one)), code);
        other.join().unwrap();
        assert_eq!(flags[2].load(SeqCst), 0);
        assert_eq!(result!(cuCtxSynchronize()), code, "every later call answers with it");
    });
}

#[test]
fn memory_is_released_when_nothing_uses_it_any_more() {
    in_time(|context| {
        let (relay, stream, flags) = (function(load(PTX), "relay"), stream(NON_BLOCKING), flags(2));
        let (memory, pinned) = (device_memory(4), pinned_memory(4));
        let mut pooled = 0;
        succeed!(cuMemAllocAsync(&mut pooled, 4096, stream); cuStreamSynchronize(stream));
        launch(relay, stream, &[address(&flags[0]), address(&flags[1])], &[]);
        assert_eq!(result!(cuStreamQuery(stream)), NOT_READY);
        let side = common::stream(NON_BLOCKING) as usize;
        // Neither of these waits for the kernel.
        succeed!(cuMemFreeAsync(pooled, side as sys::CUstream); cuStreamSynchronize(side as sys::CUstream));
        succeed!(cuMemFreeHost(pinned.as_mut_ptr().cast()));
        let other = thread(context, move || {
            succeed!(cuMemFree_v2(memory));
            assert_eq!(flags[1].load(SeqCst), 2, "the driver waits before it releases memory");
        });
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(result!(cuMemFreeHost(pinned.as_mut_ptr().cast())), CUresult::CUDA_ERROR_INVALID_VALUE);
        flags[0].store(1, SeqCst);
        other.join().unwrap();
        assert_eq!(result!(cuMemFree_v2(memory)), CUresult::CUDA_ERROR_INVALID_VALUE, "released already");
    });
}

static ENDED: AtomicU32 = AtomicU32::new(0);

unsafe extern "C" fn note_end(_: *mut c_void) {
    ENDED.fetch_add(1, SeqCst);
}

#[test]
fn the_end_of_a_context_waits_for_its_work() {
    in_time(|_| {
        let context = TestContext::another();
        let (relay, stream, flags) = (function(load(PTX), "relay"), stream(NON_BLOCKING), flags(2));
        launch(relay, stream, &[address(&flags[0]), address(&flags[1])], &[]);
        succeed!(cuLaunchHostFunc(stream, Some(note_end), std::ptr::null_mut()));
        assert_eq!(result!(cuStreamQuery(stream)), NOT_READY);
        let other = std::thread::spawn(|| {
            std::thread::sleep(Duration::from_millis(50));
            assert_eq!(ENDED.load(SeqCst), 0);
            flags[0].store(1, SeqCst);
        });
        drop(context);
        assert_eq!(ENDED.load(SeqCst), 1);
        other.join().unwrap();
    });
}

/// Set, to its name, in the process of a test that has one of its own.
const CHILD: &str = "PROGRESS_IN_THIS_PROCESS";

fn is_child(name: &str) -> bool {
    std::env::var_os(CHILD).is_some_and(|value| value == name)
}

/// Runs the test `name` in a process of its own; whether it ended well and in time.
fn run_child(name: &str) {
    let test = std::env::current_exe().expect("the test itself");
    let mut child = Command::new(test);
    let mut child = child.args(["--exact", name, "--nocapture"]).env(CHILD, name).spawn().expect("a process");
    let start = Instant::now();
    let status = loop {
        match child.try_wait().expect("the state of the process") {
            Some(status) => break status,
            None if start.elapsed() > LIMIT => {
                child.kill().expect("it runs");
                panic!("{name}: the process did not end");
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    assert!(status.success(), "{name}: {status}");
}

/// A kernel that runs and will never end.
fn run_for_ever() {
    let (module, stream, flags) = (load(PTX), stream(NON_BLOCKING), flags(3));
    launch(function(module, "work"), stream, &[address(&flags[0])], &[1]);
    launch(function(module, "relay"), stream, &[address(&flags[1]), address(&flags[2])], &[]);
    assert_eq!(poll(&flags[0]), 1);
    assert_eq!(result!(cuStreamQuery(stream)), NOT_READY);
}

#[test]
fn a_process_ends_while_a_kernel_runs() {
    const NAME: &str = "a_process_ends_while_a_kernel_runs";
    if !is_child(NAME) {
        return run_child(NAME);
    }
    let checks = cuda_emulator::Checks { leaks: true, ..cuda_emulator::Checks::NONE };
    cuda_emulator::configure(cuda_emulator::Config { checks, quiet: true, ..cuda_emulator::Config::default() })
        .unwrap();
    std::mem::forget(TestContext::new());
    run_for_ever();
}

unsafe extern "C" {
    fn fork() -> i32;
    fn waitpid(process: i32, status: *mut i32, options: i32) -> i32;
    fn _exit(status: i32) -> !;
}

#[test]
fn a_forked_process_is_told_that_it_has_no_driver() {
    const NAME: &str = "a_forked_process_is_told_that_it_has_no_driver";
    if !is_child(NAME) {
        return run_child(NAME);
    }
    std::mem::forget(TestContext::new());
    run_for_ever();
    for _ in 0..50 {
        // SAFETY: the new process calls the driver, which refuses, and ends without the library's help.
        let process = unsafe { fork() };
        if process == 0 {
            let (mut count, mut version) = (0, 0);
            let refused = result!(cuDeviceGetCount(&mut count)) == CUresult::CUDA_ERROR_NOT_INITIALIZED;
            let told = result!(cuDriverGetVersion(&mut version)) == SUCCESS;
            // SAFETY: nothing of this process is needed any more.
            unsafe { _exit(i32::from(!refused || !told)) };
        }
        let mut status = -1;
        // SAFETY: the pointer is valid for the result.
        assert_eq!(unsafe { waitpid(process, &mut status, 0) }, process);
        assert_eq!(status, 0);
        std::thread::sleep(Duration::from_millis(2));
    }
}
