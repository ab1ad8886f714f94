//! Brotli (RFC 7932).

use super::{corrupt, read_all};
use crate::native::{Failure, Step, Value};
use brotli::{BrotliCompress, Decompressor, enc::BrotliEncoderParams};
use std::io;

/// Levels from 0 to 11.
pub struct Compress {
    pub level: i32,
}

impl Step for Compress {
    fn run<'a>(&self, value: Value<'a>) -> Result<Value<'a>, Failure> {
        let input = value.into_bytes()?;
        let size_hint = input.len();
        let parameters = BrotliEncoderParams { quality: self.level, size_hint, ..BrotliEncoderParams::default() };
        let mut output = Vec::new();
        BrotliCompress(&mut &*input, &mut output, &parameters)
            .map_err(|error| Failure::Internal(format!("brotli: {error}")))?;
        output.shrink_to_fit();
        Ok(output.into())
    }
}

pub struct Decompress {
    pub limit: u64,
}

impl Step for Decompress {
    fn run<'a>(&self, value: Value<'a>) -> Result<Value<'a>, Failure> {
        let input = value.into_bytes()?;
        if input.is_empty() {
            return Err(corrupt("brotli", &io::ErrorKind::UnexpectedEof.into()));
        }
        let mut output = Vec::new();
        read_all(&mut Decompressor::new(&*input, BUFFER_BYTES), &mut output, self.limit, "brotli")?;
        output.shrink_to_fit();
        Ok(output.into())
    }
}

const BUFFER_BYTES: usize = 16 << 10;
