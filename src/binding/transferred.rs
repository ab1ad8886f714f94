//! Memory that JavaScript has given away: a reference of ours keeps an `ArrayBuffer` alive that no code of JavaScript
//! knows, so that threads can read it, and change it, where it is.
//!
//! References belong to the JavaScript thread: what threads let go of is only noted, and deleted there. When the
//! environment ends (a user's own `Worker` is terminated, or the program ends while something still runs), V8's memory
//! goes with it: from then on nobody gets in, and the environment waits for those who are.

use super::event_loop::check;
use crate::{
    native::transferred::{Keeper, Transferred},
    place::Pool,
};
use napi::{Env, Result, sys};
use std::{
    cell::Cell,
    ffi::c_void,
    mem,
    ptr::{self, NonNull},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak},
    thread::{self, ThreadId},
};

/// What was given away to one pool. Lives on the JavaScript thread.
pub struct References {
    env: Env,
    shared: Arc<Shared>,
    /// A counted pointer to `shared`, as long as the environment's hook has it.
    hook: Cell<Option<*const Shared>>,
}

struct Shared {
    state: Mutex<State>,
    /// The last one inside has left.
    left: Condvar,
    pool: Weak<Pool>,
    javascript: ThreadId,
}

#[derive(Default)]
struct State {
    /// Threads that use memory now.
    inside: usize,
    /// Nobody gets in any more.
    ends: bool,
    /// What nobody needs any more.
    released: Vec<Reference>,
}

/// A reference to an `Uint8Array`. Only the JavaScript thread follows or deletes it.
#[derive(Clone, Copy)]
struct Reference(sys::napi_ref);

// SAFETY: other threads only hand it on.
unsafe impl Send for Reference {}
// SAFETY: as above.
unsafe impl Sync for Reference {}

/// Keeps one alive.
struct Kept {
    reference: Reference,
    shared: Arc<Shared>,
}

impl References {
    #[must_use]
    pub fn new(env: Env, pool: Weak<Pool>) -> Self {
        let javascript = thread::current().id();
        let shared = Arc::new(Shared { state: Mutex::default(), left: Condvar::new(), pool, javascript });
        Self { env, shared, hook: Cell::new(None) }
    }

    /// Takes over what is in a `Uint8Array`, which nobody else must know.
    ///
    /// # Safety
    ///
    /// No code of JavaScript reaches the array or its `ArrayBuffer` by anything but `bytes`, and lets go of that.
    pub unsafe fn take(&self, bytes: sys::napi_value, may_change: bool) -> Result<Transferred> {
        self.delete_released();
        let mut reference = ptr::null_mut();
        // SAFETY: on the environment's thread; `bytes` is a live value of it; the out-pointer lives through the call.
        let View { length, start, .. } = unsafe {
            let view = View::of(self.env.raw(), bytes)?;
            self.watch_environment()?;
            check(sys::napi_create_reference(self.env.raw(), bytes, 1, &raw mut reference))?;
            view
        };
        let kept = Kept { reference: Reference(reference), shared: Arc::clone(&self.shared) };
        let start = NonNull::new(start.cast::<u8>()).unwrap_or(NonNull::dangling());
        // SAFETY: an array of bytes has as many as it says, all initialised. JavaScript reaches them no more (the caller
        // says so), so that nobody writes, resizes, detaches or transfers them; and they are not collected while the
        // reference is there, which is deleted when `kept` was dropped, or else goes with the environment: that waits for
        // those who have entered.
        Ok(unsafe { Transferred::new(start, length, may_change, Box::new(kept)) })
    }

    /// Deletes what nobody needs any more.
    pub fn delete_released(&self) {
        for Reference(reference) in mem::take(&mut lock(&self.shared.state).released) {
            // SAFETY: on the environment's thread, and once: what was released is nobody's.
            unsafe { sys::napi_delete_reference(self.env.raw(), reference) };
        }
    }

    /// Hears of the environment's end before all those that were registered up to now (hooks run in the opposite order):
    /// whose memory it is, if it is not V8's, may go with another hook.
    fn watch_environment(&self) -> Result<()> {
        let shared = self.hook.take().unwrap_or_else(|| Arc::into_raw(Arc::clone(&self.shared)));
        let argument = shared.cast_mut().cast::<c_void>();
        // SAFETY: on the environment's thread. Removing what is not registered does nothing; the argument is a counted
        // pointer, which the hook gives back, or `drop` after it has removed the hook.
        unsafe {
            sys::napi_remove_env_cleanup_hook(self.env.raw(), Some(on_environment_end), argument);
            self.hook.set(Some(shared));
            check(sys::napi_add_env_cleanup_hook(self.env.raw(), Some(on_environment_end), argument))
        }
    }
}

impl Drop for References {
    fn drop(&mut self) {
        let Some(shared) = self.hook.take().filter(|_| !lock(&self.shared.state).ends) else { return };
        self.shared.end();
        self.delete_released();
        let argument = shared.cast_mut().cast::<c_void>();
        // SAFETY: on the environment's thread; the hook has not run (`ends` was false), so it is still registered, and the
        // counted pointer is ours again.
        unsafe {
            sys::napi_remove_env_cleanup_hook(self.env.raw(), Some(on_environment_end), argument);
            drop(Arc::from_raw(shared));
        }
    }
}

impl Shared {
    /// Nobody gets in from now on; waits for those who are, which takes as long as their items do.
    fn end(&self) {
        let mut state = lock(&self.state);
        state.ends = true;
        drop(self.left.wait_while(state, |state| state.inside > 0));
    }
}

impl Keeper for Kept {
    fn enter(&self) -> bool {
        let mut state = lock(&self.shared.state);
        state.inside += usize::from(!state.ends);
        !state.ends
    }

    fn leave(&self) {
        let mut state = lock(&self.shared.state);
        state.inside -= 1;
        if state.ends && state.inside == 0 {
            self.shared.left.notify_all();
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let mut state = lock(&self.shared.state);
        let first = state.released.is_empty();
        state.released.push(self.reference);
        drop(state);
        // The JavaScript thread deletes it before it leaves, or is to come for it.
        let elsewhere = first && thread::current().id() != self.shared.javascript;
        if let Some(pool) = elsewhere.then(|| self.shared.pool.upgrade()).flatten() {
            pool.bell.ring();
        }
    }
}

/// Where the bytes of a typed array are: in memory, and in its `ArrayBuffer`.
struct View {
    length: usize,
    start: *mut c_void,
    buffer: sys::napi_value,
    offset: usize,
}

impl View {
    /// # Safety
    ///
    /// On the environment's thread, of a live value of it.
    unsafe fn of(env: sys::napi_env, array: sys::napi_value) -> Result<Self> {
        let (mut kind, mut length, mut offset) = (0, 0, 0);
        let (mut start, mut buffer) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: as the caller says; the out-pointers live through the call.
        check(unsafe {
            sys::napi_get_typedarray_info(
                env,
                array,
                &raw mut kind,
                &raw mut length,
                &raw mut start,
                &raw mut buffer,
                &raw mut offset,
            )
        })?;
        Ok(Self { length, start, buffer, offset })
    }
}

/// The typed array of the type that has this code, over memory that was given away: from here on JavaScript has it again.
pub fn typed_array(env: &Env, code: u8, memory: &Transferred) -> Result<sys::napi_value> {
    let kept = memory.keeper().downcast_ref::<Kept>();
    let (kept, element) = kept.zip(element(code)).ok_or_else(|| napi::Error::from_reason("not given away here"))?;
    let (mut bytes, mut array) = (ptr::null_mut(), ptr::null_mut());
    let env = env.raw();
    // SAFETY: on the environment's thread; the reference is there until `kept` is dropped; the out-pointers live through
    // the calls. Threads leave alone what one of them has changed, and only that becomes a result.
    unsafe {
        check(sys::napi_get_reference_value(env, kept.reference.0, &raw mut bytes))?;
        let View { length, buffer, offset, .. } = View::of(env, bytes)?;
        check(sys::napi_create_typedarray(env, element.0, length / element.1, buffer, offset, &raw mut array))?;
    }
    Ok(array)
}

/// Node-API's name of the type of array that has this code, and the size of an element.
fn element(code: u8) -> Option<(sys::napi_typedarray_type, usize)> {
    Some(match code {
        2 => (sys::TypedarrayType::uint8_array, 1),
        3 => (sys::TypedarrayType::int8_array, 1),
        4 => (sys::TypedarrayType::uint8_clamped_array, 1),
        5 => (sys::TypedarrayType::int16_array, 2),
        6 => (sys::TypedarrayType::uint16_array, 2),
        7 => (sys::TypedarrayType::int32_array, 4),
        8 => (sys::TypedarrayType::uint32_array, 4),
        9 => (sys::TypedarrayType::float32_array, 4),
        10 => (sys::TypedarrayType::float64_array, 8),
        11 => (sys::TypedarrayType::bigint64_array, 8),
        12 => (sys::TypedarrayType::biguint64_array, 8),
        _ => return None,
    })
}

unsafe extern "C" fn on_environment_end(shared: *mut c_void) {
    // SAFETY: the counted pointer of `watch_environment`, given back once: a hook runs once.
    let shared = unsafe { Arc::from_raw(shared.cast::<Shared>().cast_const()) };
    shared.end();
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
