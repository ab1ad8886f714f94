//! SHA-256 (FIPS 180-4), in hexadecimal.

use super::{Operation, Output};
use sha2::{Digest, Sha256};

pub struct Sha256Hex;

impl Operation for Sha256Hex {
    fn run(&self, item: &[u8]) -> Result<Output, String> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digest = Sha256::digest(item);
        let digits = digest.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        Ok(Output::Text(digits.map(char::from).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_vectors() {
        let hex = |bytes: &[u8]| Sha256Hex.run(bytes);
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hex(b""), Ok(Output::Text(empty.into())));
        assert_eq!(hex(b"abc"), Ok(Output::Text(abc.into())));
    }
}
