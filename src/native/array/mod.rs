//! Numbers in typed arrays. What has to do with many of them runs on all threads (but for [`alone`]), and gives the same result on any
//! number of threads: parts have a fixed size, and are joined in their order.

mod alone;
mod element;
mod order;
mod spread;
mod sums;

use super::{Array, Failure, Step, Value};
pub use alone::alone;
use element::Element;
use serde::Deserialize;
use std::borrow::Cow;

/// What is done with an array.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "name", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ArrayOf {
    Sort,
    Argsort,
    Sum,
    Mean,
    Variance { ddof: f64 },
    Minmax,
    Histogram { bins: u32, min: Option<f64>, max: Option<f64> },
    Quantiles { probabilities: Vec<f64> },
    Cumsum,
    Dot,
}

/// Runs an expression with the elements of an array, and tells its type of array.
macro_rules! with_elements {
    ($array:expr, |$elements:ident, $kind:ident| $body:expr) => {
        match $array {
            Array::U8($elements) => with_elements!(@ U8, $kind, $body),
            Array::I8($elements) => with_elements!(@ I8, $kind, $body),
            Array::U8Clamped($elements) => with_elements!(@ U8Clamped, $kind, $body),
            Array::I16($elements) => with_elements!(@ I16, $kind, $body),
            Array::U16($elements) => with_elements!(@ U16, $kind, $body),
            Array::I32($elements) => with_elements!(@ I32, $kind, $body),
            Array::U32($elements) => with_elements!(@ U32, $kind, $body),
            Array::F32($elements) => with_elements!(@ F32, $kind, $body),
            Array::F64($elements) => with_elements!(@ F64, $kind, $body),
            Array::I64($elements) => with_elements!(@ I64, $kind, $body),
            Array::U64($elements) => with_elements!(@ U64, $kind, $body),
        }
    };
    (@ $variant:ident, $kind:ident, $body:expr) => {{
        #[allow(unused_variables)] // not every body makes an array of the same type
        let $kind = Array::$variant;
        $body
    }};
}

impl Step for ArrayOf {
    fn run<'a>(&self, value: Value<'a>) -> Result<Value<'a>, Failure> {
        if let Self::Dot = self {
            return dot(value.into_arrays()?);
        }
        let array = value.into_array()?;
        Ok(match self {
            Self::Sort => Value::Array(with_elements!(array, |elements, kind| kind(Cow::Owned(order::sort(elements))))),
            Self::Argsort => {
                Value::Array(Array::U32(Cow::Owned(with_elements!(array, |elements, _kind| order::argsort(&elements)))))
            }
            Self::Sum => with_elements!(array, |elements, _kind| total(&elements)),
            Self::Mean => Value::Number(with_elements!(array, |elements, _kind| sums::mean(&elements))),
            Self::Variance { ddof } => {
                Value::Number(with_elements!(array, |elements, _kind| sums::variance(&elements, *ddof)))
            }
            Self::Minmax => with_elements!(array, |elements, _kind| spread::minmax(&elements)),
            Self::Histogram { bins, min, max } => {
                with_elements!(array, |elements, _kind| spread::histogram(&elements, *bins, *min, *max))
            }
            Self::Quantiles { probabilities } => {
                let found = with_elements!(array, |elements, _kind| spread::quantiles(elements, probabilities));
                Value::Array(Array::F64(Cow::Owned(found)))
            }
            Self::Cumsum => Value::Array(with_elements!(array, |elements, _kind| Element::cumulated(&elements))?),
            Self::Dot => unreachable!("it was done above"),
        })
    }

    fn changes(&self) -> bool {
        matches!(self, Self::Sort)
    }

    fn change(&self, code: u8, elements: &mut [u8]) -> bool {
        // Of its type, and empty.
        let Some(kind) = Array::from_bytes(code, &[]).filter(|_| self.changes()) else { return false };
        with_elements!(kind, |none, _kind| sort_bytes(&none, elements))
    }
}

/// Sorts elements of the type of those.
fn sort_bytes<T: Element>(_: &[T], elements: &mut [u8]) -> bool {
    bytemuck::try_cast_slice_mut(elements).map(order::sort_in_place::<T>).is_ok()
}

fn total<T: Element>(elements: &[T]) -> Value<'static> {
    T::total(sums::sum(elements))
}

fn dot(arrays: Vec<Array<'_>>) -> Result<Value<'static>, Failure> {
    let count = arrays.len();
    let Ok([one, other]) = <[Array; 2]>::try_from(arrays) else {
        return Err(Failure::Range(format!("expected two typed arrays, got {count}")));
    };
    if one.len() != other.len() {
        let lengths = (one.len(), other.len());
        return Err(Failure::Range(format!(
            "expected two arrays of the same length, got {} and {} elements",
            lengths.0, lengths.1
        )));
    }
    macro_rules! product {
        ($($kind:ident),+) => {
            match (one, other) {
                $((Array::$kind(one), Array::$kind(other)) => Element::dot(&one, &other),)+
                _ => Err(Failure::Type("expected two typed arrays of the same type, got two types".into())),
            }
        };
    }
    product!(U8, I8, U8Clamped, I16, U16, I32, U32, F32, F64, I64, U64)
}

/// Elements of a part that one thread does: large enough that handing it out costs nothing.
const PART: usize = 1 << 16;
