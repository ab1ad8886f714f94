//! gzip (RFC 1952) and the zlib format (RFC 1950), which Node calls deflate. libdeflate compresses: it has all of the item
//! before it, and is faster for it. zlib-rs decompresses: what comes out has no size that could be trusted.

use super::{corrupt, read_all};
use crate::native::{Failure, Step, Value};
use flate2::bufread::{GzDecoder, ZlibDecoder};
use libdeflater::{CompressionLvl, Compressor};
use std::{cell::RefCell, io};

thread_local! {
    /// One per thread, with its level: making one costs as much as compressing a small item.
    static COMPRESSOR: RefCell<Option<(i32, Compressor)>> = const { RefCell::new(None) };
}

/// Which of the formats.
#[derive(Clone, Copy)]
pub enum Format {
    Gzip,
    Zlib,
}

/// From 0 (stored) to 12.
pub struct Compress {
    format: Format,
    level: i32,
}

impl Compress {
    pub fn new(format: Format, level: i32) -> Result<Self, Failure> {
        CompressionLvl::new(level).map_err(|_| Failure::Range(format!("there is no level {level}")))?;
        Ok(Self { format, level })
    }
}

impl Step for Compress {
    fn run<'a>(&self, value: Value<'a>) -> Result<Value<'a>, Failure> {
        let input = value.into_bytes()?;
        COMPRESSOR.with_borrow_mut(|kept| {
            if kept.as_ref().is_none_or(|(level, _)| *level != self.level) {
                let level = CompressionLvl::new(self.level).unwrap_or_default();
                *kept = Some((self.level, Compressor::new(level)));
            }
            let Some((_, compressor)) = kept else { return Err(no_room()) };
            let bound = match self.format {
                Format::Gzip => compressor.gzip_compress_bound(input.len()),
                Format::Zlib => compressor.zlib_compress_bound(input.len()),
            };
            let mut output = vec![0; bound];
            let written = match self.format {
                Format::Gzip => compressor.gzip_compress(&input, &mut output),
                Format::Zlib => compressor.zlib_compress(&input, &mut output),
            };
            output.truncate(written.map_err(|_| no_room())?);
            output.shrink_to_fit();
            Ok(output.into())
        })
    }
}

fn no_room() -> Failure {
    Failure::Internal("compressed data are larger than they can be".to_owned())
}

pub struct Decompress {
    pub format: Format,
    pub limit: u64,
}

impl Step for Decompress {
    /// As in Node, gzip members that follow each other are one text, and zeroes may follow, as padding. What follows zlib
    /// data is left alone.
    fn run<'a>(&self, value: Value<'a>) -> Result<Value<'a>, Failure> {
        let input = value.into_bytes()?;
        let mut output = Vec::new();
        match self.format {
            Format::Zlib => {
                read_all(&mut ZlibDecoder::new(nonempty(&input, "zlib")?), &mut output, self.limit, "zlib")?;
            }
            Format::Gzip => {
                let mut rest = nonempty(&input, "gzip")?;
                loop {
                    let mut member = GzDecoder::new(rest);
                    read_all(&mut member, &mut output, self.limit, "gzip")?;
                    rest = member.into_inner();
                    if rest.is_empty() || rest[0] == 0 {
                        break;
                    }
                }
            }
        }
        output.shrink_to_fit();
        Ok(output.into())
    }
}

/// The decoders take no input at all for nothing that was compressed.
fn nonempty<'a>(input: &'a [u8], what: &str) -> Result<&'a [u8], Failure> {
    if input.is_empty() { Err(corrupt(what, &io::ErrorKind::UnexpectedEof.into())) } else { Ok(input) }
}
