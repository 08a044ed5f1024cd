//! An HTTP/1.1 client over one connection.
//!
//! [`Connection::exchange`] writes a request and reads the head of its response. The
//! [`Incoming`] body is then read from the connection, and returns the connection at its
//! end for the next exchange. There are no background tasks and no channels: the task
//! that awaits a response drives its connection, and dropping the connection closes it.
//!
//! A connection that waits for bytes holds no read buffer. Bytes are read into a
//! thread-local buffer, and only those that cannot be used immediately are copied out.
//!
//! httparse parses the heads. This module decides what a message means and where it
//! ends.

mod chunked;
mod connection;
mod error;
mod framing;
mod head;
mod incoming;
#[cfg(any(test, feature = "internals"))]
#[allow(missing_docs, unreachable_pub, clippy::missing_panics_doc)]
pub mod property;
mod writer;

use std::cell::RefCell;

use http::Method;
use tokio::io::{AsyncRead, AsyncWrite};

pub(crate) use connection::Connection;
pub(crate) use error::Error;
pub(crate) use head::{Head, Parsed};
pub(crate) use incoming::{Finished, Incoming};

/// The byte stream of a connection.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Unpin {
    /// Records whether an exchange is in progress. If the transport is dropped during an
    /// exchange, bytes that it has not sent yet are useless.
    fn set_busy(&mut self, _is_busy: bool) {}
}

/// A response whose head has arrived.
pub(crate) struct Response<S> {
    pub(crate) head: Head,
    pub(crate) body: Incoming<S>,
}

/// The size of the thread-local read buffer.
const READ_BUFFER: usize = 16 << 10;

thread_local! {
    /// Holds bytes only during one poll.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BUFFER].into());
}

/// Returns true if `method` defines a meaning for a request body (RFC 9110, 9.3).
/// Servers disagree about whether any other request has one.
pub(crate) fn expects_body(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}
