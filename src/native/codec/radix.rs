//! base64 (RFC 4648, both alphabets) and hexadecimal. Decoding is strict: a character that does not belong is an error.

use crate::native::{Failure, Step, Value};
use data_encoding::{
    BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD, DecodeError, Encoding, HEXLOWER, HEXLOWER_PERMISSIVE,
};
use serde::Deserialize;

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Alphabet {
    /// With padding.
    Standard,
    /// `-` and `_`, without padding.
    Url,
}

pub enum Encode {
    Base64(Alphabet),
    Hex,
}

impl Encode {
    fn encoding(&self) -> Encoding {
        match self {
            Self::Base64(Alphabet::Standard) => BASE64,
            Self::Base64(Alphabet::Url) => BASE64URL_NOPAD,
            Self::Hex => HEXLOWER,
        }
    }
}

impl Step for Encode {
    fn run<'a>(&self, value: Value<'a>) -> Result<Value<'a>, Failure> {
        Ok(self.encoding().encode(&value.into_bytes()?).into())
    }

    fn units(&self, value: &Value<'_>) -> Option<u64> {
        value.byte_length().map(|bytes| self.encoding().encode_len(bytes) as u64)
    }
}

pub enum Decode {
    /// With or without padding.
    Base64(Alphabet),
    /// Upper and lower case.
    Hex,
}

impl Step for Decode {
    fn run<'a>(&self, value: Value<'a>) -> Result<Value<'a>, Failure> {
        let text = value.into_bytes()?;
        let padded = text.last() == Some(&b'=');
        // The library would take several texts that follow each other, each with its padding.
        let most = text.len().saturating_sub(2);
        let inside = if padded { text[..most].iter().position(|&byte| byte == b'=') } else { None };
        let (encoding, what): (Encoding, &str) = match self {
            Self::Base64(Alphabet::Standard) => (if padded { BASE64 } else { BASE64_NOPAD }, "base64"),
            Self::Base64(Alphabet::Url) => (if padded { BASE64URL } else { BASE64URL_NOPAD }, "base64url"),
            Self::Hex => (HEXLOWER_PERMISSIVE, "hexadecimal"),
        };
        let wrong =
            |position| Failure::corrupt(format!("this is no {what}: character {position} does not belong there"));
        if let Some(position) = inside {
            return Err(wrong(position));
        }
        let bytes = encoding.decode(&text).map_err(|DecodeError { position, .. }| wrong(position))?;
        Ok(bytes.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4648, section 10.
    #[test]
    fn published_vectors() {
        let pairs = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (plain, encoded) in pairs {
            let encode = Encode::Base64(Alphabet::Standard).run(Value::Text(plain.into())).unwrap();
            assert_eq!(encode, encoded.to_owned().into());
            for text in [encoded, encoded.trim_end_matches('=')] {
                let decoded = Decode::Base64(Alphabet::Standard).run(Value::Text(text.into())).unwrap();
                assert_eq!(decoded, plain.as_bytes().to_vec().into());
            }
        }
        assert_eq!(Decode::Hex.run(Value::Text("00fFA1".into())).unwrap(), vec![0, 255, 0xa1].into());
    }

    #[test]
    fn what_does_not_belong_is_found() {
        for (decode, text) in [
            (Decode::Hex, "0"),
            (Decode::Hex, "0g"),
            (Decode::Base64(Alphabet::Standard), "Zg=a"),
            (Decode::Base64(Alphabet::Standard), "Zm9v\n"),
            (Decode::Base64(Alphabet::Standard), "Z"),
            (Decode::Base64(Alphabet::Standard), "Zg==Zg=="),
            (Decode::Base64(Alphabet::Standard), "Zg==Zm9v"),
            (Decode::Base64(Alphabet::Url), "Zm8=Zm8="),
            (Decode::Base64(Alphabet::Standard), "Zm_v"),
            (Decode::Base64(Alphabet::Url), "Zm/v"),
        ] {
            assert!(matches!(decode.run(Value::Text(text.into())), Err(Failure::Corrupt(_))), "{text:?}");
        }
    }
}
