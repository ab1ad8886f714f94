//! Sums and what is made of them. Floating point is compensated: the error of each addition is kept and added in the
//! end (A. Neumaier, 1974, "Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen"). Integers are exact.

use super::{
    alone::parts,
    element::{Element, Sum},
};
use crate::native::Failure;
use rayon::prelude::*;

/// A sum, and the errors made on the way.
#[derive(Clone, Debug, Default)]
pub struct Neumaier {
    sum: f64,
    error: f64,
}

impl<T: Into<f64>> Sum<T> for Neumaier {
    fn add(&mut self, element: T) {
        let element = element.into();
        let sum = self.sum + element;
        self.error +=
            if self.sum.abs() >= element.abs() { (self.sum - sum) + element } else { (element - sum) + self.sum };
        self.sum = sum;
    }

    fn join(&mut self, later: &Self) {
        Sum::<f64>::add(self, later.sum);
        self.error += later.error;
    }

    fn to_f64(&self) -> f64 {
        // Where it is infinite or NaN, the error is of no use.
        if self.sum.is_finite() { self.sum + self.error } else { self.sum }
    }
}

/// A sum of integers. 2^32 of 64 bits fit with room.
#[derive(Clone, Debug, Default)]
pub struct Exact(pub i128);

impl<T: Into<i128>> Sum<T> for Exact {
    fn add(&mut self, element: T) {
        self.0 += element.into();
    }

    fn join(&mut self, later: &Self) {
        self.0 += later.0;
    }

    fn to_f64(&self) -> f64 {
        rounded(self.0)
    }
}

#[allow(clippy::cast_precision_loss)] // the nearest is what is wanted
pub fn rounded(exact: i128) -> f64 {
    exact as f64
}

#[must_use]
pub fn sum<T: Element>(elements: &[T]) -> T::Sum {
    let parts: Vec<T::Sum> = parts(elements).map(sum_of_part).collect();
    joined(&parts)
}

fn sum_of_part<T: Element>(part: &[T]) -> T::Sum {
    let mut sum = T::Sum::default();
    for &element in part {
        sum.add(element);
    }
    sum
}

fn joined<T, S: Sum<T>>(parts: &[S]) -> S {
    let mut all = S::default();
    for part in parts {
        all.join(part);
    }
    all
}

/// NaN where there is nothing.
#[must_use]
pub fn mean<T: Element>(elements: &[T]) -> f64 {
    let mean = sum(elements).to_f64() / count(elements.len());
    if mean.is_finite() {
        return mean;
    }
    // A sum may be too large where its mean is not. Scaled by a power of two, large numbers lose nothing.
    let of_part = |part: &[T]| {
        let mut sum = Neumaier::default();
        for element in part {
            sum.add(element.to_f64() * SCALE);
        }
        sum
    };
    let sums: Vec<_> = parts(elements).map(of_part).collect();
    Sum::<f64>::to_f64(&joined::<f64, _>(&sums)) / count(elements.len()) / SCALE
}

/// 2^-64: no array has as many elements.
const SCALE: f64 = 1.0 / 18_446_744_073_709_551_616.0;

/// In two passes, the second one corrected for the rounding of the mean (T. Chan, G. Golub, R. `LeVeque`, 1983, "Algorithms
/// for Computing the Sample Variance").
#[must_use]
pub fn variance<T: Element>(elements: &[T], ddof: f64) -> f64 {
    let freedom = count(elements.len()) - ddof;
    if freedom <= 0.0 {
        return f64::NAN;
    }
    let mean = mean(elements);
    let of_part = |part: &[T]| {
        let (mut squares, mut deviations) = (Neumaier::default(), Neumaier::default());
        for element in part {
            let deviation = element.to_f64() - mean;
            squares.add(deviation * deviation);
            deviations.add(deviation);
        }
        (squares, deviations)
    };
    let (squares, deviations): (Vec<_>, Vec<_>) = parts(elements).map(of_part).unzip();
    let squares = Sum::<f64>::to_f64(&joined::<f64, _>(&squares));
    if squares.is_infinite() {
        // Of finite numbers: the deviation of an infinite one is NaN.
        return squares;
    }
    let deviation = Sum::<f64>::to_f64(&joined::<f64, _>(&deviations));
    // What rounding leaves is never below zero.
    let spread = squares - deviation * deviation / count(elements.len());
    if spread < 0.0 { 0.0 } else { spread / freedom }
}

/// As if computed with twice the precision (T. Ogita, S. Rump, S. Oishi, 2005, "Accurate Sum and Dot Product").
#[must_use]
pub fn dot<T: Element>(one: &[T], other: &[T]) -> f64 {
    let of_part = |(one, other): (&[T], &[T])| {
        let mut sum = Neumaier::default();
        for (one, other) in one.iter().zip(other) {
            let (one, other) = (one.to_f64(), other.to_f64());
            let product = one * other;
            sum.add(product);
            // Exactly what the product was rounded by.
            let error = one.mul_add(other, -product);
            if error.is_finite() {
                sum.error += error;
            }
        }
        sum
    };
    let parts: Vec<_> = parts(one).zip(parts(other)).map(of_part).collect();
    Sum::<f64>::to_f64(&joined::<f64, _>(&parts))
}

/// Fails where it does not fit into 128 bits.
pub fn exact_dot<T: Element + Into<i128>>(one: &[T], other: &[T]) -> Result<i128, Failure> {
    let add = |sum: i128, (&one, &other): (&T, &T)| one.into().checked_mul(other.into())?.checked_add(sum);
    let of_part = |(one, other): (&[T], &[T])| one.iter().zip(other).try_fold(0, add);
    let parts: Vec<_> = parts(one).zip(parts(other)).map(of_part).collect();
    let all = parts.into_iter().try_fold(0i128, |sum, part| sum.checked_add(part?));
    all.ok_or_else(|| Failure::Range("the product does not fit into 128 bits".into()))
}

/// Less than 2^32.
#[allow(clippy::cast_precision_loss)] // see above
fn count(elements: usize) -> f64 {
    elements as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn total(numbers: &[f64]) -> f64 {
        Sum::<f64>::to_f64(&sum(numbers))
    }

    #[test]
    fn what_is_lost_in_each_addition_is_not_lost() {
        assert_eq!(total(&[1.0, 1e100, 1.0, -1e100]).to_bits(), 2f64.to_bits());
        assert_eq!(total(&[0.1; 10]).to_bits(), 1f64.to_bits());
        let many = vec![0.1; 1_000_000];
        assert_eq!(total(&many).to_bits(), 100_000f64.to_bits());
        assert!((mean(&many) - 0.1).abs() < f64::EPSILON);
        assert_eq!(dot(&[1e16, 1.0, -1e16], &[1.0, 0.5, 1.0]).to_bits(), 0.5f64.to_bits());
        // One that cancels to what its products are rounded by.
        let (one, other) = ([1.0 + 2f64.powi(-30), -1.0], [1.0 + 2f64.powi(-30), 1.0 + 2f64.powi(-29)]);
        assert_eq!(dot(&one, &other).to_bits(), 2f64.powi(-60).to_bits());
    }

    #[test]
    fn infinite_and_none() {
        let infinite = f64::INFINITY;
        assert_eq!(total(&[1.0, infinite, 2.0]).to_bits(), infinite.to_bits());
        assert!(total(&[infinite, -infinite]).is_nan());
        assert!(total(&[f64::NAN, 1.0]).is_nan());
        assert_eq!(total(&[f64::MAX, f64::MAX]).to_bits(), infinite.to_bits());
        assert_eq!(total(&[]).to_bits(), 0f64.to_bits());
        assert!(mean::<f64>(&[]).is_nan());
        assert!(variance(&[1.0], 1.0).is_nan());
        let large = 1e308_f64;
        assert_eq!(mean(&[large, large, -large]).to_bits(), (large / 3.0).to_bits());
        assert_eq!(mean(&[f64::MAX; 3]).to_bits(), f64::MAX.to_bits());
        assert_eq!(mean(&[1.0, infinite]).to_bits(), infinite.to_bits());
        assert!(mean(&[infinite, -infinite]).is_nan());
        assert_eq!(variance(&[large, large], 0.0).to_bits(), 0f64.to_bits());
        assert_eq!(variance(&[large, -large], 0.0).to_bits(), infinite.to_bits());
        assert_eq!(variance(&[1e200, -1e200], 0.0).to_bits(), infinite.to_bits());
        for numbers in [[1.0, infinite], [infinite, -infinite], [infinite, infinite], [large, f64::NAN]] {
            assert!(variance(&numbers, 0.0).is_nan(), "{numbers:?}");
        }
        assert_eq!(variance(&[1e9 + 4.0, 1e9 + 7.0, 1e9 + 13.0, 1e9 + 16.0], 1.0).to_bits(), 30f64.to_bits());
        assert_eq!(dot(&[infinite, 1.0], &[1.0, 1.0]).to_bits(), infinite.to_bits());
    }

    #[test]
    fn integers_are_exact_or_an_error() {
        assert_eq!(sum(&[u64::MAX; 3]).0, 3 * i128::from(u64::MAX));
        assert_eq!(exact_dot(&[i64::MIN, 1], &[i64::MIN, 5]).unwrap(), (1i128 << 126) + 5);
        assert!(matches!(exact_dot(&[u64::MAX], &[u64::MAX]), Err(Failure::Range(_))));
        assert!(matches!(i64::cumulated(&[i64::MAX, 1]), Err(Failure::Range(_))));
        assert!(matches!(u64::cumulated(&[5]), Ok(array) if array.len() == 1));
    }

    proptest! {
        #[test]
        fn sums_of_integers_that_are_floats_are_exact(some in prop::collection::vec(-(1i64 << 40)..1 << 40, 0..500), times in prop_oneof![Just(1usize), Just(300)]) {
            let integers: Vec<i64> = some.iter().cycle().take(some.len() * times).copied().collect();
            let numbers: Vec<f64> = integers.iter().map(|&integer| integer.to_f64()).collect();
            let exact = integers.iter().map(|&integer| i128::from(integer)).sum::<i128>();
            prop_assert_eq!(sum(&integers).0, exact);
            prop_assert_eq!(total(&numbers).to_bits(), (rounded(exact) + 0.0).to_bits());
        }
    }
}
