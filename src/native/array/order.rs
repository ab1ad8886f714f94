//! Sorting. Numbers become keys that order as they do (M. Herf, "Radix Tricks", 2001, for floating point), and large
//! arrays of keys are sorted by their digits, on all threads (rdst; D. Knuth, "The Art of Computer Programming" 3, 5.2.5).

use super::{
    alone::{is_alone, least},
    element::Element,
};
use bytemuck::allocation::cast_vec;
use rayon::prelude::*;
use rdst::RadixSort;
use std::borrow::Cow;

/// In the order of `TypedArray.prototype.sort`: -0 before 0, and every NaN last.
pub fn sort<T: Element>(elements: Cow<'_, [T]>) -> Vec<T> {
    let mut keys: Vec<T::Key> = match elements {
        Cow::Borrowed(elements) => elements.par_iter().with_min_len(least()).map(|element| element.key()).collect(),
        Cow::Owned(mut elements) => {
            sort_in_place(&mut elements);
            return elements;
        }
    };
    sort_keys::<T>(&mut keys);
    // A key and its element have the same size.
    cast_vec(keys)
}

/// The same, where the elements are.
pub fn sort_in_place<T: Element>(elements: &mut [T]) {
    let keys: &mut [T::Key] = bytemuck::cast_slice_mut(elements);
    keys.par_iter_mut().with_min_len(least()).for_each(|key| *key = bytemuck::cast::<T::Key, T>(*key).key());
    sort_keys::<T>(keys);
}

/// Sorts keys, and makes elements of them again.
fn sort_keys<T: Element>(keys: &mut [T::Key]) {
    if keys.len() < RADIX_FROM {
        keys.sort_unstable();
    } else if is_alone() {
        keys.radix_sort_builder().with_parallel(false).with_single_threaded_tuner().sort();
    } else {
        keys.radix_sort_unstable();
    }
    keys.par_iter_mut().with_min_len(least()).for_each(|key| *key = bytemuck::cast::<T, T::Key>(T::of_key(*key)));
}

/// Where the elements of the sorted array were. Equal ones stay in their order.
pub fn argsort<T: Element>(elements: &[T]) -> Vec<u32> {
    // An array has less than 2^32 elements: its bytes are counted in 32 bits.
    let keyed = elements.par_iter().with_min_len(least()).enumerate().map(|(at, element)| (element.key(), at as u32));
    let mut keyed: Vec<(T::Key, u32)> = keyed.collect();
    if is_alone() {
        keyed.sort_unstable();
    } else {
        keyed.par_sort_unstable();
    }
    keyed.par_iter().with_min_len(least()).map(|&(_, at)| at).collect()
}

/// Below, comparing is as fast.
const RADIX_FROM: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sorted_by_comparing(mut numbers: Vec<f64>) -> Vec<u64> {
        numbers.sort_by(|a, b| match (a.is_nan(), b.is_nan()) {
            (false, false) => a.total_cmp(b),
            (a, b) => a.cmp(&b),
        });
        bits(&numbers)
    }

    /// Every NaN is the same.
    fn bits(numbers: &[f64]) -> Vec<u64> {
        numbers.iter().map(|number| if number.is_nan() { u64::MAX } else { number.to_bits() }).collect()
    }

    proptest! {
        #[test]
        fn sorts_any_bits(some in prop::collection::vec(any::<u64>(), 0..300), times in prop_oneof![Just(1usize), Just(40)]) {
            let numbers: Vec<f64> = some.iter().cycle().take(some.len() * times).map(|&bits| f64::from_bits(bits)).collect();
            let expected = sorted_by_comparing(numbers.clone());
            prop_assert_eq!(bits(&sort(Cow::Borrowed(&numbers[..]))), expected.clone());
            let order = argsort(&numbers);
            let ordered: Vec<f64> = order.iter().map(|&at| numbers[at as usize]).collect();
            prop_assert_eq!(bits(&ordered), expected.clone());
            prop_assert!(order.windows(2).all(|pair| numbers[pair[0] as usize].key() < numbers[pair[1] as usize].key() || pair[0] < pair[1]));
            prop_assert_eq!(bits(&sort(Cow::Owned(numbers))), expected);
        }

        #[test]
        fn sorts_integers(mut some in prop::collection::vec(any::<i64>(), 0..6000)) {
            let found = sort(Cow::Borrowed(&some[..]));
            some.sort_unstable();
            prop_assert_eq!(found, some);
        }
    }

    #[test]
    fn zeroes_and_what_is_no_number() {
        let numbers = [f64::NAN, 0.0, -f64::NAN, -0.0, f64::INFINITY, f64::NEG_INFINITY];
        let found = sort(Cow::Borrowed(&numbers[..]));
        assert_eq!(bits(&found[..4]), bits(&[f64::NEG_INFINITY, -0.0, 0.0, f64::INFINITY]));
        assert!(found[4..].iter().all(|number| number.is_nan()));
        assert_eq!(argsort(&numbers), [5, 3, 1, 4, 0, 2]);
        assert_eq!(argsort::<u8>(&[]), [0u32; 0]);
    }
}
