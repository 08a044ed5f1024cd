//! Client settings.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::transport::Endpoint;

use super::{
    Client, Error, defaults::Defaults, redirect, replicas::Replicas, tls::TlsSettings, token::Token,
};
use crate::net::Net;

/// Builds a [`Client`] with other settings than the defaults.
///
/// # Settings of a `reqwest::Client`
///
/// Some settings of a `reqwest::Client` aren't part of its requests: reqwest only adds
/// them when it sends one. If your code has such a client, repeat its settings here. They
/// have the same names and the same meaning:
///
/// ```no_run
/// use std::time::Duration;
///
/// use fetchd::client::{Client, redirect, reqwest::header::HeaderMap};
///
/// # async fn run(headers: HeaderMap) -> Result<(), fetchd::client::Error> {
/// let client = Client::builder()
///     .default_headers(headers)
///     .user_agent("my-service/1.0")
///     .timeout(Duration::from_secs(10))
///     .redirect(redirect::Policy::limited(5))
///     .connect("http://localhost:50051")
///     .await?;
/// # Ok(()) }
/// ```
///
/// They apply to every request that doesn't have its own. If a value can't be used,
/// [`connect`](Self::connect) says so.
///
/// It's the service that connects to origins, so these settings of a `reqwest::Client`
/// have no equivalent here:
///
/// - The cookie store. Responses still have their `Set-Cookie` headers, and requests may
///   have a `Cookie` header.
/// - Proxies and TLS settings (root and client certificates, versions, invalid
///   certificates). The service has settings of its own, e.g. `--proxy` and `--ca-cert`.
///   ([`tls_ca`](Self::tls_ca) and the like are about the connection to the service.)
/// - `redirect::Policy::custom`, `referer` and `https_only`. The service doesn't send a
///   `Referer` when it follows a redirect.
/// - The connection pool, HTTP/2 and HTTP/3, name resolution, local addresses and other
///   socket options. The service uses HTTP/1.1 for all origins.
/// - The content codings (`gzip`, `brotli` and so on). The service asks for gzip and
///   deflate and decodes them, unless the request has an `Accept-Encoding` header.
/// - Retry policies, and middleware such as `connector_layer`. The service retries
///   requests as [`Request::max_attempts`](super::Request::max_attempts) says.
///
/// Besides, the service has limits that reqwest lacks. Unless you set others, a request
/// may take 30 s, its origin may be silent for 15 s, connecting may take 5 s, and a body
/// may have 10 MiB.
#[derive(Debug, Clone)]
pub struct Builder {
    pub(super) defaults: Defaults,
    pub(super) give_up_after: Duration,
    pub(super) silence_timeout: Duration,
    pub(super) tls: TlsSettings,
    pub(super) token: Option<Token>,
    pub(super) network: Net,
    keepalive_interval: Duration,
    keepalive_timeout: Duration,
}

/// HTTP/2 flow control window per call, in bytes. A service can't have more unread data
/// than this in flight on one call.
const STREAM_WINDOW: u32 = 2 << 20;
/// Flow control window per connection. We use the maximum that HTTP/2 allows, so that a
/// call nobody reads can't block the others on its connection.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;
/// The largest response frame to accept. At HTTP/2's default of 16 KiB, handling the
/// frames of a large body costs us more than copying its bytes does.
const MAX_FRAME: u32 = 256 << 10;

impl Builder {
    /// Adds headers to each request that doesn't set the same header itself.
    ///
    /// If a name occurs several times in `headers`, all of its values are sent (reqwest
    /// 0.13 only sends the last). A second call adds to the first, and replaces headers of
    /// the same name. Headers that only the service sets, e.g. `Host`, make every request
    /// fail.
    ///
    /// The values never appear in debug output.
    #[must_use]
    pub fn default_headers(mut self, headers: HeaderMap) -> Self {
        self.defaults.add_headers(headers);
        self
    }

    /// Sets the `User-Agent` header of each request that doesn't have one. Default: that
    /// of the service, `fetchd/VERSION` unless configured otherwise. (reqwest sends none.)
    ///
    /// If `value` isn't a valid header value, [`connect`](Self::connect) fails.
    #[must_use]
    pub fn user_agent<V>(mut self, value: V) -> Self
    where
        V: TryInto<HeaderValue>,
        V::Error: Into<http::Error>,
    {
        self.defaults
            .set_user_agent(value.try_into().map_err(Into::into));
        self
    }

    /// Sets the timeout of each request that doesn't have one. It starts when the service
    /// dispatches the request, and includes redirects, retries and the whole body.
    /// Services lower it to their `--max-timeout`. Default: 30 s.
    ///
    /// To limit a whole list instead, use [`Fetch::timeout`](super::Fetch::timeout).
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.defaults.set_timeout(timeout);
        self
    }

    /// Sets how long an origin may stay silent, for each request that doesn't set it
    /// itself. See [`Request::idle_timeout`](super::Request::idle_timeout). Default: 15 s.
    ///
    /// This isn't about the service: see [`silence_timeout`](Self::silence_timeout).
    #[must_use]
    pub fn read_timeout(mut self, timeout: Duration) -> Self {
        self.defaults.set_read_timeout(timeout);
        self
    }

    /// Sets how long the service may take to connect to an origin (including DNS and TLS),
    /// for each request that doesn't set it itself. Default: 5 s.
    ///
    /// This isn't the time that the client may take to connect to the service, which is
    /// always 5 s.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.defaults.set_connect_timeout(timeout);
        self
    }

    /// Sets how to handle redirects, for each request that doesn't set
    /// [`max_redirects`](super::Request::max_redirects). Default: follow up to 10.
    #[must_use]
    pub fn redirect(mut self, policy: redirect::Policy) -> Self {
        self.defaults.set_redirect(policy);
        self
    }

    /// Sets how long the client keeps trying if no replica answers. After that, the
    /// remaining requests end with [`Error::ServiceLost`]. Default: 30 s.
    #[must_use]
    pub fn give_up_after(mut self, time: Duration) -> Self {
        self.give_up_after = time;
        self
    }

    /// Sets how long a replica may stay silent on a call before its requests are sent to
    /// another replica. Services that have nothing else to send still send an empty
    /// message every 10 s. But a service with more open connections than
    /// `--max-connections` may let the first call of a connection wait for 20 s, so keep this
    /// above that. Default: 30 s.
    #[must_use]
    pub fn silence_timeout(mut self, timeout: Duration) -> Self {
        self.silence_timeout = timeout;
        self
    }

    /// Sets the keepalive ping interval for each connection. Default: 5 s.
    #[must_use]
    pub fn keepalive_interval(mut self, interval: Duration) -> Self {
        self.keepalive_interval = interval;
        self
    }

    /// Sets how long to wait for the answer to a keepalive ping. If there's none by
    /// then, the connection counts as lost. Default: 5 s.
    #[must_use]
    pub fn keepalive_timeout(mut self, timeout: Duration) -> Self {
        self.keepalive_timeout = timeout;
        self
    }

    /// Trusts the root certificates in `pem` (at least one) for services with an `https`
    /// URL. Default: the system's root certificates.
    ///
    /// A service's certificate has to be valid for the host of its URL, and that's the case
    /// for each address of that host. There's no way to turn this off.
    ///
    /// If `pem` can't be used, [`connect`](Self::connect) fails.
    #[must_use]
    pub fn tls_ca(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.tls.set_ca(pem);
        self
    }

    /// Like [`tls_ca`](Self::tls_ca), but with a file, of at most 1 MiB. It's read again for
    /// each new connection, so changes apply without a restart. If it can't be read then,
    /// the connection fails, and we try again like after any other failure.
    #[must_use]
    pub fn tls_ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.tls.set_ca_file(path);
        self
    }

    /// Sets the certificate that proves who we are, for services with an `https` URL that
    /// ask for one (mutual TLS). Default: none.
    ///
    /// `cert` is a PEM text with our certificate, followed by any intermediate ones. `key`
    /// is one with its private key (PKCS#8, PKCS#1 or SEC1, not encrypted). If they can't be
    /// used, [`connect`](Self::connect) fails with a message about `tls_cert` or `tls_key`.
    #[must_use]
    pub fn tls_identity(mut self, cert: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.tls.set_identity(cert, key);
        self
    }

    /// Like [`tls_identity`](Self::tls_identity), but with files, of at most 1 MiB each.
    /// They're read again for each new connection, so rotated certificates (e.g. those of
    /// cert-manager or SPIFFE) apply without a restart. If they can't be read then, the
    /// connection fails, and we try again like after any other failure.
    ///
    /// Open connections keep the certificate that they began with. A service closes them
    /// after its `--max-connection-age`.
    #[must_use]
    pub fn tls_identity_files(mut self, cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.tls.set_identity_files(cert, key);
        self
    }

    /// Sends this token with each call, as `authorization: Bearer TOKEN`. Default: none.
    ///
    /// If the service doesn't accept it, requests end with [`Error::Call`] and
    /// [`Code::Unauthenticated`](crate::Code::Unauthenticated).
    ///
    /// Use it with `https` URLs. An `http` URL works too, since in some networks it's a
    /// proxy next to the client that encrypts the connection, but without one, the token
    /// can be read on the way.
    ///
    /// If `token` is empty, has more than 4096 characters, or others than visible ASCII,
    /// [`connect`](Self::connect) fails. Debug output and errors never show it.
    #[must_use]
    pub fn token(mut self, token: impl AsRef<str>) -> Self {
        self.token = Some(Token::new(token.as_ref()));
        self
    }

    /// Like [`token`](Self::token), but with a file that contains a token and nothing else
    /// (white space around it doesn't count).
    ///
    /// It's read again for each call, so a rotated token applies to the next one. If it
    /// doesn't contain a token then, we use the last one it had.
    #[must_use]
    pub fn token_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.token = Some(Token::file(path));
        self
    }

    /// Connects through another network than the operating system's. See
    /// [`net`](crate::net), which semantic versioning doesn't cover.
    #[must_use]
    pub fn network(mut self, network: Net) -> Self {
        self.network = network;
        self
    }

    /// Connects to the service at `url`. See [`Client::connect`].
    ///
    /// # Errors
    ///
    /// [`Error::Call`] if a setting or a URL isn't valid, [`Error::ServiceLost`] if no
    /// replica answers within 5 s. That's also the case if either side doesn't accept the
    /// other's certificate, and the message says which one and why.
    pub async fn connect(self, url: impl AsRef<str>) -> Result<Client, Error> {
        self.check()?;
        let replicas = Replicas::connect(url.as_ref(), self).await?;
        Ok(Client {
            replicas: Arc::new(replicas),
        })
    }

    /// Creates a client that calls `connect` whenever it needs a connection. See
    /// [`Client::over_connector`].
    ///
    /// # Errors
    ///
    /// [`Error::Call`] if a setting isn't valid.
    pub fn over_connector<F, S>(self, connect: F) -> Result<Client, Error>
    where
        F: FnMut() -> io::Result<S> + Send + 'static,
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.check()?;
        self.check_tls_is_used(false)?;
        Ok(self.client_over(connect))
    }

    /// Like [`over_connector`](Self::over_connector), but without checking the settings.
    pub(super) fn client_over<F, S>(self, mut connect: F) -> Client
    where
        F: FnMut() -> io::Result<S> + Send + 'static,
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let connector =
            tower::service_fn(move |_: Uri| std::future::ready(connect().map(TokioIo::new)));
        let endpoint = self.configure(Endpoint::from_static("http://in.memory"));
        let channel = endpoint.connect_with_connector_lazy(connector);
        Client {
            replicas: Arc::new(Replicas::only(channel, self)),
        }
    }

    /// Fails if we can't use one of the settings.
    fn check(&self) -> Result<(), Error> {
        self.defaults.check()?;
        if let Some(token) = &self.token {
            token.authorization()?;
        }
        Ok(())
    }

    /// Fails if there are TLS settings, but no connection that uses TLS.
    pub(super) fn check_tls_is_used(&self, has_tls: bool) -> Result<(), Error> {
        match self.tls.first_set() {
            Some(name) if !has_tls => Err(Error::invalid(format!(
                "{name}: expected a service URL such as https://fetchd.example with it"
            ))),
            _ => Ok(()),
        }
    }

    /// Applies these settings to `endpoint`.
    pub(super) fn configure(&self, endpoint: Endpoint) -> Endpoint {
        endpoint
            .http2_keep_alive_interval(self.keepalive_interval)
            .keep_alive_timeout(self.keepalive_timeout)
            .keep_alive_while_idle(true)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .initial_stream_window_size(STREAM_WINDOW)
            .max_frame_size(MAX_FRAME)
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            defaults: Defaults::default(),
            give_up_after: Duration::from_secs(30),
            silence_timeout: Duration::from_secs(30),
            tls: TlsSettings::default(),
            token: None,
            network: Net::default(),
            keepalive_interval: Duration::from_secs(5),
            keepalive_timeout: Duration::from_secs(5),
        }
    }
}

/// Sets the TLS settings and the token, as the commands of `fetchd` have them.
pub fn with_credentials(builder: Builder, tls: TlsSettings, token: Option<Token>) -> Builder {
    Builder {
        tls,
        token,
        ..builder
    }
}
