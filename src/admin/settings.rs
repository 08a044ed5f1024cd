//! The server's settings as the admin page shows them. This leaves out everything that's
//! secret: the proxy's credentials, tokens, and the paths of files.

use serde::Serialize;

use crate::config::{Config, Egress, Limits, RequestLimits};

#[derive(Serialize)]
pub(super) struct Settings<'a> {
    limits: &'a Limits,
    request_limits: &'a RequestLimits,
    egress: &'a Egress,
    /// The proxy's URL, without credentials.
    proxy: Option<String>,
    tls: &'static str,
    tokens: bool,
    admin_hosts: bool,
    drain_delay_s: f64,
    drain_timeout_s: f64,
}

impl<'a> Settings<'a> {
    pub(super) fn of(config: &'a Config) -> Self {
        let proxy = config.origins.proxy.as_ref();
        Self {
            limits: &config.limits,
            request_limits: &config.request_limits,
            egress: &config.egress,
            proxy: proxy.map(|proxy| proxy.uri().to_string()),
            tls: config.callers.tls_mode(),
            tokens: config.callers.token_file.is_some(),
            admin_hosts: config.admin_hosts,
            drain_delay_s: config.drain_delay.as_secs_f64(),
            drain_timeout_s: config.drain_timeout.as_secs_f64(),
        }
    }
}
