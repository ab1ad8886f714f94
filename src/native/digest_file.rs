//! Digests of files: an item is a path, and its bytes never reach JavaScript.

use super::{
    Failure, Step, Value,
    digest::{Algorithm, Encoding, Hasher},
};
use std::{
    ffi::OsStr,
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::{ffi::OsStrExt, fs::OpenOptionsExt},
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
        if path.as_os_str().as_bytes().contains(&0) {
            // Only out of a pipe: JavaScript refuses it as an item.
            let path = path.to_string_lossy();
            return Err(Failure::Type(format!("expected a path without null bytes, got {path:?}")));
        }
        let mut file = open(path).map_err(failed("open"))?;
        let kind = file.metadata().map_err(failed("fstat"))?.file_type();
        // Reading from a folder fails by itself, as in Node.
        if !kind.is_file() && !kind.is_dir() {
            return Err(Failure::NoFile { path: path.to_string_lossy().into_owned() });
        }
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

/// Whatever it is: a pipe is opened without waiting for who writes to it, which nothing could end.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

/// Large enough that reading costs few calls, small enough to stay in the processor's cache.
const PIECE_BYTES: usize = 256 << 10;
