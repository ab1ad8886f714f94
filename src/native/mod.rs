//! Operations that run on Rust threads. Plain Rust: bytes in, bytes out, nothing of Node.

mod sha256;

/// One operation. It is called from many threads at once.
pub trait Operation: Send + Sync + 'static {
    /// What the item's bytes become, or why not.
    fn run(&self, item: &[u8]) -> Result<Output, String>;
}

/// What an operation gives back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// A string of ASCII characters.
    Text(String),
}

/// The operation of this name.
#[must_use]
pub fn operation(name: &str) -> Option<Box<dyn Operation>> {
    match name {
        "sha256" => Some(Box::new(sha256::Sha256Hex)),
        _ => None,
    }
}
