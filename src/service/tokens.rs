//! The tokens that callers prove their names with.

#[cfg(test)]
mod tests;

use std::{collections::HashSet, str, sync::Arc};

use aws_lc_rs::{
    constant_time,
    digest::{self, Digest},
};

use crate::{bearer, caller::Identity, config::ConfigError, reload::Content};

/// The tokens of a token file, and whose they are.
///
/// We only keep digests of the tokens. There's nothing in here that a caller could use.
pub(super) struct Tokens(Vec<Token>);

struct Token {
    digest: Digest,
    name: Arc<str>,
}

/// The maximum length of a name.
const MAX_NAME: usize = 64;

impl Tokens {
    /// Reads the tokens of a file. The errors never contain a token.
    pub(super) fn parse(content: &Content<'_>) -> Result<Self, ConfigError> {
        let Content { file, bytes } = content;
        let text = str::from_utf8(bytes).map_err(|_| file.unusable("a text file"))?;
        let mut tokens = Self(Vec::new());
        let mut digests = HashSet::new();
        for (position, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let unusable = |expected| {
                let number = position + 1;
                file.unusable(&format!("{expected} in line {number}"))
            };
            let token = Token::parse(line).map_err(unusable)?;
            if !digests.insert(token.digest.as_ref().to_vec()) {
                return Err(unusable("a token that no other line has"));
            }
            tokens.0.push(token);
        }
        if tokens.0.is_empty() {
            return Err(file.unusable("at least one line with a name and a token"));
        }
        Ok(tokens)
    }

    /// Returns the names, each once.
    pub(super) fn names(&self) -> HashSet<Arc<str>> {
        self.0.iter().map(|token| Arc::clone(&token.name)).collect()
    }

    /// Returns the caller that `token` belongs to. How long this takes doesn't depend on
    /// which token it is, or on how much of it is right.
    pub(super) fn identify(&self, token: &[u8]) -> Option<Identity> {
        let digest = digest_of(token);
        let mut name = None;
        for known in &self.0 {
            let (known_digest, digest) = (known.digest.as_ref(), digest.as_ref());
            if constant_time::verify_slices_are_equal(known_digest, digest).is_ok() {
                name = Some(&known.name);
            }
        }
        name.map(Identity::from_token)
    }
}

impl Token {
    fn parse(line: &str) -> Result<Self, &'static str> {
        let mut words = line.split_ascii_whitespace();
        let (Some(name), Some(token), None) = (words.next(), words.next(), words.next()) else {
            return Err("a name, white space and a token");
        };
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.len() > MAX_NAME || !name.bytes().all(is_part) {
            return Err("a name of up to 64 letters, digits, `-`, `_` and `.`");
        }
        if !bearer::is_valid(token) {
            return Err(bearer::EXPECTED);
        }
        Ok(Self {
            digest: digest_of(token.as_bytes()),
            name: name.into(),
        })
    }
}

fn digest_of(token: &[u8]) -> Digest {
    digest::digest(&digest::SHA256, token)
}
