//! Field numbers from our `.proto` file. We only need the ones for messages that we read
//! or write without prost.

/// Fields of `FetchBatchRequest`.
pub(super) mod batch {
    pub(in crate::service) const REQUESTS: u32 = 1;
    pub(in crate::service) const OPTIONS: u32 = 2;
    pub(in crate::service) const CONCURRENCY: u32 = 3;
    pub(in crate::service) const TIMEOUT: u32 = 4;
}

/// Fields of `FetchRequest`.
pub(super) mod request {
    pub(in crate::service) const URL: u32 = 1;
    pub(in crate::service) const METHOD: u32 = 2;
    pub(in crate::service) const HEADERS: u32 = 3;
    pub(in crate::service) const BODY: u32 = 4;
    pub(in crate::service) const OPTIONS: u32 = 5;
}

/// Fields of `Header`.
pub(super) mod header {
    pub(in crate::service) const NAME: u32 = 1;
    pub(in crate::service) const VALUE: u32 = 2;
}

/// Fields of `FetchBatchResponse`.
pub(super) mod response {
    pub(in crate::service) const PARTS: u32 = 1;
}

/// Fields of `ResultPart`.
pub(super) mod part {
    pub(in crate::service) const INDEX: u32 = 1;
    pub(in crate::service) const HEAD: u32 = 2;
    pub(in crate::service) const BODY: u32 = 3;
    pub(in crate::service) const END: u32 = 4;
}

/// Fields of `ResponseHead`.
pub(super) mod head {
    pub(in crate::service) const STATUS: u32 = 1;
    pub(in crate::service) const HEADERS: u32 = 2;
    pub(in crate::service) const URL: u32 = 3;
    pub(in crate::service) const VERSION: u32 = 4;
}
