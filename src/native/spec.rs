//! What JavaScript asks for: the steps of an operation with their parameters, which it has checked (`lib/native/`).

#[cfg(feature = "compression")]
use super::codec::{brotli, deflate, lz4, zstd};
#[cfg(feature = "text")]
use super::text;
use super::{Failure, Step, array, codec::radix, digest, digest_file::DigestFile};
use serde::Deserialize;

/// One step, as in `{"op":"digest","algorithm":"sha256","encoding":"hex"}`.
#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum StepSpec {
    Array {
        kernel: array::ArrayOf,
    },
    Digest {
        algorithm: digest::Algorithm,
        encoding: digest::Encoding,
    },
    DigestFile {
        algorithm: digest::Algorithm,
        encoding: digest::Encoding,
    },
    Base64 {
        alphabet: radix::Alphabet,
    },
    Unbase64 {
        alphabet: radix::Alphabet,
    },
    Hex,
    Unhex,
    #[cfg(feature = "compression")]
    Gzip {
        level: i32,
    },
    #[cfg(feature = "compression")]
    Gunzip {
        max_output_bytes: u64,
    },
    #[cfg(feature = "compression")]
    Deflate {
        level: i32,
    },
    #[cfg(feature = "compression")]
    Inflate {
        max_output_bytes: u64,
    },
    #[cfg(feature = "compression")]
    Zstd {
        level: i32,
    },
    #[cfg(feature = "compression")]
    Unzstd {
        max_output_bytes: u64,
    },
    #[cfg(feature = "compression")]
    Brotli {
        level: i32,
    },
    #[cfg(feature = "compression")]
    Unbrotli {
        max_output_bytes: u64,
    },
    #[cfg(feature = "compression")]
    Lz4,
    #[cfg(feature = "compression")]
    Unlz4 {
        max_output_bytes: u64,
    },
    #[cfg(feature = "text")]
    Match {
        #[serde(flatten)]
        pattern: text::PatternSpec,
        max_output_bytes: u64,
    },
    #[cfg(feature = "text")]
    CountMatches(text::PatternSpec),
    #[cfg(feature = "text")]
    Split {
        #[serde(flatten)]
        pattern: text::PatternSpec,
        max_output_bytes: u64,
    },
    #[cfg(feature = "text")]
    Replace {
        #[serde(flatten)]
        pattern: text::PatternSpec,
        replacement: String,
        max_output_bytes: u64,
    },
}

impl StepSpec {
    pub fn build(self) -> Result<Box<dyn Step>, Failure> {
        Ok(match self {
            Self::Array { kernel } => Box::new(kernel),
            Self::Digest { algorithm, encoding } => Box::new(digest::DigestOf { algorithm, encoding }),
            Self::DigestFile { algorithm, encoding } => Box::new(DigestFile { algorithm, encoding }),
            Self::Base64 { alphabet } => Box::new(radix::Encode::Base64(alphabet)),
            Self::Unbase64 { alphabet } => Box::new(radix::Decode::Base64(alphabet)),
            Self::Hex => Box::new(radix::Encode::Hex),
            Self::Unhex => Box::new(radix::Decode::Hex),
            #[cfg(feature = "compression")]
            Self::Gzip { level } => Box::new(deflate::Compress::new(deflate::Format::Gzip, level)?),
            #[cfg(feature = "compression")]
            Self::Gunzip { max_output_bytes: limit } => {
                Box::new(deflate::Decompress { format: deflate::Format::Gzip, limit })
            }
            #[cfg(feature = "compression")]
            Self::Deflate { level } => Box::new(deflate::Compress::new(deflate::Format::Zlib, level)?),
            #[cfg(feature = "compression")]
            Self::Inflate { max_output_bytes: limit } => {
                Box::new(deflate::Decompress { format: deflate::Format::Zlib, limit })
            }
            #[cfg(feature = "compression")]
            Self::Zstd { level } => Box::new(zstd::Compress { level }),
            #[cfg(feature = "compression")]
            Self::Unzstd { max_output_bytes: limit } => Box::new(zstd::Decompress { limit }),
            #[cfg(feature = "compression")]
            Self::Brotli { level } => Box::new(brotli::Compress { level }),
            #[cfg(feature = "compression")]
            Self::Unbrotli { max_output_bytes: limit } => Box::new(brotli::Decompress { limit }),
            #[cfg(feature = "compression")]
            Self::Lz4 => Box::new(lz4::Compress),
            #[cfg(feature = "compression")]
            Self::Unlz4 { max_output_bytes: limit } => Box::new(lz4::Decompress { limit }),
            #[cfg(feature = "text")]
            Self::Match { pattern, max_output_bytes } => Box::new(text::Match::new(&pattern, max_output_bytes)?),
            #[cfg(feature = "text")]
            Self::CountMatches(pattern) => Box::new(text::CountMatches::new(&pattern)?),
            #[cfg(feature = "text")]
            Self::Split { pattern, max_output_bytes } => Box::new(text::Split::new(&pattern, max_output_bytes)?),
            #[cfg(feature = "text")]
            Self::Replace { pattern, replacement, max_output_bytes } => {
                Box::new(text::Replace::new(&pattern, &replacement, max_output_bytes)?)
            }
        })
    }
}
