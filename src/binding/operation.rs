//! A native operation as JavaScript holds it, and what operations give as values of JavaScript.

use super::transferred;
use crate::{
    native::{Array, Failure, Limits, Operation, Output, Value},
    place::row,
};
use napi::{
    Env, JsValue, Result,
    bindgen_prelude::{
        BigInt, BigInt64ArraySlice, BigUint64ArraySlice, BufferSlice, Float32ArraySlice, Float64ArraySlice,
        Int8ArraySlice, Int16ArraySlice, Int32ArraySlice, JsObjectValue, Null, Object, ToNapiValue, Uint8ArraySlice,
        Uint8ClampedSlice, Uint16ArraySlice, Uint32ArraySlice, Unknown,
    },
};
use napi_derive::napi;
use std::{borrow::Cow, sync::Arc};

/// What runs for the items of a call: `lib/native/operation.js` describes it in JSON. Failures are thrown as errors whose
/// message is their JSON record.
#[napi]
pub struct NativeOperation {
    operation: Arc<Operation>,
}

#[napi]
impl NativeOperation {
    /// `max_bytes`, `max_units`: most bytes of a Buffer, and units of a string.
    #[napi(constructor, catch_unwind)]
    #[allow(clippy::needless_pass_by_value, clippy::cast_sign_loss)] // napi hands arguments over by value, and as numbers
    pub fn new(spec: String, max_bytes: f64, max_units: f64) -> Result<Self> {
        let limits = Limits { bytes: max_bytes as u64, units: max_units as u64 };
        Operation::new(&spec, limits)
            .map(|operation| Self { operation: Arc::new(operation) })
            .map_err(|error| failed(&error))
    }

    /// Runs one item here and now, on this thread alone. `large` are the parts that are not in the row, which nobody changes meanwhile.
    #[napi(catch_unwind, ts_return_type = "unknown")]
    #[allow(clippy::needless_pass_by_value)] // as above
    pub fn run_sync<'env>(&self, env: &'env Env, row: &[u8], large: Vec<Uint8ArraySlice<'_>>) -> Result<Unknown<'env>> {
        let mut parts = large.iter();
        let item = row::item(row, || parts.next().map(AsRef::as_ref));
        let output = item.and_then(|item| self.operation.run_alone(item)).map_err(|failure| failed(&failure))?;
        to_javascript(env, output)
    }

    #[must_use]
    pub fn shared(&self) -> Arc<Operation> {
        Arc::clone(&self.operation)
    }
}

/// A value of JavaScript's. What is large is not copied: it goes over with its memory.
pub fn to_javascript(env: &Env, value: Output) -> Result<Unknown<'_>> {
    match value {
        Value::Undefined => ().into_unknown(env),
        Value::Null => Null.into_unknown(env),
        Value::Number(number) => number.into_unknown(env),
        Value::BigInt(number) => BigInt::from(number).into_unknown(env),
        Value::Text(text) => string(env, &text),
        Value::Bytes(bytes) if bytes.len() < COPIED_BELOW => {
            Ok(BufferSlice::copy_from(env, bytes.as_ref())?.to_unknown())
        }
        Value::Bytes(bytes) => Ok(BufferSlice::from_data(env, bytes.into_owned())?.to_unknown()),
        Value::Array(elements) => array(env, elements),
        Value::Arrays(arrays) => list(env, arrays.into_iter().map(Value::Array).collect()),
        Value::List(values) => list(env, values),
        Value::Transferred(code, memory) => {
            let array = transferred::typed_array(env, code, &memory)?;
            // SAFETY: a live value of this environment.
            Ok(unsafe { Unknown::from_raw_unchecked(env.raw(), array) })
        }
        Value::Record(fields) => {
            let mut object = Object::new(env)?;
            for (name, value) in fields {
                object.set_named_property(name, to_javascript(env, value)?)?;
            }
            Ok(object.to_unknown())
        }
    }
}

/// Below, memory of its own costs more than a copy.
const COPIED_BELOW: usize = 8 << 10;

fn string<'env>(env: &'env Env, text: &str) -> Result<Unknown<'env>> {
    if text.is_ascii() {
        // One byte per character, as V8 keeps it.
        return Ok(env.create_string_latin1(text.as_bytes())?.to_unknown());
    }
    Ok(env.create_string(text)?.to_unknown())
}

fn list(env: &Env, values: Vec<Output>) -> Result<Unknown<'_>> {
    let mut list = env.create_array(values.len() as u32)?;
    for (at, value) in values.into_iter().enumerate() {
        list.set(at as u32, to_javascript(env, value)?)?;
    }
    Ok(list.to_unknown())
}

fn array<'env>(env: &'env Env, array: Array<'static>) -> Result<Unknown<'env>> {
    macro_rules! typed {
        ($($kind:ident => $slice:ident),+ $(,)?) => {
            match array {
                $(Array::$kind(elements) => $slice::from_data(env, Cow::into_owned(elements))?.to_unknown()),+
            }
        };
    }
    Ok(typed! {
        U8 => Uint8ArraySlice,
        I8 => Int8ArraySlice,
        U8Clamped => Uint8ClampedSlice,
        I16 => Int16ArraySlice,
        U16 => Uint16ArraySlice,
        I32 => Int32ArraySlice,
        U32 => Uint32ArraySlice,
        F32 => Float32ArraySlice,
        F64 => Float64ArraySlice,
        I64 => BigInt64ArraySlice,
        U64 => BigUint64ArraySlice,
    })
}

/// As an error whose message is the record.
fn failed(failure: &Failure) -> napi::Error {
    napi::Error::from_reason(failure.to_json())
}
