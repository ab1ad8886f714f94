//! Digests of files: an item is a path, and its bytes never reach JavaScript.

use super::{
    Failure, Step, Value,
    digest::{Algorithm, Encoding, Hasher},
};
use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read},
    os::unix::ffi::OsStrExt,
    path::Path,
};

pub struct DigestFile {
    pub algorithm: Algorithm,
    pub encoding: Encoding,
}

impl Step for DigestFile {
    fn run<'a>(&self, value: Value<'a>) -> Result<Value<'a>, Failure> {
        let path = value.into_bytes()?;
        let path = Path::new(OsStr::from_bytes(&path));
        let failed = |call| move |error| Failure::System { error, call, path: path.to_string_lossy().into_owned() };
        let mut file = File::open(path).map_err(failed("open"))?;
        let mut hasher = Hasher::new(self.algorithm);
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            match file.read(&mut piece) {
                Ok(0) => return Ok(hasher.finish(self.encoding)),
                Ok(bytes) => hasher.update(&piece[..bytes]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed("read")(error)),
            }
        }
    }
}

/// Large enough that reading costs few calls, small enough to stay in the processor's cache.
const PIECE_BYTES: usize = 256 << 10;
