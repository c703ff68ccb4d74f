//! A seed permutes the order of work that nothing orders, and of nothing else. One test: the seed is the process's.

#[macro_use]
mod common;

use std::collections::BTreeSet;
use std::ffi::c_void;
use std::sync::Mutex;

use common::{TestContext, event, stream};

static ORDER: Mutex<Vec<usize>> = Mutex::new(Vec::new());

unsafe extern "C" fn note(data: *mut c_void) {
    ORDER.lock().unwrap().push(data as usize);
}

/// Runs three streams of two steps each, the last of which waits for the first, and gives the order of the steps.
fn order_of_steps(seed: u64) -> Vec<usize> {
    let config = cuda_emulator::Config { seed, quiet: true, threads: 1, ..cuda_emulator::Config::default() };
    cuda_emulator::configure(config).unwrap();
    ORDER.lock().unwrap().clear();
    let first = event();
    let streams = [(); 3].map(|()| stream(1));
    for step in 0..2 {
        for (index, stream) in streams.into_iter().enumerate() {
            if (step, index) == (1, 2) {
                succeed!(cuStreamWaitEvent(stream, first, 0));
            }
            succeed!(cuLaunchHostFunc(stream, Some(note), (10 * index + step) as *mut c_void));
            if (step, index) == (1, 0) {
                succeed!(cuEventRecord(first, stream));
            }
        }
    }
    succeed!(cuStreamSynchronize(streams[2]));
    let before = ORDER.lock().unwrap().len();
    assert!(ORDER.lock().unwrap().contains(&21), "what was waited for is done");
    if seed == 0 {
        assert_eq!(before, 4, "and nothing else");
    }
    succeed!(cuCtxSynchronize());
    ORDER.lock().unwrap().clone()
}

#[test]
fn seeds_permute_what_nothing_orders() {
    let _context = TestContext::new();
    assert_eq!(order_of_steps(0), [0, 20, 1, 21, 10, 11], "as late as possible, in the order of submission");
    let mut orders = BTreeSet::new();
    for seed in 1..40 {
        let order = order_of_steps(seed);
        let place = |step: usize| order.iter().position(|&other| other == step).unwrap();
        assert!(place(0) < place(1) && place(10) < place(11) && place(20) < place(21), "seed {seed}: {order:?}");
        assert!(place(1) < place(21), "seed {seed}: {order:?}");
        orders.insert(order);
    }
    assert!(orders.len() > 8, "only {} orders", orders.len());
}
