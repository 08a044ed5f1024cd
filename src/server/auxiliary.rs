//! The auxiliary services: health and reflection.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use tokio::time;
use tonic::{body::Body, service::Routes};
use tonic_health::server::HealthReporter;
use tower::Service as _;

use crate::{proto, service::status};

/// Answers auxiliary calls: all but batches. Cheap to clone.
#[derive(Clone)]
pub(super) struct Auxiliary(Routes);

/// The largest message of an auxiliary call.
const MAX_AUX_MESSAGE: usize = 4 << 10;

/// How long an auxiliary call may take until its response begins.
const AUX_TIMEOUT: Duration = Duration::from_secs(10);

impl Auxiliary {
    /// Returns the services, and the reporter that sets the health.
    pub(super) fn new() -> (Self, HealthReporter) {
        let (reporter, health) = tonic_health::server::health_reporter();
        let routes = Routes::new(health.max_decoding_message_size(MAX_AUX_MESSAGE));
        (Self(with_reflection(routes).prepare()), reporter)
    }

    /// Answers a call.
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

/// Removes all headers but those that tonic reads, so that a call that lasts, such as a
/// health watch, does not hold the others in memory.
fn keep_known(headers: &mut HeaderMap) {
    const KNOWN: [HeaderName; 4] = [
        header::CONTENT_TYPE,
        header::TE,
        HeaderName::from_static("grpc-encoding"),
        HeaderName::from_static("grpc-accept-encoding"),
    ];

    let all = std::mem::take(headers);
    for name in KNOWN {
        // Copy the value: as received, it is a slice of the whole header block.
        let value = all.get(&name).map(HeaderValue::as_bytes);
        if let Some(Ok(value)) = value.map(HeaderValue::from_bytes) {
            headers.insert(name, value);
        }
    }
}
