//! The contract as generated from `proto/fetchd/v1/fetchd.proto`, and nothing
//! else. The comments there are the documentation.

#![allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub)]

/// The encoded file descriptors of the contract and its imports.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

tonic::include_proto!("fetchd.v1");
