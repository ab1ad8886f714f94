//! LZ4, in its frame format: what the `lz4` program reads and writes.

use super::{corrupt, read_all};
use crate::native::{Failure, Step, Value};
use lz4_flex::frame::{FrameDecoder, FrameEncoder, FrameInfo};
use std::io::{self, Write};

pub struct Compress;

impl Step for Compress {
    fn run<'a>(&self, value: Value<'a>) -> Result<Value<'a>, Failure> {
        let input = value.into_bytes()?;
        let fault = |error: &dyn std::fmt::Display| Failure::Internal(format!("lz4: {error}"));
        let info = FrameInfo::new().content_size(Some(input.len() as u64)).content_checksum(true);
        let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
        encoder.write_all(&input).map_err(|error| fault(&error))?;
        let mut output = encoder.finish().map_err(|error| fault(&error))?;
        output.shrink_to_fit();
        Ok(output.into())
    }
}

pub struct Decompress {
    pub limit: u64,
}

impl Step for Decompress {
    /// Frames that follow each other are one text; those that are to be skipped are.
    fn run<'a>(&self, value: Value<'a>) -> Result<Value<'a>, Failure> {
        let input = value.into_bytes()?;
        let (mut rest, mut output) = (&*input, Vec::new());
        loop {
            // The decoder takes an input that ends between two blocks for a whole one.
            let cut_off = || corrupt("lz4", &io::ErrorKind::UnexpectedEof.into());
            let (frame, after) =
                frame_bytes(rest)?.and_then(|bytes| rest.split_at_checked(bytes)).ok_or_else(cut_off)?;
            if word(frame) == Some(FRAME) {
                read_all(&mut FrameDecoder::new(frame), &mut output, self.limit, "lz4")?;
            }
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        output.shrink_to_fit();
        Ok(output.into())
    }
}

/// How many bytes the frame has with which the input begins; `None`: it is cut off. See the LZ4 Frame Format, 1.6.
fn frame_bytes(input: &[u8]) -> Result<Option<usize>, Failure> {
    let Some(magic) = word(input) else { return Ok(None) };
    if magic & !0xf == SKIPPABLE {
        return Ok(input.get(4..).and_then(word).map(|bytes| 8 + bytes as usize));
    }
    if magic != FRAME {
        return Err(Failure::corrupt("these are no lz4 data: they begin with no frame"));
    }
    let Some(flags) = input.get(4) else { return Ok(None) };
    let has = |bit: u8, bytes: usize| if flags >> bit & 1 == 1 { bytes } else { 0 };
    // Magic number, flags, size of blocks, checksum of these; and what the flags say of the size and a dictionary.
    let mut at = 7 + has(3, 8) + has(0, 4);
    loop {
        let Some(block) = input.get(at..).and_then(word) else { return Ok(None) };
        at += 4;
        if block == 0 {
            return Ok(Some(at + has(2, 4)));
        }
        // The highest bit: it is not compressed.
        at = at.saturating_add((block & 0x7fff_ffff) as usize + has(4, 4));
    }
}

fn word(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|word| u32::from_le_bytes(*word))
}

const FRAME: u32 = 0x184d_2204;
const SKIPPABLE: u32 = 0x184d_2a50;
