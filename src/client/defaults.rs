//! What a client adds to its requests.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{Error, Request, redirect::Policy, request};
use crate::proto;

/// Headers and options for all requests that don't set their own.
#[derive(Clone, Default)]
pub(super) struct Defaults {
    headers: HeaderMap<Bytes>,
    options: proto::FetchOptions,
    /// The first setting that we can't use.
    problem: Option<String>,
}

impl Defaults {
    /// Adds `headers`. They replace earlier ones of the same name.
    pub(super) fn add_headers(&mut self, headers: HeaderMap) {
        let headers = headers.into_iter();
        self.headers
            .extend(headers.map(|(name, value)| (name, bytes(&value))));
    }

    pub(super) fn set_user_agent(&mut self, value: Result<HeaderValue, http::Error>) {
        match value {
            Ok(value) => {
                self.headers.insert(header::USER_AGENT, bytes(&value));
            }
            Err(error) => self.refuse(format!("user_agent: expected a header value: {error}")),
        }
    }

    pub(super) fn set_timeout(&mut self, timeout: Duration) {
        self.options.timeout = Some(self.duration("timeout", timeout));
    }

    pub(super) fn set_read_timeout(&mut self, timeout: Duration) {
        self.options.idle_timeout = Some(self.duration("read_timeout", timeout));
    }

    pub(super) fn set_connect_timeout(&mut self, timeout: Duration) {
        self.options.connect_timeout = Some(self.duration("connect_timeout", timeout));
    }

    pub(super) fn set_redirect(&mut self, policy: Policy) {
        match policy.max_redirects() {
            Ok(max) => self.options.max_redirects = Some(max),
            Err(problem) => self.refuse(format!("redirect: {problem}")),
        }
    }

    /// Fails if we can't use one of the settings.
    pub(super) fn check(&self) -> Result<(), Error> {
        match &self.problem {
            Some(problem) => Err(Error::invalid(problem)),
            None => Ok(()),
        }
    }

    /// Adds all headers that `request` doesn't set itself.
    pub(super) fn add_to(&self, mut request: Request) -> Request {
        for name in self.headers.keys() {
            if !sets(&request, name) {
                for value in self.headers.get_all(name) {
                    request = request.header(name.as_str(), value.clone());
                }
            }
        }
        request
    }

    /// Returns the options, for a batch.
    pub(super) fn options(&self) -> Option<proto::FetchOptions> {
        let is_set = self.options != proto::FetchOptions::default();
        is_set.then_some(self.options)
    }

    fn duration(&mut self, setting: &str, value: Duration) -> prost_types::Duration {
        if value.is_zero() {
            self.refuse(format!(
                "{setting}: expected a duration greater than 0s, got {value:?}"
            ));
        }
        request::duration(value)
    }

    fn refuse(&mut self, problem: String) {
        self.problem.get_or_insert(problem);
    }
}

/// Default headers often contain credentials, so this doesn't print any values.
impl fmt::Debug for Defaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Defaults")
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Returns true if `request` sets the header `name`. Credentials in the URL count as
/// authorization, because the service turns them into that header.
fn sets(request: &Request, name: &HeaderName) -> bool {
    request.has_header(name) || (name == header::AUTHORIZATION && request.has_credentials())
}

fn bytes(value: &HeaderValue) -> Bytes {
    Bytes::copy_from_slice(value.as_bytes())
}
