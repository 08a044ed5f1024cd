//! The gRPC messages, generated from `proto/fetchd/v1/fetchd.proto`. Their docs are the
//! comments in that file.
//!
//! [`Reason`] and the other enums may get new values in any release, so always add a wildcard when you match on one:
//!
//! ```
//! use fetchd::proto::Reason;
//!
//! fn is_fault_of_caller(reason: Reason) -> bool {
//!     match reason {
//!         Reason::InvalidRequest | Reason::Blocked => true,
//!         _ => false,
//!     }
//! }
//! ```
//!
//! Without the wildcard, the match doesn't compile, even if it names every value that
//! exists today:
//!
//! ```compile_fail,E0004
//! use fetchd::proto::HttpVersion;
//!
//! fn number(version: HttpVersion) -> &'static str {
//!     match version {
//!         HttpVersion::Unspecified => "unknown",
//!         HttpVersion::Http10 => "1.0",
//!         HttpVersion::Http11 => "1.1",
//!         HttpVersion::Http2 => "2",
//!         HttpVersion::Http3 => "3",
//!     }
//! }
//! ```
//!
//! Messages may get new fields in any release too. End struct literals with
//! `..Default::default()`.
//!
//! # Stability
//!
//! The stubs in `fetch_service_client` and `fetch_service_server` come from tonic and
//! change along with the tonic version we use, so semantic versioning doesn't cover
//! them. It does cover the [client](crate::client) and the [server](crate::server).

// Generated code follows its own style, and its docs come from the .proto file.
#![allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub)]

/// The encoded file descriptors of our .proto file and its imports.
#[cfg(feature = "server")]
pub(crate) const DESCRIPTORS: &[u8] = include_bytes!("proto/descriptors.bin");

include!("proto/fetchd.v1.rs");
