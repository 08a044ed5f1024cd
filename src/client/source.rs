//! What may be fetched: a list of requests, or a stream of them.

use futures_util::{Stream, StreamExt};

use super::{Request, dispatch::Source};

/// A list, or a `Stream`, of what makes requests. `Kind` tells which, and is never
/// written out.
pub trait Requests<Kind> {
    #[doc(hidden)]
    fn into_source(self) -> Opaque;
}

/// A list.
#[derive(Debug)]
pub enum Listed {}

/// A stream.
#[derive(Debug)]
pub enum Streamed {}

#[doc(hidden)]
#[allow(missing_debug_implementations)]
pub struct Opaque(pub(super) Source);

impl<I> Requests<Listed> for I
where
    I: IntoIterator,
    I::Item: Into<Request>,
{
    fn into_source(self) -> Opaque {
        Opaque(Source::List(self.into_iter().map(Into::into).collect()))
    }
}

impl<S> Requests<Streamed> for S
where
    S: Stream + Send + 'static,
    S::Item: Into<Request>,
{
    fn into_source(self) -> Opaque {
        Opaque(Source::Stream(self.map(Into::into).boxed()))
    }
}
