//! How elements are spread: the least and the greatest, how many there are where, and what is above a part of them.

use super::{
    PART,
    alone::{is_alone, parts},
    element::Element,
    order::sort,
};
use crate::native::{Array, Value};
use rayon::prelude::*;
use std::borrow::Cow;

/// As `Math.min` and `Math.max`: NaN where there is one, and -0 is less than 0. Undefined where there is nothing.
pub fn minmax<T: Element>(elements: &[T]) -> Value<'static> {
    let (min, max) = match limits(elements) {
        None => (Value::Undefined, Value::Undefined),
        Some((min, max)) => (T::of_key(min).value(), T::of_key(max).value()),
    };
    Value::Record(vec![("min", min), ("max", max)])
}

/// The least and the greatest key; both are NaN's where there is one.
fn limits<T: Element>(elements: &[T]) -> Option<(T::Key, T::Key)> {
    let of_part = |part: &[T]| {
        let mut keys = part.iter().map(|element| element.key());
        let first = keys.next()?;
        Some(keys.fold((first, first), |(min, max), key| (min.min(key), max.max(key))))
    };
    let joined = parts(elements).filter_map(of_part).reduce_with(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    joined.map(|(min, max)| if T::of_key(max).is_nan() { (max, max) } else { (min, max) })
}

/// How many elements are in each of so many parts of a range, all as wide. A part has its lower limit, the last one also
/// its upper one. Without a range: from the least to the greatest finite element.
pub fn histogram<T: Element>(elements: &[T], bins: u32, min: Option<f64>, max: Option<f64>) -> Value<'static> {
    let (min, max) = range(bins, min, max, || finite_limits(elements));
    let edges = edges(bins, min, max);
    let scale = f64::from(bins) / (max / 2.0 - min / 2.0);
    let of_part = |part: &[T]| {
        let mut counts = vec![0u32; bins as usize + 1];
        for element in part {
            let number = element.to_f64();
            // The last one counts what is outside; nothing can be said of NaN but that it is there.
            let at = if number >= min && number <= max { bin(number, min, scale, &edges) } else { bins as usize };
            counts[at] += 1;
        }
        counts
    };
    let add = |mut counts: Vec<u32>, more: Vec<u32>| {
        for (count, more) in counts.iter_mut().zip(more) {
            *count += more;
        }
        counts
    };
    // Every thread has a histogram of its own, and none is made for a few elements.
    let part = if is_alone() { usize::MAX } else { elements.len().div_ceil(rayon::current_num_threads()).max(PART) };
    let counts = elements.par_chunks(part).map(of_part).reduce_with(add);
    let mut counts = counts.unwrap_or_else(|| vec![0; bins as usize + 1]);
    let outside = counts.pop().unwrap_or(0);
    Value::Record(vec![
        ("counts", Value::Array(Array::U32(Cow::Owned(counts)))),
        ("edges", Value::Array(Array::F64(Cow::Owned(edges)))),
        ("outside", Value::Number(outside.into())),
    ])
}

/// A limit that was given stays as it is. Where nothing is on its other side, or all elements are the same, the range is
/// as wide as 1; or, of large numbers, so wide that no two edges are the same.
fn range(bins: u32, min: Option<f64>, max: Option<f64>, limits: impl FnOnce() -> Option<(f64, f64)>) -> (f64, f64) {
    let wide = |number: f64| {
        // Rounded down to a power of two: what follows it is more than half of this away.
        let gap = number.abs() * f64::EPSILON;
        (gap * f64::from(bins)).max(0.5)
    };
    let above = |number: f64| (number + 2.0 * wide(number)).min(f64::MAX);
    let below = |number: f64| (number - 2.0 * wide(number)).max(f64::MIN);
    match (min, max) {
        (Some(min), Some(max)) => (min, max),
        (Some(min), None) => (min, limits().map(|(_, max)| max).filter(|&max| max > min).unwrap_or_else(|| above(min))),
        (None, Some(max)) => (limits().map(|(min, _)| min).filter(|&min| min < max).unwrap_or_else(|| below(max)), max),
        (None, None) => match limits() {
            None => (0.0, 1.0),
            Some((min, max)) if min < max => (min, max),
            Some((same, _)) => ((same - wide(same)).max(f64::MIN), (same + wide(same)).min(f64::MAX)),
        },
    }
}

/// `None`: no element is finite.
fn finite_limits<T: Element>(elements: &[T]) -> Option<(f64, f64)> {
    let of_part = |part: &[T]| {
        let finite = part.iter().map(|element| element.to_f64()).filter(|number| number.is_finite());
        finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), number| (min.min(number), max.max(number)))
    };
    let joined = parts(elements).map(of_part).reduce_with(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    joined.filter(|(min, max)| min <= max)
}

fn edges(bins: u32, min: f64, max: f64) -> Vec<f64> {
    let width = max - min;
    let edge = |at: u32| {
        let share = f64::from(at) / f64::from(bins);
        match at {
            0 => min,
            at if at == bins => max,
            at if (width * f64::from(at)).is_finite() => min + width * f64::from(at) / f64::from(bins),
            _ => min * (1.0 - share) + max * share,
        }
    };
    (0..=bins).map(edge).collect()
}

/// The part that a number of the range is in. What is computed may be next to it, by rounding.
#[allow(clippy::cast_sign_loss)] // it is in the range, so no less than its lower limit
fn bin(number: f64, min: f64, scale: f64, edges: &[f64]) -> usize {
    let last = edges.len() - 2;
    let mut at = (((number / 2.0 - min / 2.0) * scale) as usize).min(last);
    while at > 0 && number < edges[at] {
        at -= 1;
    }
    while at < last && number >= edges[at + 1] {
        at += 1;
    }
    at
}

/// Between the two elements next to it, in proportion (R. Hyndman, Y. Fan, 1996, "Sample Quantiles in Statistical
/// Packages", definition 7). NaN where there is one, or nothing.
pub fn quantiles<T: Element>(elements: Cow<'_, [T]>, probabilities: &[f64]) -> Vec<f64> {
    let sorted = sort(elements);
    match sorted.last() {
        None => vec![f64::NAN; probabilities.len()],
        Some(last) if last.is_nan() => vec![f64::NAN; probabilities.len()],
        Some(_) => probabilities.iter().map(|&probability| quantile(&sorted, probability)).collect(),
    }
}

#[allow(clippy::cast_sign_loss, clippy::cast_precision_loss)] // a position in the array
fn quantile<T: Element>(sorted: &[T], probability: f64) -> f64 {
    let position = probability * (sorted.len() - 1) as f64;
    let below = (position.floor() as usize).min(sorted.len() - 1);
    let (low, high) = (sorted[below].to_f64(), sorted[(below + 1).min(sorted.len() - 1)].to_f64());
    let share = position - below as f64;
    // Not with a difference: it may be infinite where none of the two is, and that of two infinite ones is NaN.
    if share == 0.0 || low.to_bits() == high.to_bits() { low } else { low * (1.0 - share) + high * share }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counts(histogram: &Value<'_>) -> (Vec<u32>, Vec<f64>, f64) {
        let Value::Record(fields) = histogram else { panic!("no record") };
        match &fields[..] {
            [
                (_, Value::Array(Array::U32(counts))),
                (_, Value::Array(Array::F64(edges))),
                (_, Value::Number(outside)),
            ] => (counts.to_vec(), edges.to_vec(), *outside),
            _ => panic!("other fields"),
        }
    }

    #[test]
    fn the_least_and_the_greatest() {
        let of = |numbers: &[f64]| minmax(numbers);
        let record = |min: f64, max: f64| Value::Record(vec![("min", Value::Number(min)), ("max", Value::Number(max))]);
        assert_eq!(of(&[3.0, -1.0, 2.0]), record(-1.0, 3.0));
        assert!(matches!(of(&[0.0, -0.0]), Value::Record(fields) if fields[0].1 == Value::Number(-0.0)));
        assert!(
            matches!(of(&[0.0, f64::NAN]), Value::Record(fields) if matches!(fields[0].1, Value::Number(min) if min.is_nan()))
        );
        assert!(matches!(minmax::<u64>(&[]), Value::Record(fields) if fields[0].1 == Value::Undefined));
        assert!(
            matches!(minmax(&[u64::MAX, 1]), Value::Record(fields) if fields[1].1 == Value::BigInt(u64::MAX.into()))
        );
    }

    #[test]
    fn parts_of_a_range() {
        let numbers = [0.0, 1.0, 1.5, 2.0, 3.0, 4.0, f64::NAN, f64::INFINITY, -9.0];
        assert_eq!(
            counts(&histogram(&numbers, 4, Some(0.0), Some(4.0))),
            (vec![1, 2, 1, 2], vec![0.0, 1.0, 2.0, 3.0, 4.0], 3.0)
        );
        assert_eq!(counts(&histogram(&[5u8; 3], 2, None, None)), (vec![0, 3], vec![4.5, 5.0, 5.5], 0.0));
        assert_eq!(counts(&histogram::<f64>(&[], 1, None, None)), (vec![0], vec![0.0, 1.0], 0.0));
        let (widest, edges, outside) = counts(&histogram(&[f64::MIN, 0.0, f64::MAX], 2, None, None));
        assert_eq!((widest, outside), (vec![1, 2], 0.0));
        assert!(edges.iter().all(|edge| edge.is_finite()));
    }

    #[test]
    fn a_limit_that_was_given_stays() {
        let of = |numbers: &[f64], min, max| {
            let (counts, edges, outside) = counts(&histogram(numbers, 2, min, max));
            (counts, edges[0], edges[2], outside)
        };
        assert_eq!(of(&[9.7, 1.0], Some(10.0), None), (vec![0, 0], 10.0, 11.0, 2.0));
        assert_eq!(of(&[10.0], Some(10.0), None), (vec![1, 0], 10.0, 11.0, 0.0));
        assert_eq!(of(&[3.2, 9.0], None, Some(3.0)), (vec![0, 0], 2.0, 3.0, 2.0));
        assert_eq!(of(&[], Some(0.5), None), (vec![0, 0], 0.5, 1.5, 0.0));
        assert_eq!(of(&[f64::NAN], None, Some(-7.0)), (vec![0, 0], -8.0, -7.0, 1.0));
        assert_eq!(of(&[f64::INFINITY, 4.0], Some(2.0), None), (vec![0, 1], 2.0, 4.0, 1.0));
    }

    #[test]
    fn no_two_edges_are_the_same_where_all_elements_are() {
        for number in [0.0, 5.0, 1e17, -1e17, 2f64.powi(53), -2f64.powi(70), 1e300, f64::MAX, f64::MIN] {
            for bins in [1, 2, 3, 10, 1000, 1 << 20] {
                for (min, max) in [(None, None), (Some(number), None), (None, Some(number))] {
                    // There is nothing beyond them.
                    if min == Some(f64::MAX) || max == Some(f64::MIN) {
                        continue;
                    }
                    let (counts, edges, outside) = counts(&histogram(&[number; 3], bins, min, max));
                    let rising = edges.windows(2).all(|pair| pair[0] < pair[1] && pair[1].is_finite());
                    assert!(rising, "{number} in {bins}: from {} to {}", edges[0], edges[bins as usize]);
                    assert_eq!((counts.iter().sum::<u32>(), outside), (3, 0.0), "{number} in {bins}");
                    assert!(min.is_none_or(|min| edges[0].to_bits() == min.to_bits()), "{number} in {bins}");
                    assert!(max.is_none_or(|max| edges[bins as usize].to_bits() == max.to_bits()), "{number}");
                }
            }
        }
    }

    #[test]
    fn quantiles_of_published_data() {
        // NumPy 2, numpy.quantile([1, 2, 3, 4, 10], [0, 0.1, 0.5, 0.9, 1]).
        let found = quantiles(Cow::Borrowed(&[10u8, 1, 3, 2, 4][..]), &[0.0, 0.1, 0.5, 0.9, 1.0]);
        for (found, expected) in found.iter().zip([1.0, 1.4, 3.0, 7.6, 10.0]) {
            assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
        }
        assert!(quantiles(Cow::Borrowed(&[1.0, f64::NAN][..]), &[0.0])[0].is_nan());
        let infinite = f64::INFINITY;
        assert_eq!(quantiles(Cow::Borrowed(&[infinite, infinite, 1.0][..]), &[0.75])[0].to_bits(), infinite.to_bits());
    }

    proptest! {
        #[test]
        fn every_element_is_in_its_part(numbers in prop::collection::vec(-1e3f64..1e3, 1..300), bins in 1u32..50) {
            let (counts, edges, outside) = counts(&histogram(&numbers, bins, None, None));
            prop_assert!(outside == 0.0);
            for (at, count) in counts.iter().enumerate() {
                let last = at + 1 == counts.len();
                let inside = |number: &&f64| **number >= edges[at] && (**number < edges[at + 1] || last && **number <= edges[at + 1]);
                prop_assert_eq!(*count as usize, numbers.iter().filter(inside).count());
            }
        }
    }
}
