//! Zstandard (RFC 8878).

use super::{corrupt, read_all};
use crate::native::{Failure, Step, Value};
use std::{cell::RefCell, io};
use zstd::{bulk::Compressor, stream::read::Decoder};

thread_local! {
    /// One per thread, with its level: making one costs more than compressing a small item.
    static COMPRESSOR: RefCell<Option<(i32, Compressor<'static>)>> = const { RefCell::new(None) };
}

/// Levels from 1 to 22.
pub struct Compress {
    pub level: i32,
}

impl Step for Compress {
    fn run<'a>(&self, value: Value<'a>) -> Result<Value<'a>, Failure> {
        let input = value.into_bytes()?;
        let fault = |error: io::Error| Failure::Internal(format!("zstd: {error}"));
        COMPRESSOR.with_borrow_mut(|kept| {
            if kept.as_ref().is_none_or(|(level, _)| *level != self.level) {
                let mut compressor = Compressor::new(self.level).map_err(fault)?;
                compressor.include_checksum(true).map_err(fault)?;
                *kept = Some((self.level, compressor));
            }
            let Some((_, compressor)) = kept else { return Err(Failure::Internal("no compressor".to_owned())) };
            let mut output = compressor.compress(&input).map_err(fault)?;
            output.shrink_to_fit();
            Ok(output.into())
        })
    }
}

pub struct Decompress {
    pub limit: u64,
}

impl Step for Decompress {
    /// Frames that follow each other are one text.
    fn run<'a>(&self, value: Value<'a>) -> Result<Value<'a>, Failure> {
        let input = value.into_bytes()?;
        if input.is_empty() {
            return Err(corrupt("zstd", &io::ErrorKind::UnexpectedEof.into()));
        }
        let mut decoder = Decoder::with_buffer(&*input).map_err(|error| corrupt("zstd", &error))?;
        let fault = |error: io::Error| Failure::Internal(format!("zstd: {error}"));
        decoder.window_log_max(WINDOW_LOG_MAX).map_err(fault)?;
        let mut output = Vec::new();
        read_all(&mut decoder, &mut output, self.limit, "zstd")?;
        output.shrink_to_fit();
        Ok(output.into())
    }
}

/// The widest window of the library, which `zstd --long=31` writes. A window takes memory only where it is filled, so that
/// a frame that claims much takes no more than its limit.
const WINDOW_LOG_MAX: u32 = if cfg!(target_pointer_width = "64") { 31 } else { 30 };
