//! The messages of the gRPC contract, generated from
//! `proto/fetchd/v1/fetchd.proto`, whose comments document them.
//!
//! [`Reason`] and the other enums may get new values in any release, so that a match
//! on one needs a wildcard:
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
//! Without one, the match does not compile, although it names every value of today:
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
//! Messages may get new fields in any release: end a literal with
//! `..Default::default()`.
//!
//! # Stability
//!
//! The stubs in `fetch_service_client` and `fetch_service_server` are tonic's, and
//! change with the version of tonic that this crate uses: they are not covered by
//! semantic versioning. The [client](crate::client) and the [server](crate::server)
//! are.

// Generated code has its own style, and documents itself by the contract's comments.
#![allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub)]

/// The encoded file descriptors of the contract and its imports.
#[cfg(feature = "server")]
pub(crate) const DESCRIPTORS: &[u8] = include_bytes!("proto/descriptors.bin");

include!("proto/fetchd.v1.rs");
