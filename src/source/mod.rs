//! Sources that are read on a thread of their own: the bytes of a file, the names of files. Plain Rust.

mod feed;
mod file;
mod walk;

pub use feed::{End, Failure, Feed, Taken};
pub use file::read_file;
pub use walk::{Walk, WalkOptions, walk};
