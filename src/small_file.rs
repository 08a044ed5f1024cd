//! Reads small files: certificates, keys and tokens.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

/// The maximum size of a file, in bytes. The bundle of a system's roots is a quarter of this.
const MAX_BYTES: u64 = 1 << 20;

/// Reads a file of at most [`MAX_BYTES`].
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    // Opening a pipe would wait for a writer, maybe forever.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it isn't a regular file"));
    }
    let file = File::open(path)?;
    // If it had to grow, it would leave copies of a secret behind that nobody can wipe.
    let length = file.metadata()?.len().min(MAX_BYTES) + 1;
    let mut content = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    file.take(MAX_BYTES + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_BYTES {
        let message = format!("it has more than {MAX_BYTES} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(content)
}
