//! Sends requests to replicas.
//!
//! - [`ListSender`] sends a list. [`execute()`] sends a single request and streams its
//!   `body`.
//! - `intake` takes requests from the list, `queues` distributes them over the replicas,
//!   `queue` holds those of one replica, `share` limits them, and `buffer` holds outcomes
//!   until the caller takes them.
//! - `call` makes a single call, and `assembly` turns its messages into outcomes.
//! - `resend` decides if we may send a request again. Nothing else does.

mod assembly;
mod body;
mod buffer;
mod call;
mod deadline;
mod execute;
mod intake;
mod list;
mod pause;
#[cfg(any(test, feature = "internals"))]
#[allow(missing_docs, unreachable_pub, clippy::missing_panics_doc)]
pub mod property;
mod queue;
mod queues;
mod resend;
mod share;

pub(super) use execute::execute;
pub(super) use intake::Source;
pub(super) use list::{ListSender, ListSettings};
pub(super) use pause::PauseFlag;
pub use share::{fair_share, max_share};
