//! Codecs: bytes to fewer bytes and back, and to text and back. What is decoded may come from anybody: a result never
//! grows beyond its limit, and what does not end as its format wants it is corrupt.

#[cfg(feature = "compression")]
pub mod brotli;
#[cfg(feature = "compression")]
pub mod deflate;
#[cfg(feature = "compression")]
pub mod lz4;
pub mod radix;
#[cfg(feature = "compression")]
pub mod zstd;

#[cfg(feature = "compression")]
use super::Failure;
#[cfg(feature = "compression")]
use std::io::{self, Read};

/// Reads to the end, into a vector of at most so many bytes. `what` is the format, for the message.
#[cfg(feature = "compression")]
fn read_all(reader: &mut impl Read, output: &mut Vec<u8>, limit: u64, what: &str) -> Result<(), Failure> {
    loop {
        let room = (limit - output.len() as u64).saturating_add(1);
        let piece = (output.len() as u64).clamp(FIRST_PIECE, LARGEST_PIECE).min(room);
        let read = reader.by_ref().take(piece).read_to_end(output);
        let read = read.map_err(|error| corrupt(what, &error))?;
        if output.len() as u64 > limit {
            return Err(Failure::TooLarge { limit });
        }
        if (read as u64) < piece {
            return Ok(());
        }
    }
}

#[cfg(feature = "compression")]
fn corrupt(what: &str, error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return Failure::corrupt(format!("the {what} data are cut off"));
    }
    Failure::corrupt(format!("these are no {what} data: {error}"))
}

/// Capacity grows with what has really come, not with what the input says of itself.
#[cfg(feature = "compression")]
const FIRST_PIECE: u64 = 64 << 10;
#[cfg(feature = "compression")]
const LARGEST_PIECE: u64 = 64 << 20;

#[cfg(all(test, feature = "compression"))]
mod tests {
    use super::{super::Operation, *};
    use crate::native::{Limits, Value};
    use proptest::prelude::*;

    const PAIRS: [(&str, &str); 7] = [
        (r#"{"op":"gzip","level":6}"#, r#"{"op":"gunzip","maxOutputBytes":100000}"#),
        (r#"{"op":"deflate","level":1}"#, r#"{"op":"inflate","maxOutputBytes":100000}"#),
        (r#"{"op":"zstd","level":3}"#, r#"{"op":"unzstd","maxOutputBytes":100000}"#),
        (r#"{"op":"brotli","level":4}"#, r#"{"op":"unbrotli","maxOutputBytes":100000}"#),
        (r#"{"op":"lz4"}"#, r#"{"op":"unlz4","maxOutputBytes":100000}"#),
        (r#"{"op":"base64","alphabet":"standard"}"#, r#"{"op":"unbase64","alphabet":"standard"}"#),
        (r#"{"op":"hex"}"#, r#"{"op":"unhex"}"#),
    ];

    fn operation(steps: &[&str]) -> Operation {
        Operation::new(&format!("[{}]", steps.join(",")), Limits { bytes: u64::MAX, units: u64::MAX }).unwrap()
    }

    proptest! {
        #[test]
        fn there_and_back(bytes: Vec<u8>, repeat in 1usize..50, at in 0..PAIRS.len()) {
            let bytes = bytes.repeat(repeat);
            let both = operation(&[PAIRS[at].0, PAIRS[at].1]);
            prop_assert_eq!(both.run(Value::from(bytes.clone())).unwrap(), Value::from(bytes));
        }

        #[test]
        fn garbage_is_a_failure_or_a_result(bytes: Vec<u8>, at in 0..PAIRS.len()) {
            let decode = operation(&[PAIRS[at].1]);
            match decode.run(Value::from(bytes)) {
                Ok(Value::Bytes(output)) => prop_assert!(output.len() <= 100_000),
                Ok(other) => prop_assert!(false, "{other:?}"),
                Err(failure) => {
                    let expected = matches!(failure, Failure::Corrupt(_) | Failure::TooLarge { .. });
                    prop_assert!(expected, "{failure:?}");
                }
            }
        }

        /// Flipped, cut or repeated: never a panic, never more than allowed.
        #[test]
        fn damage_is_found_or_does_no_harm(bytes in prop::collection::vec(any::<u8>(), 1..2000), at in 0..5usize, cut: usize, flip: u8) {
            let encoded = operation(&[PAIRS[at].0]).run(Value::from(bytes)).unwrap();
            let Value::Bytes(mut encoded) = encoded else { panic!("bytes") };
            let position = cut % encoded.len();
            encoded.to_mut()[position] ^= flip;
            let result = operation(&[PAIRS[at].1]).run(Value::Bytes(encoded));
            if let Err(failure) = result {
                let expected = matches!(failure, Failure::Corrupt(_) | Failure::TooLarge { .. });
                prop_assert!(expected, "{failure:?}");
            }
        }

        #[test]
        fn what_is_cut_off_is_corrupt(bytes in prop::collection::vec(any::<u8>(), 1..2000), at in 0..5usize, cut: usize) {
            let encoded = operation(&[PAIRS[at].0]).run(Value::from(bytes)).unwrap();
            let Value::Bytes(encoded) = encoded else { panic!("bytes") };
            let cut = &encoded[..cut % encoded.len()];
            let result = operation(&[PAIRS[at].1]).run(Value::Bytes(cut.into()));
            prop_assert!(matches!(result, Err(Failure::Corrupt(_))), "{result:?}");
        }
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let zeroes = Value::from(vec![0; 100_001]);
        for (encode, decode) in &PAIRS[..5] {
            let encoded = operation(&[encode]).run(zeroes.clone()).unwrap();
            let failure = operation(&[decode]).run(encoded).unwrap_err();
            assert!(matches!(failure, Failure::TooLarge { limit: 100_000 }), "{decode}: {failure:?}");
            let just_fits = Value::from(vec![0; 100_000]);
            let encoded = operation(&[encode]).run(just_fits.clone()).unwrap();
            assert_eq!(operation(&[decode]).run(encoded).unwrap(), just_fits, "{decode}");
        }
    }

    #[test]
    fn members_and_frames_follow_each_other() {
        for (encode, decode) in [PAIRS[0], PAIRS[2], PAIRS[4]] {
            let one = operation(&[encode]).run(Value::from(b"one".to_vec())).unwrap().into_bytes().unwrap();
            // Of the same size: the size that gzip notes at the end fits either of them.
            let two = operation(&[encode]).run(Value::from(b"two".to_vec())).unwrap().into_bytes().unwrap();
            let both = Value::from([&one[..], &two[..]].concat());
            assert_eq!(operation(&[decode]).run(both).unwrap(), Value::from(b"onetwo".to_vec()), "{decode}");
        }
    }

    #[test]
    fn nothing_is_not_compressed() {
        for (_, decode) in &PAIRS[..5] {
            let failure = operation(&[decode]).run(Value::from(Vec::new())).unwrap_err();
            assert!(matches!(failure, Failure::Corrupt(_)), "{decode}: {failure:?}");
        }
    }
}
