//! The paths of the admin listener, and their answers.

use std::net::IpAddr;

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Method, Request, Response, StatusCode, header, uri::Authority,
};
use http_body_util::Full;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    Admin,
    history::{History, Snapshot},
    page::PAGE,
    status::Status,
};

/// An admin listener's state.
pub(super) struct Site {
    admin: Admin,
    history: Mutex<History>,
}

type Answer = Response<Full<Bytes>>;

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

impl Site {
    pub(super) fn new(admin: Admin) -> Self {
        Self {
            history: Mutex::new(History::new(admin.snapshot())),
            admin,
        }
    }

    /// Adds a snapshot to the history.
    pub(super) fn take_snapshot(&self) {
        let snapshot = self.admin.snapshot();
        self.history.lock().push(snapshot);
    }

    pub(super) fn answer<B>(&self, request: &Request<B>) -> Answer {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "expected GET or HEAD\n");
        }
        match request.uri().path() {
            "/" | "/status.json" if !is_from_operator(request) => text(
                StatusCode::MISDIRECTED_REQUEST,
                "expected an address, localhost or an internal name as the host\n",
            ),
            "/" => page(),
            "/status.json" => self.status(),
            "/metrics" => text(StatusCode::OK, self.admin.metrics()),
            "/healthz" => text(StatusCode::OK, "alive\n"),
            "/readyz" => {
                let (status, answer) = self.admin.readiness.answer();
                text(status, answer)
            }
            _ => text(
                StatusCode::NOT_FOUND,
                "expected /, /status.json, /metrics, /healthz or /readyz\n",
            ),
        }
    }

    fn status(&self) -> Answer {
        let now = self.admin.snapshot();
        let history = self.history.lock().until(&now);
        match serde_json::to_vec(&Status::of(&self.admin, history, &now)) {
            Ok(json) => private(answer(StatusCode::OK, "application/json", json)),
            Err(error) => {
                tracing::error!(%error, "encoding the status failed");
                text(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "cannot encode the status\n",
                )
            }
        }
    }
}

impl Admin {
    fn snapshot(&self) -> Snapshot {
        Snapshot {
            at: Instant::now(),
            totals: self.metrics.totals(),
            state: (self.sample)(),
        }
    }
}

fn page() -> Answer {
    let page = &*PAGE;
    let mut page_answer = answer(
        StatusCode::OK,
        "text/html; charset=utf-8",
        page.html.clone(),
    );
    let headers = page_answer.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, page.policy.clone());
    private(page_answer)
}

/// Returns true if a request can't be from a web page that the operator has open.
///
/// The page of an attacker can't read our answers, unless its own name resolves to our
/// address (DNS rebinding). We can tell by the `Host`, which then has that name. So we only
/// accept hosts that nobody can register: addresses, names without a dot, and names in
/// domains that are never public.
fn is_from_operator<B>(request: &Request<B>) -> bool {
    let host = request.headers().get(header::HOST);
    let authority = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    authority.is_some_and(|authority| is_internal(authority.host()))
}

fn is_internal(host: &str) -> bool {
    /// Names in these domains exist in a machine, a network or a cluster only (RFC 6761,
    /// RFC 6762; ICANN has reserved `internal`). `svc` is how Kubernetes names services.
    const DOMAINS: [&str; 4] = ["localhost", "local", "internal", "svc"];

    let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let name = host.strip_suffix('.').unwrap_or(host);
    match name.rsplit_once('.') {
        Some((_, domain)) => {
            is_address || DOMAINS.iter().any(|own| own.eq_ignore_ascii_case(domain))
        }
        None => !name.is_empty(),
    }
}

/// Keeps an answer out of caches, and away from other sites.
fn private(mut answer: Answer) -> Answer {
    const HEADERS: [(HeaderName, &str); 4] = [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in HEADERS {
        let value = HeaderValue::from_static(value);
        answer.headers_mut().insert(name, value);
    }
    answer
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    answer(status, TEXT, body)
}

fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_anyone_could_register_are_refused() {
        for host in [
            "127.0.0.1",
            "10.1.2.3",
            "[::1]",
            "localhost",
            "fetchd",
            "a.localhost",
            "fetchd.default.svc",
            "fetchd.default.svc.cluster.local",
            "Admin.Internal.",
        ] {
            assert!(is_internal(host), "{host}");
        }
        for host in [
            "",
            ".",
            "rebind.example.com",
            "localhost.example",
            "127.0.0.1.example.net",
            "svc.example",
        ] {
            assert!(!is_internal(host), "{host}");
        }
    }
}
