//! Client settings.

use std::{sync::Arc, time::Duration};

use tonic::transport::Endpoint;

use super::{Client, Error, replicas::Replicas};

/// Builds a [`Client`] with other settings than the defaults.
#[derive(Debug, Clone)]
pub struct Builder {
    pub(super) give_up_after: Duration,
    pub(super) silence_timeout: Duration,
    keepalive_interval: Duration,
    keepalive_timeout: Duration,
}

/// Time limit for connecting to a replica.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

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
    /// Sets how long the client keeps trying if no replica answers. After that, the
    /// remaining requests end with [`Error::ServiceLost`]. Default: 30 s.
    #[must_use]
    pub fn give_up_after(mut self, time: Duration) -> Self {
        self.give_up_after = time;
        self
    }

    /// Sets how long a replica may stay silent on a call before its requests are sent to
    /// another replica. Services that have nothing else to send still send an empty
    /// message every 10 s, so keep this well above that. Default: 30 s.
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

    /// Connects to the service at `url`. See [`Client::connect`].
    ///
    /// # Errors
    ///
    /// [`Error::Call`] if a URL isn't valid, [`Error::ServiceLost`] if no replica answers
    /// within 5 s.
    pub async fn connect(self, url: impl AsRef<str>) -> Result<Client, Error> {
        let replicas = Replicas::connect(url.as_ref(), self).await?;
        Ok(Client {
            replicas: Arc::new(replicas),
        })
    }

    /// Applies these settings to `endpoint`.
    pub(super) fn configure(&self, endpoint: Endpoint) -> Endpoint {
        endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
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
            give_up_after: Duration::from_secs(30),
            silence_timeout: Duration::from_secs(30),
            keepalive_interval: Duration::from_secs(5),
            keepalive_timeout: Duration::from_secs(5),
        }
    }
}
