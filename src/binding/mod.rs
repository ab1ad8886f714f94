//! Everything that Node sees. Internal: the public face is JavaScript (`lib/`). A panic never crosses: each export
//! catches it and throws.

mod event_loop;
mod operation;
mod options;
mod pool;
mod source;
mod transferred;
mod worker;

use crate::error::Error;
use napi_derive::napi;

/// How many processors this process may use; sees cgroup quotas, which Node 20 does not.
#[napi(catch_unwind)]
#[must_use]
pub fn available_parallelism() -> u32 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32)
}

/// The file that this addon was loaded from, for worker processes to load it without searching.
#[napi(catch_unwind)]
#[must_use]
pub fn addon_path() -> Option<String> {
    // SAFETY: `Dl_info` is plain data, for which zeroes are a value.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    let here = addon_path as fn() -> Option<String> as *const libc::c_void;
    // SAFETY: `info` lives through the call; the address is one of our own functions.
    if unsafe { libc::dladdr(here, &raw mut info) } == 0 || info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: dladdr gives a string with its terminating zero, which lives as long as the library is loaded.
    let name = unsafe { std::ffi::CStr::from_ptr(info.dli_fname) };
    std::fs::canonicalize(name.to_str().ok()?).ok()?.to_str().map(str::to_owned)
}

fn thrown(error: &Error) -> napi::Error {
    napi::Error::from_reason(format!("{} [{}]", error, error.code()))
}
