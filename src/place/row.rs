//! Values of native operations as rows, with the tags of the codec (`lib/codec/decoder.js`), and items of such
//! operations, as `lib/native/item-writer.js` writes them.

use super::Held;
use crate::native::{Array, Failure, Output, Value};
use std::borrow::Cow;

/// A string of latin1 characters: u32 length, characters in the text.
const LATIN1: u8 = 5;
/// A string in UTF-8: u32 length, bytes.
const UTF8: u8 = 6;
const LIST: u8 = 8;
const BINARY: u8 = 11;
const DICTIONARY: u8 = 14;
/// Two that only native operations write, and `lib/native/decoder.js` reads: a bigint in decimal, u32 length and digits;
/// a value that is beside the batch, u32 which, u32 how many bytes it counts for.
const BIG_INT: u8 = 32;
const LARGE: u8 = 33;
/// Kind of a Buffer in `lib/codec/binary.js`.
const BUFFER: u8 = 1;

/// From this size on a value goes to JavaScript as it is, instead of through a row: below, copying it is cheaper.
const LARGE_BYTES: usize = 8 << 10;

/// Bytes of a value that goes by itself; `None`: it goes through a row.
#[must_use]
pub fn large_size(value: &Output) -> Option<usize> {
    let bytes = match value {
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Array(array) => array.as_bytes().len(),
        Value::Transferred(_, memory) => return Some(memory.len()),
        _ => return None,
    };
    (bytes >= LARGE_BYTES).then_some(bytes)
}

/// The row of a value that is number `at` beside its batch, and counts for so many bytes.
#[must_use]
pub fn large(at: u32, bytes: u32) -> Vec<u8> {
    [&[LARGE][..], &at.to_le_bytes(), &bytes.to_le_bytes()].concat()
}

/// Appends a value to a row and its text.
pub fn encode(value: &Output, row: &mut Vec<u8>, text: &mut Vec<u8>) {
    match value {
        // What was transferred goes by itself.
        Value::Undefined | Value::Transferred(..) => row.push(0),
        Value::Null => row.push(1),
        Value::Number(number) => {
            row.push(4);
            row.extend_from_slice(&number.to_le_bytes());
        }
        Value::BigInt(number) => counted(BIG_INT, number.to_string().as_bytes(), row),
        Value::Text(string) if string.is_ascii() => {
            row.push(LATIN1);
            row.extend_from_slice(&length(string.len()));
            text.extend_from_slice(string.as_bytes());
        }
        Value::Text(string) => counted(UTF8, string.as_bytes(), row),
        Value::Bytes(bytes) => binary(BUFFER, bytes, row),
        Value::Array(array) => binary(array.code(), array.as_bytes(), row),
        Value::Arrays(arrays) => {
            row.push(LIST);
            row.extend_from_slice(&length(arrays.len()));
            for array in arrays {
                binary(array.code(), array.as_bytes(), row);
            }
        }
        Value::List(values) => {
            row.push(LIST);
            row.extend_from_slice(&length(values.len()));
            for value in values {
                encode(value, row, text);
            }
        }
        Value::Record(fields) => {
            row.push(DICTIONARY);
            row.extend_from_slice(&length(fields.len()));
            for (name, value) in fields {
                counted(UTF8, name.as_bytes(), row);
                encode(value, row, text);
            }
        }
    }
}

/// Sizes of rows are counted in 32 bits, and all rows of a batch share a buffer: more than this, a value cannot have.
pub const MAX_ROW_BYTES: usize = 1 << 30;

/// About as many bytes as a value has in a row and its text.
#[must_use]
pub fn size(value: &Output) -> usize {
    5 + match value {
        Value::Undefined | Value::Null | Value::Number(_) | Value::BigInt(_) | Value::Transferred(..) => 40,
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Array(array) => array.as_bytes().len(),
        Value::Arrays(arrays) => arrays.iter().map(|array| array.as_bytes().len() + 6).sum(),
        Value::List(values) => values.iter().map(size).sum(),
        Value::Record(fields) => fields.iter().map(|(name, value)| name.len() + 5 + size(value)).sum(),
    }
}

fn binary(kind: u8, bytes: &[u8], row: &mut Vec<u8>) {
    row.extend_from_slice(&[BINARY, kind]);
    row.extend_from_slice(&length(bytes.len()));
    row.extend_from_slice(bytes);
}

fn counted(tag: u8, bytes: &[u8], row: &mut Vec<u8>) {
    row.push(tag);
    row.extend_from_slice(&length(bytes.len()));
    row.extend_from_slice(bytes);
}

fn length(bytes: usize) -> [u8; 4] {
    (bytes as u32).to_le_bytes()
}

/// What an item's row says that follows: text, bytes, or the elements of the typed array that has this code.
const TEXT: u8 = 0;
const BYTES: u8 = 1;
/// Added to it: the bytes are not here but beside the chunk.
const BESIDE: u8 = 0x20;
/// Several typed arrays: u32 how many, then for each what it is, u32 length, and the bytes if they are here.
const SEVERAL: u8 = 0x40;

/// The item that a row describes. `beside` gives the bytes of those parts that have none in the row, one after the other.
pub fn item<'a>(row: &'a [u8], mut beside: impl FnMut() -> Option<&'a [u8]>) -> Result<Value<'a>, Failure> {
    let malformed = || Failure::Internal("an item that cannot be read".to_owned());
    let (&tag, rest) = row.split_first().ok_or_else(malformed)?;
    if tag != SEVERAL {
        let bytes = if tag & BESIDE == 0 { rest } else { beside().ok_or_else(malformed)? };
        return part(tag & !BESIDE, bytes).ok_or_else(malformed);
    }
    let (count, mut rest) = word(rest).ok_or_else(malformed)?;
    let mut arrays = Vec::new();
    for _ in 0..count {
        let (&tag, after) = rest.split_first().ok_or_else(malformed)?;
        let (length, after) = word(after).ok_or_else(malformed)?;
        let bytes = if tag & BESIDE == 0 {
            let (bytes, after) = after.split_at_checked(length as usize).ok_or_else(malformed)?;
            rest = after;
            bytes
        } else {
            rest = after;
            beside().ok_or_else(malformed)?
        };
        arrays.push(Array::from_bytes(tag & !BESIDE, bytes).ok_or_else(malformed)?);
    }
    Ok(Value::Arrays(arrays))
}

/// The parts of an item that lie beside its chunk.
pub fn beside<'a>(large: &'a [Held<'_>]) -> impl FnMut() -> Option<&'a [u8]> {
    let mut parts = large.iter();
    move || parts.next().map(|bytes| &**bytes)
}

/// The code of the typed array that an item is, where it lies beside its chunk as a whole.
#[must_use]
pub fn array_beside(row: &[u8]) -> Option<u8> {
    match *row {
        [tag] if tag & BESIDE != 0 && !matches!(tag & !BESIDE, TEXT | BYTES) => Some(tag & !BESIDE),
        _ => None,
    }
}

fn part(tag: u8, bytes: &[u8]) -> Option<Value<'_>> {
    match tag {
        TEXT => Some(Value::Text(String::from_utf8_lossy(bytes))),
        BYTES => Some(Value::Bytes(Cow::Borrowed(bytes))),
        code => Array::from_bytes(code, bytes).map(Value::Array),
    }
}

fn word(bytes: &[u8]) -> Option<(u32, &[u8])> {
    bytes.split_first_chunk().map(|(word, rest)| (u32::from_le_bytes(*word), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_of_one_part_and_of_several() {
        let none = || None;
        assert_eq!(item(b"\x00text", none).unwrap(), Value::Text("text".into()));
        assert_eq!(item(b"\x01\xff", none).unwrap(), Value::Bytes(Cow::Borrowed(&[0xff])));
        assert_eq!(item(b"\x21", || Some(b"far")).unwrap(), Value::Bytes(Cow::Borrowed(b"far")));
        let parts = [Held::Copied(&[9u8, 8])];
        let row = b"\x40\x02\0\0\0\x02\x01\0\0\0\x05\x22\x02\0\0\0";
        let several = item(row, beside(&parts)).unwrap();
        assert_eq!(several, Value::Arrays(vec![Array::U8(Cow::Borrowed(&[5])), Array::U8(Cow::Borrowed(&[9, 8]))]));
    }

    #[test]
    fn a_row_that_says_too_much_is_refused() {
        for row in [&b""[..], b"\x21", b"\x63", b"\x40", b"\x40\xff\xff\xff\xff", b"\x40\x01\0\0\0\x02\x09\0\0\0a"] {
            assert!(matches!(item(row, || None), Err(Failure::Internal(_))), "{row:?}");
        }
    }
}
