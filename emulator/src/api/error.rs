//! Error codes: their numbers, names and sentences, and the functions that tell them.

use std::ffi::{CStr, c_char};

use super::types::Out;
use crate::report::{Class, Fault, Report};

/// A result code of the driver API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct CUresult(pub u32);

macro_rules! codes {
    ($($constant:ident = $number:literal, $name:literal, $sentence:literal;)*) => {
        impl CUresult {
            $(pub const $constant: CUresult = CUresult($number);)*
        }

        /// Number, name and sentence of every code that the emulator gives.
        const CODES: &[(u32, &CStr, &CStr)] = &[$(($number, $name, $sentence),)*];
    };
}

codes! {
    SUCCESS = 0, c"CUDA_SUCCESS", c"no error";
    INVALID_VALUE = 1, c"CUDA_ERROR_INVALID_VALUE", c"invalid argument";
    OUT_OF_MEMORY = 2, c"CUDA_ERROR_OUT_OF_MEMORY", c"out of memory";
    NOT_INITIALIZED = 3, c"CUDA_ERROR_NOT_INITIALIZED", c"initialization error";
    INVALID_DEVICE = 101, c"CUDA_ERROR_INVALID_DEVICE", c"invalid device ordinal";
    INVALID_IMAGE = 200, c"CUDA_ERROR_INVALID_IMAGE", c"device kernel image is invalid";
    INVALID_CONTEXT = 201, c"CUDA_ERROR_INVALID_CONTEXT", c"invalid device context";
    NO_BINARY_FOR_GPU = 209, c"CUDA_ERROR_NO_BINARY_FOR_GPU", c"no kernel image is available for execution on the device";
    UNSUPPORTED_LIMIT = 215, c"CUDA_ERROR_UNSUPPORTED_LIMIT", c"limit is not supported on this architecture";
    INVALID_PTX = 218, c"CUDA_ERROR_INVALID_PTX", c"a PTX JIT compilation failed";
    UNSUPPORTED_PTX_VERSION = 222, c"CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
        c"the provided PTX was compiled with an unsupported toolchain.";
    FILE_NOT_FOUND = 301, c"CUDA_ERROR_FILE_NOT_FOUND", c"file not found";
    INVALID_HANDLE = 400, c"CUDA_ERROR_INVALID_HANDLE", c"invalid resource handle";
    NOT_FOUND = 500, c"CUDA_ERROR_NOT_FOUND", c"named symbol not found";
    NOT_READY = 600, c"CUDA_ERROR_NOT_READY", c"device not ready";
    ILLEGAL_ADDRESS = 700, c"CUDA_ERROR_ILLEGAL_ADDRESS", c"an illegal memory access was encountered";
    LAUNCH_OUT_OF_RESOURCES = 701, c"CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", c"too many resources requested for launch";
    CONTEXT_IS_DESTROYED = 709, c"CUDA_ERROR_CONTEXT_IS_DESTROYED", c"context is destroyed";
    LAUNCH_TIMEOUT = 702, c"CUDA_ERROR_LAUNCH_TIMEOUT", c"the launch timed out and was terminated";
    ASSERT = 710, c"CUDA_ERROR_ASSERT", c"device-side assert triggered";
    HARDWARE_STACK_ERROR = 714, c"CUDA_ERROR_HARDWARE_STACK_ERROR", c"hardware stack error";
    HOST_MEMORY_ALREADY_REGISTERED = 712, c"CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED",
        c"part or all of the requested memory range is already mapped";
    HOST_MEMORY_NOT_REGISTERED = 713, c"CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED",
        c"pointer does not correspond to a registered memory region";
    ILLEGAL_INSTRUCTION = 715, c"CUDA_ERROR_ILLEGAL_INSTRUCTION", c"an illegal instruction was encountered";
    MISALIGNED_ADDRESS = 716, c"CUDA_ERROR_MISALIGNED_ADDRESS", c"misaligned address";
    LAUNCH_FAILED = 719, c"CUDA_ERROR_LAUNCH_FAILED", c"unspecified launch failure";
    COOPERATIVE_LAUNCH_TOO_LARGE = 720, c"CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE",
        c"too many blocks in cooperative launch";
    NOT_PERMITTED = 800, c"CUDA_ERROR_NOT_PERMITTED", c"operation not permitted";
    NOT_SUPPORTED = 801, c"CUDA_ERROR_NOT_SUPPORTED", c"operation not supported";
    STREAM_CAPTURE_UNSUPPORTED = 900, c"CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
        c"operation not permitted when stream is capturing";
    STREAM_CAPTURE_INVALIDATED = 901, c"CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
        c"operation failed due to a previous error during capture";
    STREAM_CAPTURE_MERGE = 902, c"CUDA_ERROR_STREAM_CAPTURE_MERGE",
        c"operation would result in a merge of separate capture sequences";
    STREAM_CAPTURE_UNMATCHED = 903, c"CUDA_ERROR_STREAM_CAPTURE_UNMATCHED",
        c"capture was not ended in the same stream as it began";
    STREAM_CAPTURE_UNJOINED = 904, c"CUDA_ERROR_STREAM_CAPTURE_UNJOINED",
        c"capturing stream has unjoined work";
    STREAM_CAPTURE_ISOLATION = 905, c"CUDA_ERROR_STREAM_CAPTURE_ISOLATION",
        c"dependency created on uncaptured work in another stream";
    STREAM_CAPTURE_IMPLICIT = 906, c"CUDA_ERROR_STREAM_CAPTURE_IMPLICIT",
        c"operation would make the legacy stream depend on a capturing blocking stream";
    CAPTURED_EVENT = 907, c"CUDA_ERROR_CAPTURED_EVENT",
        c"operation not permitted on an event last recorded in a capturing stream";
    STREAM_CAPTURE_WRONG_THREAD = 908, c"CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD",
        c"attempt to terminate a thread-local capture sequence from another thread";
    UNKNOWN = 999, c"CUDA_ERROR_UNKNOWN", c"unknown error";
}

/// Why a call fails: the code for the caller and, where there is more to say, the report.
#[derive(Clone, Debug)]
pub struct Failure {
    pub code: CUresult,
    pub report: Option<Box<Report>>,
}

impl From<CUresult> for Failure {
    fn from(code: CUresult) -> Self {
        Failure { code, report: None }
    }
}

/// Result of a driver function before it becomes a code.
pub type Result<T = ()> = std::result::Result<T, Failure>;

/// A call with arguments that the driver refuses with `code`.
pub fn refused<T>(code: CUresult, why: impl Into<String>) -> Result<T> {
    Err(Failure { code, report: Some(Box::new(Report::new(Class::BadApiCall, why))) })
}

/// The error that a fault during execution leaves in its context.
pub fn fault_code(report: &Report) -> CUresult {
    match (report.class, report.fault) {
        (Class::UnsupportedPtx, _) => CUresult::NOT_SUPPORTED,
        (Class::EmulatorBug, _) => CUresult::UNKNOWN,
        (_, Some(Fault::IllegalAddress)) => CUresult::ILLEGAL_ADDRESS,
        (_, Some(Fault::MisalignedAddress)) => CUresult::MISALIGNED_ADDRESS,
        (_, Some(Fault::IllegalInstruction)) => CUresult::ILLEGAL_INSTRUCTION,
        (_, Some(Fault::Assert)) => CUresult::ASSERT,
        (_, Some(Fault::LaunchTimeout)) => CUresult::LAUNCH_TIMEOUT,
        (_, Some(Fault::StackOverflow)) => CUresult::HARDWARE_STACK_ERROR,
        (_, Some(Fault::LaunchFailed) | None) => CUresult::LAUNCH_FAILED,
    }
}

fn tell(
    code: CUresult,
    out: Out<*const c_char>,
    pick: impl Fn(&(u32, &'static CStr, &'static CStr)) -> &'static CStr,
) -> CUresult {
    let found = CODES.iter().find(|entry| entry.0 == code.0);
    let text = found.map_or(std::ptr::null(), |entry| pick(entry).as_ptr());
    match out.set(text) {
        Ok(()) if found.is_some() => CUresult::SUCCESS,
        _ => CUresult::INVALID_VALUE,
    }
}

/// The name of a code; null and `INVALID_VALUE` for a number that is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetErrorName(code: CUresult, name: Out<*const c_char>) -> CUresult {
    tell(code, name, |entry| entry.1)
}

/// The sentence that describes a code; null and `INVALID_VALUE` for a number that is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetErrorString(code: CUresult, sentence: Out<*const c_char>) -> CUresult {
    tell(code, sentence, |entry| entry.2)
}

super::exports![cuGetErrorName, cuGetErrorString];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_have_their_codes() {
        let bug = |fault| fault_code(&Report::new(Class::KernelBug, "").with_fault(fault));
        assert_eq!(bug(Fault::IllegalAddress), CUresult::ILLEGAL_ADDRESS);
        assert_eq!(bug(Fault::MisalignedAddress), CUresult::MISALIGNED_ADDRESS);
        assert_eq!(bug(Fault::IllegalInstruction), CUresult::ILLEGAL_INSTRUCTION);
        assert_eq!(bug(Fault::Assert), CUresult::ASSERT);
        assert_eq!(bug(Fault::LaunchTimeout), CUresult::LAUNCH_TIMEOUT);
        assert_eq!(bug(Fault::StackOverflow), CUresult::HARDWARE_STACK_ERROR);
        assert_eq!(bug(Fault::LaunchFailed), CUresult::LAUNCH_FAILED);
        let of = |class| fault_code(&Report::new(class, ""));
        assert_eq!(of(Class::KernelBug), CUresult::LAUNCH_FAILED);
        assert_eq!(of(Class::UnsupportedPtx), CUresult::NOT_SUPPORTED);
        assert_eq!(of(Class::EmulatorBug), CUresult::UNKNOWN);
    }

    #[test]
    fn codes_are_in_order_and_named() {
        assert!(CODES.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(CODES.iter().all(|(_, name, sentence)| name.to_bytes().starts_with(b"CUDA_") && !sentence.is_empty()));
    }
}
