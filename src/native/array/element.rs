//! What elements of typed arrays have in common, and in what they differ: their order, and what their sums are.

use super::sums::{self, Exact, Neumaier};
use crate::native::{Array, Failure, Value};
use bytemuck::Pod;
use rdst::RadixKey;
use std::borrow::Cow;

/// One element of a typed array.
pub trait Element: Pod + PartialOrd + Send + Sync {
    /// A number that orders as the element does, with -0 before 0 and every NaN last.
    type Key: Pod + Ord + RadixKey + Send + Sync;
    /// What adds elements up.
    type Sum: Sum<Self>;

    fn key(self) -> Self::Key;
    /// The element of a key, every NaN the same.
    fn of_key(key: Self::Key) -> Self;
    /// Nearest to it.
    fn to_f64(self) -> f64;
    /// As a value of JavaScript's: a bigint for what is one there.
    fn value(self) -> Value<'static>;
    /// A sum as a value of JavaScript's.
    fn total(sum: Self::Sum) -> Value<'static>;
    fn cumulated(elements: &[Self]) -> Result<Array<'static>, Failure>;
    fn dot(one: &[Self], other: &[Self]) -> Result<Value<'static>, Failure>;

    fn is_nan(self) -> bool {
        self.partial_cmp(&self).is_none()
    }
}

/// A sum that is being made.
pub trait Sum<T>: Clone + Default + Send {
    fn add(&mut self, element: T);
    fn join(&mut self, later: &Self);
    /// Rounded once.
    fn to_f64(&self) -> f64;
}

macro_rules! floats {
    ($($float:ident, $bits:ident, $kind:ident);+) => { $(
        impl Element for $float {
            type Key = $bits;
            type Sum = Neumaier;

            fn key(self) -> $bits {
                // Without a branch: signs come in no order. A negative number has all its bits turned around.
                let bits = self.to_bits();
                let negative = (bits >> ($bits::BITS - 1)).wrapping_neg();
                let key = bits ^ (negative | 1 << ($bits::BITS - 1));
                if self.is_nan() { $bits::MAX } else { key }
            }

            fn of_key(key: $bits) -> Self {
                let negative = (key >> ($bits::BITS - 1)).wrapping_sub(1);
                let number = $float::from_bits(key ^ (negative | 1 << ($bits::BITS - 1)));
                if key == $bits::MAX { $float::NAN } else { number }
            }

            fn to_f64(self) -> f64 {
                self.into()
            }

            fn value(self) -> Value<'static> {
                Value::Number(self.into())
            }

            fn total(sum: Neumaier) -> Value<'static> {
                Value::Number(Sum::<f64>::to_f64(&sum))
            }

            #[allow(clippy::cast_possible_truncation)] // each sum is rounded to the type of the elements
            fn cumulated(elements: &[Self]) -> Result<Array<'static>, Failure> {
                let mut sum = Neumaier::default();
                let sums = elements.iter().map(|&element| {
                    sum.add(element);
                    Sum::<f64>::to_f64(&sum) as $float
                });
                Ok(Array::$kind(Cow::Owned(sums.collect())))
            }

            fn dot(one: &[Self], other: &[Self]) -> Result<Value<'static>, Failure> {
                Ok(Value::Number(sums::dot(one, other)))
            }
        }
    )+ };
}

macro_rules! integers {
    ($($integer:ident),+) => { $(
        impl Element for $integer {
            type Key = Self;
            type Sum = Exact;

            fn key(self) -> Self {
                self
            }

            fn of_key(key: Self) -> Self {
                key
            }

            fn to_f64(self) -> f64 {
                self.into()
            }

            fn value(self) -> Value<'static> {
                Value::Number(self.into())
            }

            fn total(sum: Exact) -> Value<'static> {
                Value::Number(Sum::<Self>::to_f64(&sum))
            }

            fn cumulated(elements: &[Self]) -> Result<Array<'static>, Failure> {
                let mut sum = Exact::default();
                let sums = elements.iter().map(|&element| {
                    sum.add(element);
                    Sum::<Self>::to_f64(&sum)
                });
                Ok(Array::F64(Cow::Owned(sums.collect())))
            }

            fn dot(one: &[Self], other: &[Self]) -> Result<Value<'static>, Failure> {
                sums::exact_dot(one, other).map(|exact| Value::Number(sums::rounded(exact)))
            }
        }
    )+ };
}

macro_rules! bigints {
    ($($integer:ident, $kind:ident);+) => { $(
        impl Element for $integer {
            type Key = Self;
            type Sum = Exact;

            fn key(self) -> Self {
                self
            }

            fn of_key(key: Self) -> Self {
                key
            }

            #[allow(clippy::cast_precision_loss)] // the nearest is what is wanted
            fn to_f64(self) -> f64 {
                self as f64
            }

            fn value(self) -> Value<'static> {
                Value::BigInt(self.into())
            }

            fn total(sum: Exact) -> Value<'static> {
                Value::BigInt(sum.0)
            }

            fn cumulated(elements: &[Self]) -> Result<Array<'static>, Failure> {
                let mut sum: Self = 0;
                let sums = elements.iter().enumerate().map(|(at, &element)| {
                    sum = sum.checked_add(element).ok_or_else(|| {
                        Failure::Range(format!("the sum of the first {} elements does not fit into the array", at + 1))
                    })?;
                    Ok(sum)
                });
                Ok(Array::$kind(Cow::Owned(sums.collect::<Result<_, _>>()?)))
            }

            fn dot(one: &[Self], other: &[Self]) -> Result<Value<'static>, Failure> {
                sums::exact_dot(one, other).map(Value::BigInt)
            }
        }
    )+ };
}

floats!(f32, u32, F32; f64, u64, F64);
integers!(u8, i8, u16, i16, u32, i32);
bigints!(i64, I64; u64, U64);
