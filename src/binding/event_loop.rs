//! A descriptor on Node's own event loop: when it becomes readable, a JavaScript function is called. That is one thread
//! hop less than a threadsafe function.

use napi::{Env, Result, sys};
use std::{
    cell::Cell,
    ffi::{c_char, c_int, c_void},
    os::fd::RawFd,
    ptr,
    rc::Rc,
    sync::OnceLock,
};

const UV_READABLE: c_int = 1;
/// `UV_POLL` in libuv's list of handle types, unchanged since 1.0.
const UV_POLL: c_int = 8;

type Handle = *mut c_void;

/// The libuv of the running Node, found by name: every supported one exports these.
struct Uv {
    handle_size: unsafe extern "C" fn(c_int) -> usize,
    poll_init: unsafe extern "C" fn(*mut c_void, Handle, c_int) -> c_int,
    poll_start: unsafe extern "C" fn(Handle, c_int, unsafe extern "C" fn(Handle, c_int, c_int)) -> c_int,
    poll_stop: unsafe extern "C" fn(Handle) -> c_int,
    close: unsafe extern "C" fn(Handle, unsafe extern "C" fn(Handle)),
    reference: unsafe extern "C" fn(Handle),
    unreference: unsafe extern "C" fn(Handle),
    set_data: unsafe extern "C" fn(Handle, *mut c_void),
    data: unsafe extern "C" fn(Handle) -> *mut c_void,
}

impl Uv {
    #[allow(clippy::missing_transmute_annotations)] // the fields that the symbols go into have the types
    fn load() -> Option<&'static Self> {
        static UV: OnceLock<Option<Uv>> = OnceLock::new();
        macro_rules! find {
            ($name:literal) => {{
                // SAFETY: the name ends with a zero; RTLD_DEFAULT searches what is loaded.
                let symbol = unsafe { libc::dlsym(libc::RTLD_DEFAULT, concat!($name, "\0").as_ptr().cast::<c_char>()) };
                if symbol.is_null() {
                    return None;
                }
                // SAFETY: libuv declares this function with the type of the field that it goes into.
                unsafe { std::mem::transmute(symbol) }
            }};
        }
        UV.get_or_init(|| {
            Some(Uv {
                handle_size: find!("uv_handle_size"),
                poll_init: find!("uv_poll_init"),
                poll_start: find!("uv_poll_start"),
                poll_stop: find!("uv_poll_stop"),
                close: find!("uv_close"),
                reference: find!("uv_ref"),
                unreference: find!("uv_unref"),
                set_data: find!("uv_handle_set_data"),
                data: find!("uv_handle_get_data"),
            })
        })
        .as_ref()
    }
}

/// Shared by its owner, the libuv handle, and Node's cleanup hook; freed by the last of them.
struct State {
    uv: &'static Uv,
    env: sys::napi_env,
    handle: Handle,
    /// What `handle` points to: libuv uses it until `on_close`.
    _memory: Vec<u128>,
    callback: Cell<sys::napi_ref>,
    hook: Cell<sys::napi_async_cleanup_hook_handle>,
    closing: Cell<bool>,
}

/// A watched descriptor. Lives on the JavaScript thread; does not keep the program alive unless told so.
pub struct Poll {
    state: Rc<State>,
    kept_alive: Cell<bool>,
}

impl Poll {
    /// Calls `callback` whenever `fd` is readable. The descriptor must stay open as long as this lives.
    pub fn new(env: Env, fd: RawFd, callback: sys::napi_value) -> Result<Self> {
        let uv = Uv::load()
            .ok_or_else(|| napi::Error::from_reason("this runtime does not export libuv's uv_poll functions"))?;
        let raw = env.raw();
        let mut uv_loop = ptr::null_mut();
        // SAFETY: called on the environment's own thread; the out-pointer lives through the call.
        check(unsafe { sys::napi_get_uv_event_loop(raw, &raw mut uv_loop) })?;
        let mut reference = ptr::null_mut();
        // SAFETY: as above; `callback` is a live value of this environment.
        check(unsafe { sys::napi_create_reference(raw, callback, 1, &raw mut reference) })?;
        // SAFETY: a pure function of libuv.
        let size = unsafe { (uv.handle_size)(UV_POLL) };
        // u128s: aligned for anything that libuv keeps in it.
        let mut memory = vec![0u128; size.div_ceil(16)];
        let handle: Handle = memory.as_mut_ptr().cast();
        // SAFETY: the memory is as large as libuv says, stays where it is (its Vec is never touched again), and lives
        // until after the close callback.
        let failed = unsafe { (uv.poll_init)(uv_loop.cast(), handle, fd) };
        if failed != 0 {
            // SAFETY: made above.
            unsafe { sys::napi_delete_reference(raw, reference) };
            return Err(napi::Error::from_reason(format!("uv_poll_init failed with {failed}")));
        }
        let state = Rc::new(State {
            uv,
            env: raw,
            handle,
            _memory: memory,
            callback: Cell::new(reference),
            hook: Cell::new(ptr::null_mut()),
            closing: Cell::new(false),
        });
        // SAFETY: the handle was initialised; its data is a counted pointer that on_close gives back.
        unsafe { (uv.set_data)(handle, Rc::into_raw(Rc::clone(&state)).cast_mut().cast()) };
        let argument = Rc::as_ptr(&state).cast_mut().cast();
        // From here on, whatever fails, the handle is closed when this is dropped.
        let poll = Self { state, kept_alive: Cell::new(false) };
        // SAFETY: the handle was initialised, and is open.
        let failed = unsafe {
            (uv.unreference)(handle);
            (uv.poll_start)(handle, UV_READABLE, on_readable)
        };
        if failed != 0 {
            return Err(napi::Error::from_reason(format!("uv_poll_start failed with {failed}")));
        }
        let mut hook = ptr::null_mut();
        // SAFETY: the argument is the handle's counted pointer, which lives until on_close, where the hook is removed.
        check(unsafe { sys::napi_add_async_cleanup_hook(raw, Some(on_environment_end), argument, &raw mut hook) })?;
        poll.state.hook.set(hook);
        Ok(poll)
    }

    /// Whether the program should wait for this.
    pub fn keep_alive(&self, keep: bool) {
        if self.state.closing.get() || self.kept_alive.replace(keep) == keep {
            return;
        }
        // SAFETY: the handle is open (not closing), and this is its thread: `Poll` is not `Send`.
        unsafe {
            if keep {
                (self.state.uv.reference)(self.state.handle);
            } else {
                (self.state.uv.unreference)(self.state.handle);
            }
        }
    }
}

impl Drop for Poll {
    fn drop(&mut self) {
        self.state.close();
    }
}

impl State {
    fn close(&self) {
        if self.closing.replace(true) {
            return;
        }
        // SAFETY: open until here, and closed once.
        unsafe {
            (self.uv.poll_stop)(self.handle);
            (self.uv.close)(self.handle, on_close);
        }
    }
}

unsafe extern "C" fn on_readable(handle: Handle, _status: c_int, _events: c_int) {
    let Some(uv) = Uv::load() else { return };
    // SAFETY: the data was set to a counted pointer that lives until on_close.
    let state = unsafe { &*(uv.data)(handle).cast::<State>() };
    let env = state.env;
    // SAFETY: libuv calls this on the environment's thread, outside of JavaScript; every value is made and used inside
    // the scope. A call that cannot be made (the environment is ending) is not made.
    unsafe {
        let mut scope = ptr::null_mut();
        if sys::napi_open_handle_scope(env, &raw mut scope) != sys::Status::napi_ok {
            return;
        }
        let (mut callback, mut global, mut result) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        if sys::napi_get_reference_value(env, state.callback.get(), &raw mut callback) == sys::Status::napi_ok
            && !callback.is_null()
            && sys::napi_get_global(env, &raw mut global) == sys::Status::napi_ok
        {
            let no_context = ptr::null_mut();
            let status = sys::napi_make_callback(env, no_context, global, callback, 0, ptr::null(), &raw mut result);
            if status == sys::Status::napi_pending_exception {
                let mut exception = ptr::null_mut();
                if sys::napi_get_and_clear_last_exception(env, &raw mut exception) == sys::Status::napi_ok {
                    sys::napi_fatal_exception(env, exception);
                }
            }
        }
        sys::napi_close_handle_scope(env, scope);
    }
}

unsafe extern "C" fn on_close(handle: Handle) {
    let Some(uv) = Uv::load() else { return };
    // SAFETY: the counted pointer of `Poll::new`, given back once: libuv calls this once.
    let state = unsafe { Rc::from_raw((uv.data)(handle).cast::<State>()) };
    // SAFETY: the environment waits for this hook to be removed, so it is alive; the reference is deleted once.
    unsafe {
        sys::napi_delete_reference(state.env, state.callback.replace(ptr::null_mut()));
        if !state.hook.get().is_null() {
            sys::napi_remove_async_cleanup_hook(state.hook.get());
        }
    }
}

unsafe extern "C" fn on_environment_end(_hook: sys::napi_async_cleanup_hook_handle, state: *mut c_void) {
    // SAFETY: the hook is removed in on_close, before the pointer is given back.
    unsafe { &*state.cast::<State>() }.close();
}

pub fn check(status: sys::napi_status) -> Result<()> {
    if status == sys::Status::napi_ok {
        Ok(())
    } else {
        Err(napi::Error::new(napi::Status::from(status), "a call into Node failed".to_owned()))
    }
}
