//! The server's settings as the admin page shows them. This leaves out everything that's
//! secret: the proxy's credentials, tokens, and the paths of files.

use serde::Serialize;

use crate::config::{Config, Egress, Limits, RequestLimits};

#[derive(Serialize)]
pub(super) struct Settings<'a> {
    limits: &'a Limits,
    request_limits: &'a RequestLimits,
    egress: Rules,
    /// The proxy's URL, without credentials.
    proxy: Option<String>,
    tls: &'static str,
    tokens: bool,
    admin_hosts: bool,
    drain_delay_s: f64,
    drain_timeout_s: f64,
}

/// The egress policy, the way its flags are written.
#[derive(Serialize)]
struct Rules {
    allow_net: Vec<String>,
    deny_net: Vec<String>,
    allow_host: Vec<String>,
    deny_host: Vec<String>,
    allow_port: Vec<u16>,
}

impl<'a> Settings<'a> {
    pub(super) fn of(config: &'a Config) -> Self {
        let tls = config.callers.tls.as_ref();
        let proxy = config.origins.proxy.as_ref();
        Self {
            limits: &config.limits,
            request_limits: &config.request_limits,
            egress: Rules::from(&config.egress),
            proxy: proxy.map(|proxy| proxy.uri().to_string()),
            tls: match tls {
                None => "off",
                Some(tls) if tls.client_ca.is_none() => "server",
                Some(_) => "mutual",
            },
            tokens: config.callers.token_file.is_some(),
            admin_hosts: config.admin_hosts,
            drain_delay_s: config.drain_delay.as_secs_f64(),
            drain_timeout_s: config.drain_timeout.as_secs_f64(),
        }
    }
}

impl From<&Egress> for Rules {
    fn from(egress: &Egress) -> Self {
        fn texts<T: ToString>(items: &[T]) -> Vec<String> {
            items.iter().map(T::to_string).collect()
        }
        Self {
            allow_net: texts(&egress.allow_net),
            deny_net: texts(&egress.deny_net),
            allow_host: texts(&egress.allow_host),
            deny_host: texts(&egress.deny_host),
            allow_port: egress.allow_port.clone(),
        }
    }
}
