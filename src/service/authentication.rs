//! Who a call comes from.

use std::{convert::Infallible, sync::Arc};

use http::{HeaderMap, header};
use tonic::Status;

use super::{status, tokens::Tokens};
use crate::{
    caller::Identity,
    config::{Callers, ConfigError},
    reload::{Reloaded, SettingFile},
    telemetry::Metrics,
};

/// Finds out who a call comes from. If there's a token file, calls need a token.
///
/// Clones share the tokens.
#[derive(Clone)]
pub(crate) struct Authentication {
    tokens: Option<Arc<Reloaded<Tokens>>>,
    metrics: Arc<Metrics>,
}

impl Authentication {
    /// Reads the token file, if there's one.
    pub(crate) fn load(config: &Callers, metrics: Arc<Metrics>) -> Result<Self, ConfigError> {
        let file = config.token_file.clone();
        let file = file.map(|path| SettingFile::new("auth-token-file", path));
        let load = |file| Reloaded::load(vec![file], |contents| Tokens::parse(&contents[0]));
        let tokens = file.map(load).transpose()?.map(Arc::new);
        let authentication = Self { tokens, metrics };
        authentication.register_names();
        Ok(authentication)
    }

    /// Reads the file again when it changes, until the future is dropped.
    pub(crate) async fn watch(&self) -> Infallible {
        let Some(tokens) = &self.tokens else {
            return std::future::pending().await;
        };
        let watching = tokens.watch(|reloaded| {
            self.metrics.auth_reloads.count(reloaded.is_ok());
            match reloaded {
                Ok(()) => {
                    self.register_names();
                    tracing::info!("read new tokens of callers");
                }
                Err(error) => {
                    tracing::error!("cannot use the new tokens, the old ones stay in use: {error}");
                }
            }
        });
        watching.await
    }

    /// Returns who a call with these `headers` comes from. That's `peer`, unless calls
    /// need a token.
    ///
    /// # Errors
    ///
    /// `UNAUTHENTICATED` if the call needs a token and has none that we know.
    pub(crate) fn identify(
        &self,
        headers: &HeaderMap,
        peer: &Identity,
    ) -> Result<Identity, Status> {
        match &self.tokens {
            Some(tokens) if !peer.is_self() => token_in(headers)
                .and_then(|token| tokens.current().identify(token))
                .ok_or_else(status::unauthenticated),
            _ => Ok(peer.clone()),
        }
    }

    fn register_names(&self) {
        if let Some(tokens) = &self.tokens {
            self.metrics.callers.set_names(&tokens.current().names());
        }
    }
}

/// Returns the token in the `authorization` header (RFC 6750, 2.1).
fn token_in(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let (scheme, token) = value.as_bytes().split_at_checked(b"Bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then_some(token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_follows_the_scheme() {
        for (values, token) in [
            (&["Bearer one"][..], Some("one")),
            (&["bearer  one"], Some("one")),
            (&["Bearer "], Some("")),
            (&["Bearer"], None),
            (&["Basic one"], None),
            (&["one"], None),
            (&[], None),
            (&["Bearer one", "Bearer two"], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, value.parse().unwrap());
            }
            assert_eq!(token_in(&headers), token.map(str::as_bytes), "{values:?}");
        }
    }
}
