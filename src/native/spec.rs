//! What JavaScript asks for: the steps of an operation with their parameters, which it has checked (`lib/native/`).

use super::{Failure, Step, array, digest};
use serde::Deserialize;

/// One step, as in `{"op":"digest","algorithm":"sha256","encoding":"hex"}`.
#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum StepSpec {
    Array { kernel: array::ArrayOf },
    Digest { algorithm: digest::Algorithm, encoding: digest::Encoding },
}

impl StepSpec {
    #[allow(clippy::unnecessary_wraps)] // steps may refuse their parameters
    pub fn build(self) -> Result<Box<dyn Step>, Failure> {
        Ok(match self {
            Self::Array { kernel } => Box::new(kernel),
            Self::Digest { algorithm, encoding } => Box::new(digest::DigestOf { algorithm, encoding }),
        })
    }
}
