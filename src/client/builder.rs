//! What a client can be told before it connects.

use std::{sync::Arc, time::Duration};

use tonic::transport::Endpoint as Transport;

use super::{Client, Error, endpoints::Endpoints};

/// Makes a [`Client`] with settings of its own.
#[derive(Debug, Clone)]
pub struct Builder {
    pub(super) give_up_after: Duration,
    pub(super) silence_timeout: Duration,
    keepalive_interval: Duration,
    keepalive_timeout: Duration,
}

/// How long connecting to the service may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How much of the responses to one call a service may send ahead.
const STREAM_WINDOW: u32 = 2 << 20;
/// The same of all calls together: as much as HTTP/2 knows, so that no unread
/// call holds up another.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;
/// The largest frame of a response. With the 16 KiB that HTTP/2 begins with, the
/// frames of a large body cost more than its bytes.
const FRAME: u32 = 256 << 10;

impl Builder {
    /// How long no replica may answer before everything that is left of a list ends
    /// with [`Error::Call`]. Default: 30 s.
    #[must_use]
    pub fn give_up_after(mut self, time: Duration) -> Self {
        self.give_up_after = time;
        self
    }

    /// How long a replica may say nothing to a call while requests are open, before
    /// they are sent elsewhere. A service that has nothing else to say sends an empty
    /// message every 10 s. Default: 30 s.
    #[must_use]
    pub fn silence_timeout(mut self, timeout: Duration) -> Self {
        self.silence_timeout = timeout;
        self
    }

    /// How often a connection is asked whether its replica is there. Default: 5 s.
    #[must_use]
    pub fn keepalive_interval(mut self, interval: Duration) -> Self {
        self.keepalive_interval = interval;
        self
    }

    /// How long the answer may take before the connection counts as lost. Default:
    /// 5 s.
    #[must_use]
    pub fn keepalive_timeout(mut self, timeout: Duration) -> Self {
        self.keepalive_timeout = timeout;
        self
    }

    /// Connects to the service at `url`, as [`Client::connect`] does.
    ///
    /// # Errors
    ///
    /// [`Error::Call`] if a URL is not valid or nobody answers within 5 s.
    pub async fn connect(self, url: impl AsRef<str>) -> Result<Client, Error> {
        let endpoints = Endpoints::of(url.as_ref(), self).await?;
        Ok(Client {
            endpoints: Arc::new(endpoints),
        })
    }

    /// `transport` with these settings.
    pub(super) fn set(&self, transport: Transport) -> Transport {
        transport
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(self.keepalive_interval)
            .keep_alive_timeout(self.keepalive_timeout)
            .keep_alive_while_idle(true)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .initial_stream_window_size(STREAM_WINDOW)
            .max_frame_size(FRAME)
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
