//! The token that a client sends with each call.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use tonic::{
    Request,
    metadata::{Ascii, MetadataValue},
};

use super::setting::InvalidSetting;
use crate::{bearer, small_file};

/// A token, or the file that contains it.
///
/// Debug output doesn't show the token.
#[derive(Clone)]
pub struct Token(Source);

#[derive(Clone)]
enum Source {
    Fixed(Result<Bearer, InvalidSetting>),
    File(Arc<TokenFile>),
}

struct TokenFile {
    path: PathBuf,
    /// The last valid token of the file.
    last: Mutex<Option<Bearer>>,
}

/// The value of the `authorization` metadata.
type Bearer = MetadataValue<Ascii>;

impl Token {
    /// Creates a token with a fixed value.
    pub fn new(token: &str) -> Self {
        let bearer = bearer(token).map_err(|problem| InvalidSetting::new("token", problem));
        Self(Source::Fixed(bearer))
    }

    /// Creates a token that's read from a file, again for each call.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        let file = TokenFile {
            path: path.into(),
            last: Mutex::default(),
        };
        Self(Source::File(Arc::new(file)))
    }

    /// Adds the token to a call, as its `authorization` metadata.
    ///
    /// # Errors
    ///
    /// See [`authorization`](Self::authorization).
    pub fn authorize<T>(&self, call: &mut Request<T>) -> Result<(), InvalidSetting> {
        let metadata = call.metadata_mut();
        metadata.insert("authorization", self.authorization()?);
        Ok(())
    }

    /// Returns the value of the `authorization` metadata for the next call.
    ///
    /// # Errors
    ///
    /// Fails if the token isn't valid. If the file has had a valid token before, we keep
    /// using that one instead: it may be missing or empty for a moment while somebody
    /// replaces it.
    pub fn authorization(&self) -> Result<MetadataValue<Ascii>, InvalidSetting> {
        match &self.0 {
            Source::Fixed(bearer) => bearer.clone(),
            Source::File(file) => file.authorization(),
        }
    }
}

impl TokenFile {
    fn authorization(&self) -> Result<Bearer, InvalidSetting> {
        // This blocks, but the file is tiny: it takes a few microseconds. And there's no way
        // to tell for sure that a file hasn't changed.
        let read = read(&self.path);
        let mut last = self.last.lock();
        match (read, &*last) {
            (Ok(bearer), _) => {
                *last = Some(bearer.clone());
                Ok(bearer)
            }
            (Err(_), Some(last)) => Ok(last.clone()),
            (Err(problem), None) => Err(InvalidSetting::new("token_file", problem)),
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Fixed(_) => f.debug_tuple("Token").finish_non_exhaustive(),
            Source::File(file) => f.debug_tuple("Token").field(&file.path).finish(),
        }
    }
}

fn read(path: &Path) -> Result<Bearer, String> {
    let read = small_file::read(path).map_err(|error| error.to_string());
    let token = read.and_then(|content| {
        String::from_utf8(content).map_err(|_| "it contains bytes that aren't text".to_owned())
    });
    token.and_then(|token| bearer(&token)).map_err(|problem| {
        format!(
            "expected a file that contains a token and nothing else, got \"{}\" ({problem})",
            path.display()
        )
    })
}

/// Creates the metadata value. White space around the token doesn't count, so that a file
/// may end with a newline.
fn bearer(token: &str) -> Result<Bearer, String> {
    let token = token.trim();
    if token.is_empty() {
        return Err("expected a token, got an empty one".to_owned());
    }
    // Never show the token here, not even an invalid one: most of it may be right.
    if !bearer::is_valid(token) {
        return Err(format!("expected {} without spaces", bearer::EXPECTED));
    }
    let mut bearer = Bearer::try_from(format!("Bearer {token}"))
        .expect("visible ASCII characters are valid metadata");
    // Debug output doesn't show it then, and HTTP/2 doesn't keep it in its tables.
    bearer.set_sensitive(true);
    Ok(bearer)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn token_is_one_word_of_visible_characters() {
        let authorization = Token::new(" s3cret\n").authorization().unwrap();
        assert_eq!(authorization, "Bearer s3cret");
        assert!(Token::new(&"s".repeat(4096)).authorization().is_ok());
        let long = "s".repeat(4097);
        for wrong in [
            "",
            " \n",
            "two words",
            "one\ntwo",
            "s3crét",
            "s3cret\0",
            &long,
        ] {
            let error = Token::new(wrong).authorization().unwrap_err().to_string();
            assert!(error.starts_with("token: expected a token"), "{error}");
            assert!(!error.contains("cr"), "{error}");
        }
    }

    #[test]
    fn token_is_never_shown() {
        let token = Token::new("s3cret");
        let shown = format!("{token:?} {:?}", token.authorization());
        assert!(!shown.contains("s3cret"), "{shown}");
    }

    #[test]
    fn file_is_read_again_and_its_last_valid_token_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let token = Token::file(&path);
        let error = token.authorization().unwrap_err().to_string();
        assert!(error.contains("No such file"), "{error}");
        for (content, expected) in [
            (Some("first\n"), "first"),
            (Some("other"), "other"),
            (Some(""), "other"),
            (Some("name other"), "other"),
            (None, "other"),
            (Some("again"), "again"),
        ] {
            match content {
                Some(content) => fs::write(&path, content).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            let authorization = token.authorization().unwrap();
            assert_eq!(authorization, format!("Bearer {expected}"));
        }
    }
}
