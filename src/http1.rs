//! A small HTTP/1.1 client for a single connection.
//!
//! [`Connection::exchange`] writes a request and reads the response head. The body is
//! then read through [`Incoming`], which owns the connection in the meantime and gives it
//! back at the end so that it can be used for the next exchange. There aren't any
//! background tasks or channels: whoever awaits the response also drives the connection,
//! and dropping it closes the connection.
//!
//! Connections don't hold a read buffer while they wait. We read into a thread-local
//! buffer instead and only copy what can't be used right away.
//!
//! We use httparse to parse heads. Everything else, i.e. what a message means and where
//! it ends, is decided here.

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
    /// Called when an exchange begins or ends. If the transport is dropped during an
    /// exchange, there's no point in sending the remaining bytes.
    fn set_busy(&mut self, _is_busy: bool) {}
}

/// A response. Its head has arrived, and its body is yet to be read.
pub(crate) struct Response<S> {
    pub(crate) head: Head,
    pub(crate) body: Incoming<S>,
}

/// The size of the thread-local read buffer.
const READ_BUFFER: usize = 16 << 10;

thread_local! {
    /// Only used within a single poll. No bytes stay in here afterwards.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BUFFER].into());
}

/// Returns true if a request with this `method` usually has a body, i.e. the method gives
/// it a meaning (RFC 9110, 9.3). For any other method, servers disagree about whether
/// there is one.
pub(crate) fn expects_body(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}
