//! Checksums of bytes: cryptographic (SHA-2, SHA-1, MD5, BLAKE3) and fast ones (XXH3, CRC-32). The last two are written as
//! numbers usually are, most significant byte first.

#[cfg(target_arch = "x86_64")]
use super::sha256_pair;
use super::{Failure, Step, Value};
use data_encoding::{BASE64, HEXLOWER};
use serde::Deserialize;
use sha2::Digest as _;

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    Sha256,
    Sha512,
    Sha1,
    Md5,
    Blake3,
    Xxh3,
    Crc32,
}

/// How a digest is given.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    Hex,
    Base64,
    Buffer,
}

impl Encoding {
    #[must_use]
    pub fn encode(self, digest: &[u8]) -> Value<'static> {
        match self {
            Self::Hex => HEXLOWER.encode(digest).into(),
            Self::Base64 => BASE64.encode(digest).into(),
            Self::Buffer => digest.to_vec().into(),
        }
    }
}

/// A digest that is being made, for what comes in pieces.
pub enum Hasher {
    Sha256(sha2::Sha256),
    Sha512(sha2::Sha512),
    Sha1(sha1::Sha1),
    Md5(md5::Md5),
    Blake3(Box<blake3::Hasher>),
    Xxh3(Box<xxhash_rust::xxh3::Xxh3>),
    Crc32(crc32fast::Hasher),
}

impl Hasher {
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::Sha256(sha2::Sha256::new()),
            Algorithm::Sha512 => Self::Sha512(sha2::Sha512::new()),
            Algorithm::Sha1 => Self::Sha1(sha1::Sha1::new()),
            Algorithm::Md5 => Self::Md5(md5::Md5::new()),
            Algorithm::Blake3 => Self::Blake3(Box::default()),
            Algorithm::Xxh3 => Self::Xxh3(Box::new(xxhash_rust::xxh3::Xxh3::new())),
            Algorithm::Crc32 => Self::Crc32(crc32fast::Hasher::new()),
        }
    }

    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
            Self::Sha1(hasher) => hasher.update(bytes),
            Self::Md5(hasher) => hasher.update(bytes),
            Self::Blake3(hasher) => {
                hasher.update(bytes);
            }
            Self::Xxh3(hasher) => hasher.update(bytes),
            Self::Crc32(hasher) => hasher.update(bytes),
        }
    }

    /// The digest in this form.
    #[must_use]
    pub fn finish(self, encoding: Encoding) -> Value<'static> {
        match self {
            Self::Sha256(hasher) => encoding.encode(&hasher.finalize()),
            Self::Sha512(hasher) => encoding.encode(&hasher.finalize()),
            Self::Sha1(hasher) => encoding.encode(&hasher.finalize()),
            Self::Md5(hasher) => encoding.encode(&hasher.finalize()),
            Self::Blake3(hasher) => encoding.encode(hasher.finalize().as_bytes()),
            Self::Xxh3(hasher) => encoding.encode(&hasher.digest().to_be_bytes()),
            Self::Crc32(hasher) => encoding.encode(&hasher.finalize().to_be_bytes()),
        }
    }
}

/// The step: bytes in, their digest out.
pub struct DigestOf {
    pub algorithm: Algorithm,
    pub encoding: Encoding,
}

impl Step for DigestOf {
    fn run<'a>(&self, value: Value<'a>) -> Result<Value<'a>, Failure> {
        let mut hasher = Hasher::new(self.algorithm);
        hasher.update(&value.into_bytes()?);
        Ok(hasher.finish(self.encoding))
    }

    #[cfg(target_arch = "x86_64")]
    fn likes_pairs(&self) -> bool {
        matches!(self.algorithm, Algorithm::Sha256) && sha256_pair::is_available()
    }

    #[cfg(target_arch = "x86_64")]
    fn run_pair<'a>(&self, values: [Value<'a>; 2]) -> [Result<Value<'a>, Failure>; 2] {
        match values.map(Value::into_bytes) {
            [Ok(first), Ok(second)] if self.likes_pairs() => {
                sha256_pair::digests([&first, &second]).map(|digest| Ok(self.encoding.encode(&digest)))
            }
            values => values.map(|bytes| self.run(Value::Bytes(bytes?))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Algorithm; 7] = [
        Algorithm::Sha256,
        Algorithm::Sha512,
        Algorithm::Sha1,
        Algorithm::Md5,
        Algorithm::Blake3,
        Algorithm::Xxh3,
        Algorithm::Crc32,
    ];

    /// Of "" and "abc": FIPS 180-4, RFC 1321, the test vectors of BLAKE3 and xxHash, and the check value of CRC-32.
    #[test]
    fn published_vectors() {
        let vectors = [
            ("sha256", "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("sha256", "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            ("sha1", "abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            ("md5", "", "d41d8cd98f00b204e9800998ecf8427e"),
            ("md5", "abc", "900150983cd24fb0d6963f7d28e17f72"),
            ("blake3", "", "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"),
            ("xxh3", "", "2d06800538d394c2"),
            ("crc32", "123456789", "cbf43926"),
        ];
        for (algorithm, text, digest) in vectors {
            let algorithm = serde_json::from_str(&format!("{algorithm:?}")).unwrap();
            let step = DigestOf { algorithm, encoding: Encoding::Hex };
            assert_eq!(step.run(Value::Text(text.into())).unwrap(), digest.to_owned().into(), "{algorithm:?} {text:?}");
        }
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(bytes: Vec<u8>, cut: usize, at in 0..ALL.len()) {
            let (first, second) = bytes.split_at(cut % (bytes.len() + 1));
            let mut pieces = Hasher::new(ALL[at]);
            pieces.update(first);
            pieces.update(second);
            let whole = DigestOf { algorithm: ALL[at], encoding: Encoding::Base64 };
            prop_assert_eq!(whole.run(Value::from(bytes.clone())).unwrap(), pieces.finish(Encoding::Base64));
        }
    }
}
