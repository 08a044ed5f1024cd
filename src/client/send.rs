//! Sending requests to replicas.
//!
//! - [`ListSender`] sends a list, and [`execute()`] one request whose body is streamed
//!   (`body`).
//! - `intake` takes the requests of a list, `queues` distributes them over the replicas,
//!   `queue` holds those of one replica, and `buffer` holds their outcomes.
//! - `call` is one call; `assembly` makes outcomes from its messages.
//! - `resend` is the only rule for sending a request again.

mod assembly;
mod body;
mod buffer;
mod call;
mod deadline;
mod execute;
mod intake;
mod list;
mod pause;
mod queue;
mod queues;
mod resend;

pub(super) use execute::execute;
pub(super) use intake::Source;
pub(super) use list::{ListSender, ListSettings};
pub(super) use pause::PauseFlag;

#[cfg(test)]
pub(super) use call::{Call, CallEvent, Responses};
