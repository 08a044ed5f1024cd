//! The auxiliary services: health and reflection.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use tokio::time;
use tonic::{body::Body, service::Routes};
use tonic_health::server::HealthReporter;
use tower::Service as _;

use crate::{proto, service::status};

/// Answers auxiliary calls, that is, everything that isn't a batch. Cheap to clone.
#[derive(Clone)]
pub(super) struct Auxiliary(Routes);

/// The maximum message size of an auxiliary call, in bytes.
const MAX_AUX_MESSAGE: usize = 4 << 10;

/// How long an auxiliary call may take to begin its response. After that it fails with
/// `DEADLINE_EXCEEDED`.
const AUX_TIMEOUT: Duration = Duration::from_secs(10);

impl Auxiliary {
    /// Creates the services, together with the reporter used to set the health status.
    pub(super) fn new() -> (Self, HealthReporter) {
        let (reporter, health) = tonic_health::server::health_reporter();
        let routes = Routes::new(health.max_decoding_message_size(MAX_AUX_MESSAGE));
        (Self(with_reflection(routes).prepare()), reporter)
    }

    pub(super) async fn call(&self, mut request: Request<Incoming>) -> Response<Body> {
        keep_known(request.headers_mut());
        let mut routes = self.0.clone();
        match time::timeout(AUX_TIMEOUT, routes.call(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(_) => status::message_late().into_http(),
        }
    }
}

fn with_reflection(routes: Routes) -> Routes {
    const VALID: &str = "the build has encoded the descriptors";

    let builder = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let v1 = builder().build_v1().expect(VALID);
    let v1alpha = builder().build_v1alpha().expect(VALID);
    routes
        .add_service(v1.max_decoding_message_size(MAX_AUX_MESSAGE))
        .add_service(v1alpha.max_decoding_message_size(MAX_AUX_MESSAGE))
}

/// Removes all headers except the ones tonic reads. A health watch can stay open for
/// hours, and we don't want it to keep the rest in memory.
fn keep_known(headers: &mut HeaderMap) {
    const KNOWN: [HeaderName; 4] = [
        header::CONTENT_TYPE,
        header::TE,
        HeaderName::from_static("grpc-encoding"),
        HeaderName::from_static("grpc-accept-encoding"),
    ];

    let all = std::mem::take(headers);
    for name in KNOWN {
        // Copy the value, since it's a slice of the whole header block and would keep all
        // of it alive.
        let value = all.get(&name).map(HeaderValue::as_bytes);
        if let Some(Ok(value)) = value.map(HeaderValue::from_bytes) {
            headers.insert(name, value);
        }
    }
}
