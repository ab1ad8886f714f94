//! What operations take and give: text, bytes, typed arrays, and the plain values that are results.

use super::{Failure, Limits, transferred::Transferred};
use std::{borrow::Cow, sync::Arc};

/// One value between JavaScript and an operation, or between two operations of a pipe. Borrowed as long as nobody needs
/// to change it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    Undefined,
    Null,
    Number(f64),
    BigInt(i128),
    Text(Cow<'a, str>),
    /// A Buffer.
    Bytes(Cow<'a, [u8]>),
    /// A typed array.
    Array(Array<'a>),
    /// An item that is several typed arrays.
    Arrays(Vec<Array<'a>>),
    /// An array of values.
    List(Vec<Value<'static>>),
    /// A plain object.
    Record(Vec<(&'static str, Value<'static>)>),
    /// A typed array, that with this code, in the memory that came with its item.
    Transferred(u8, Arc<Transferred>),
}

/// What an operation has made: nothing in it is borrowed.
pub type Output = Value<'static>;

macro_rules! element_types {
    ($($kind:ident: $type:ty = $code:literal),+ $(,)?) => {
        /// The elements of a typed array.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Array<'a> {
            $($kind(Cow<'a, [$type]>)),+
        }

        impl<'a> Array<'a> {
            /// The elements in these bytes, copied if they do not lie as the processor wants them. `None`: there is no
            /// such kind, or half an element.
            #[must_use]
            pub fn from_bytes(code: u8, bytes: &'a [u8]) -> Option<Self> {
                match code {
                    $($code => {
                        if bytes.len() % size_of::<$type>() != 0 {
                            return None;
                        }
                        Some(Self::$kind(match bytemuck::try_cast_slice(bytes) {
                            Ok(elements) => Cow::Borrowed(elements),
                            Err(_) => Cow::Owned(bytemuck::allocation::pod_collect_to_vec(bytes)),
                        }))
                    })+
                    _ => None,
                }
            }

            /// Which typed array of JavaScript it is: its place in the list of lib/codec/binary.js.
            #[must_use]
            pub fn code(&self) -> u8 {
                match self {
                    $(Self::$kind(_) => $code),+
                }
            }

            #[must_use]
            pub fn len(&self) -> usize {
                match self {
                    $(Self::$kind(elements) => elements.len()),+
                }
            }

            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            #[must_use]
            pub fn as_bytes(&self) -> &[u8] {
                match self {
                    $(Self::$kind(elements) => bytemuck::cast_slice(elements)),+
                }
            }

            #[must_use]
            pub fn into_owned(self) -> Array<'static> {
                match self {
                    $(Self::$kind(elements) => Array::$kind(Cow::Owned(elements.into_owned()))),+
                }
            }
        }
    };
}

element_types! {
    U8: u8 = 2,
    I8: i8 = 3,
    U8Clamped: u8 = 4,
    I16: i16 = 5,
    U16: u16 = 6,
    I32: i32 = 7,
    U32: u32 = 8,
    F32: f32 = 9,
    F64: f64 = 10,
    I64: i64 = 11,
    U64: u64 = 12,
}

impl<'a> Value<'a> {
    /// How many bytes `into_bytes` gives.
    #[must_use]
    pub fn byte_length(&self) -> Option<usize> {
        match self {
            Self::Bytes(bytes) => Some(bytes.len()),
            Self::Text(text) => Some(text.len()),
            Self::Array(array) => Some(array.as_bytes().len()),
            _ => None,
        }
    }

    /// Bytes, of whatever has some: those of a text are its UTF-8.
    pub fn into_bytes(self) -> Result<Cow<'a, [u8]>, Failure> {
        match self {
            Self::Bytes(bytes) | Self::Array(Array::U8(bytes) | Array::U8Clamped(bytes)) => Ok(bytes),
            Self::Text(Cow::Borrowed(text)) => Ok(Cow::Borrowed(text.as_bytes())),
            Self::Text(Cow::Owned(text)) => Ok(Cow::Owned(text.into_bytes())),
            Self::Array(array) => Ok(Cow::Owned(array.as_bytes().to_vec())),
            other => Err(other.unexpected("bytes")),
        }
    }

    /// Text. Bytes must be UTF-8; what begins with a byte order mark keeps it.
    pub fn into_text(self) -> Result<Cow<'a, str>, Failure> {
        match self {
            Self::Text(text) => Ok(text),
            other => match other.into_bytes()? {
                Cow::Borrowed(bytes) => {
                    std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|error| Failure::text(error.valid_up_to()))
                }
                Cow::Owned(bytes) => String::from_utf8(bytes)
                    .map(Cow::Owned)
                    .map_err(|error| Failure::text(error.utf8_error().valid_up_to())),
            },
        }
    }

    /// A typed array.
    pub fn into_array(self) -> Result<Array<'a>, Failure> {
        match self {
            Self::Array(array) => Ok(array),
            other => Err(other.unexpected("a typed array")),
        }
    }

    /// Several typed arrays.
    pub fn into_arrays(self) -> Result<Vec<Array<'a>>, Failure> {
        match self {
            Self::Arrays(arrays) => Ok(arrays),
            other => Err(other.unexpected("several typed arrays")),
        }
    }

    #[must_use]
    pub fn into_owned(self) -> Output {
        match self {
            Self::Undefined => Value::Undefined,
            Self::Null => Value::Null,
            Self::Number(number) => Value::Number(number),
            Self::BigInt(number) => Value::BigInt(number),
            Self::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Self::Bytes(bytes) => Value::Bytes(Cow::Owned(bytes.into_owned())),
            Self::Array(array) => Value::Array(array.into_owned()),
            Self::Arrays(arrays) => Value::Arrays(arrays.into_iter().map(Array::into_owned).collect()),
            Self::List(values) => Value::List(values),
            Self::Record(fields) => Value::Record(fields),
            Self::Transferred(code, memory) => Value::Transferred(code, memory),
        }
    }

    /// The value, if JavaScript can hold it.
    pub fn within(self, limits: Limits) -> Result<Self, Failure> {
        match &self {
            Self::Text(text) => limits.text(text)?,
            Self::Bytes(bytes) => limits.bytes(bytes)?,
            Self::Array(array) => limits.bytes(array.as_bytes())?,
            Self::List(values) => {
                for value in values {
                    if let Value::Text(text) = value {
                        limits.text(text)?;
                    }
                }
            }
            _ => {}
        }
        Ok(self)
    }

    /// JavaScript sees to the types of items, and pipes are checked when they are made: this is for whoever did neither.
    fn unexpected(&self, expected: &str) -> Failure {
        let got = match self {
            Self::Undefined => "undefined",
            Self::Null => "null",
            Self::Number(_) => "a number",
            Self::BigInt(_) => "a bigint",
            Self::Text(_) => "text",
            Self::Bytes(_) => "bytes",
            Self::Array(_) | Self::Transferred(..) => "a typed array",
            Self::Arrays(_) => "several typed arrays",
            Self::List(_) => "a list",
            Self::Record(_) => "an object",
        };
        Failure::Type(format!("expected {expected}, got {got}"))
    }
}

impl Limits {
    fn text(self, text: &str) -> Result<(), Failure> {
        let units = || text.chars().map(char::len_utf16).sum::<usize>() as u64;
        // No character has fewer bytes than units.
        if text.len() as u64 <= self.units || units() <= self.units {
            return Ok(());
        }
        Err(Failure::TooLong { limit: self.units })
    }

    fn bytes(self, bytes: &[u8]) -> Result<(), Failure> {
        if bytes.len() as u64 <= self.bytes { Ok(()) } else { Err(Failure::TooLarge { limit: self.bytes }) }
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<Vec<u8>> for Value<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(Cow::Owned(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_of_bytes_that_lie_anywhere() {
        let numbers = [1.5f64, -2.0, f64::INFINITY];
        let mut bytes = vec![0u8];
        bytes.extend_from_slice(bytemuck::cast_slice(&numbers));
        for at in [0, 1] {
            let shifted = [&bytes[1 - at..1], &bytes[1..]].concat();
            let array = Array::from_bytes(10, &shifted[at..]).unwrap();
            assert_eq!(array, Array::F64(Cow::Borrowed(&numbers)));
            assert_eq!((array.code(), array.len(), array.as_bytes()), (10, 3, &bytes[1..]));
        }
        assert_eq!(Array::from_bytes(10, &[0; 9]), None, "half an element");
        assert_eq!(Array::from_bytes(99, &[]), None);
    }

    #[test]
    fn text_of_bytes_must_be_utf8() {
        assert_eq!(Value::from(b"a\xc3\xa4".to_vec()).into_text().unwrap(), "aä");
        let failure = Value::from(b"a\xff".to_vec()).into_text().unwrap_err();
        assert!(matches!(failure, Failure::Text { at: 1 }));
        assert!(matches!(Value::Number(1.0).into_text(), Err(Failure::Type(_))));
    }
}
