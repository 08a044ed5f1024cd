#![doc = include_str!("../README.md")]

#[cfg(feature = "server")]
pub mod admin;
#[cfg(feature = "server")]
mod caller;
#[cfg(any(feature = "client", feature = "server"))]
mod causes;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "server")]
mod clock;
#[cfg(any(feature = "client", feature = "server"))]
mod code;
#[cfg(feature = "server")]
pub mod config;
#[cfg(feature = "server")]
mod connect;
#[cfg(feature = "server")]
mod credentials;
#[cfg(feature = "server")]
mod decode;
#[cfg(feature = "server")]
#[allow(unreachable_pub)] // `internals` exports parts of it.
mod egress;
#[cfg(feature = "server")]
mod fetch;
#[cfg(feature = "server")]
mod gate;
#[cfg(feature = "server")]
mod http1;
pub mod proto;
#[cfg(feature = "server")]
mod request;
#[cfg(feature = "server")]
mod response;
#[cfg(feature = "server")]
mod retry;
#[cfg(feature = "server")]
mod schedule;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "server")]
mod service;
#[cfg(feature = "server")]
mod shares;
#[cfg(feature = "server")]
mod telemetry;

#[cfg(any(feature = "client", feature = "server"))]
pub use code::Code;

/// Parts of the engine for the benchmarks and the fuzz targets of this repository.
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals {
    pub use crate::{
        egress::{Denied, Host, Policy, Target, property as egress_property},
        http1::property as http1_property,
    };
}
