//! The settings of a client.

use std::{sync::Arc, time::Duration};

use tonic::transport::Endpoint;

use super::{Client, Error, replicas::Replicas};

/// Makes a [`Client`] with other settings than the default.
#[derive(Debug, Clone)]
pub struct Builder {
    pub(super) give_up_after: Duration,
    pub(super) silence_timeout: Duration,
    keepalive_interval: Duration,
    keepalive_timeout: Duration,
}

/// The time limit for connecting to a replica.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The flow-control window of one call: the bytes that a service may send ahead.
const STREAM_WINDOW: u32 = 2 << 20;
/// The flow-control window of a connection: the most that HTTP/2 allows, so that no
/// unread call blocks the others.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;
/// The largest frame of a response. With HTTP/2's default of 16 KiB, handling the
/// frames of a large body costs more than copying its bytes.
const MAX_FRAME: u32 = 256 << 10;

impl Builder {
    /// Sets the time without an answer from any replica after which the remaining
    /// requests end with [`Error::Call`]. Default: 30 s.
    #[must_use]
    pub fn give_up_after(mut self, time: Duration) -> Self {
        self.give_up_after = time;
        self
    }

    /// Sets the time that a replica may send nothing on a call before its requests
    /// are sent to another replica. Services send an empty message every 10 s if they
    /// have nothing else to send. Default: 30 s.
    #[must_use]
    pub fn silence_timeout(mut self, timeout: Duration) -> Self {
        self.silence_timeout = timeout;
        self
    }

    /// Sets the interval of keepalive pings on each connection. Default: 5 s.
    #[must_use]
    pub fn keepalive_interval(mut self, interval: Duration) -> Self {
        self.keepalive_interval = interval;
        self
    }

    /// Sets the time limit for the answer to a keepalive ping, after which the
    /// connection counts as lost. Default: 5 s.
    #[must_use]
    pub fn keepalive_timeout(mut self, timeout: Duration) -> Self {
        self.keepalive_timeout = timeout;
        self
    }

    /// Connects to the service at `url`, as [`Client::connect`] does.
    ///
    /// # Errors
    ///
    /// [`Error::Call`] if a URL is not valid or no replica answers within 5 s.
    pub async fn connect(self, url: impl AsRef<str>) -> Result<Client, Error> {
        let replicas = Replicas::connect(url.as_ref(), self).await?;
        Ok(Client {
            replicas: Arc::new(replicas),
        })
    }

    /// Returns `endpoint` with these settings.
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
