//! What the emulator lacks is refused by name, and does not keep the rest of a module from running.

use cuda_emulator::device::Description;
use cuda_emulator::exec::Module;
use cuda_emulator::memory::Memory;
use cuda_emulator::report::Class;
use cudarc::driver::sys::CUresult;

use crate::harness::{Build, Source, line, on_every_build};

const SOURCE: Source = Source::new("beyond.cu").since(80);

#[test]
fn missing_instructions_are_named() {
    for build in Build::all().filter(|build| SOURCE.fits(build)) {
        let ptx = build.ptx(SOURCE.file);
        let text = std::str::from_utf8(&ptx).expect("PTX is ASCII").trim_end_matches('\0');
        let module = Module::load(text, &Description::default(), &mut Memory::default()).expect("it loads");
        for (index, kernel) in module.kernels().iter().enumerate() {
            let missing = match kernel.name.as_str() {
                "plain" => {
                    assert_eq!(module.unsupported(index), None);
                    continue;
                }
                "texture" => "tex.1d",
                _ => "cp.async.bulk.tensor",
            };
            let report = module.unsupported(index).unwrap_or_else(|| panic!("{missing} is new: test what it does"));
            let line = text.lines().nth(report.ptx_line.expect("a line") as usize - 1).expect("of the text");
            assert_eq!(report.class, Class::UnsupportedPtx);
            assert!(line.contains(missing) && report.to_string().contains(missing), "{build}: {report}");
        }
    }
}

#[test]
fn the_rest_of_the_module_runs() {
    on_every_build(SOURCE, |program| {
        let output = program.room::<i32>(32);
        program.launch("plain", line(1, 32), &[&output]);
        assert!(output.read().into_iter().eq(1..33));
        let refused = program.try_launch("texture", line(1, 32), &[&0u64, &output]);
        assert_eq!(refused.expect_err("it is refused").0, CUresult::CUDA_ERROR_NOT_SUPPORTED);
    });
}
