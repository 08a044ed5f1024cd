//! The variables of OpenTelemetry.

use futures_util::future::join_all;

use super::{SOON, TRACE, fetch_one, serve, stop};
use crate::support::{
    Process,
    collector::{Collector, attributes},
    command::fetchd_with,
    within_timeout,
};

#[tokio::test]
async fn sampling_follows_the_caller_or_the_ratio() {
    let cases = [
        ("", "", "01", true),
        ("", "", "00", false),
        ("parentbased_traceidratio", "0", "01", true),
        ("parentbased_always_on", "", "00", false),
        ("always_on", "", "00", true),
        ("traceidratio", "0", "01", false),
        ("traceidratio", "1", "00", true),
        ("always_off", "", "01", false),
    ];
    let check = async |(sampler, argument, flags, is_traced)| {
        let collector = Collector::new().await;
        let variables = [
            ("OTEL_TRACES_SAMPLER", sampler),
            ("OTEL_TRACES_SAMPLER_ARG", argument),
        ];
        let service = serve(&collector, &variables);
        fetch_one(&service, flags).await;
        // The exporter sends everything before the process ends.
        stop(service).await;
        let spans = collector.spans().len();
        assert_eq!(
            spans,
            if is_traced { 2 } else { 0 },
            "{sampler} {argument} {flags}"
        );
    };
    join_all(cases.map(check)).await;
}

#[tokio::test]
async fn settings_come_from_the_standard_variables() {
    let collector = Collector::new().await;
    let variables = [
        SOON,
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &collector.url),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a%20b,x-other=2"),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "deployment.environment=test,service.name=no",
        ),
        ("OTEL_SERVICE_NAME", "edge"),
    ];
    let service = Process::serve_with(&[], &variables);
    fetch_one(&service, "01").await;
    collector.wait_for(2).await;
    collector.exports(|exports| {
        let key = exports[0]
            .metadata
            .get_all("x-key")
            .iter()
            .collect::<Vec<_>>();
        assert_eq!(key, ["a b"]);
        assert_eq!(exports[0].metadata.get("x-other").unwrap(), "2");
        let resource = exports[0].message.resource_spans[0].resource.as_ref();
        let resource = attributes(&resource.unwrap().attributes);
        for (name, value) in [
            ("service.name", "edge"),
            ("service.version", env!("CARGO_PKG_VERSION")),
            ("deployment.environment", "test"),
            ("telemetry.sdk.name", "opentelemetry"),
        ] {
            assert_eq!(resource[name], value);
        }
    });
}

#[tokio::test]
async fn nothing_is_traced_unless_asked_for() {
    let collector = Collector::new().await;
    let (off, url) = (("OTEL_SDK_DISABLED", "true"), &*collector.url);
    for variables in [
        vec![],
        vec![
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", ""),
            ("FETCHD_OTLP_ENDPOINT", ""),
        ],
        vec![("OTEL_EXPORTER_OTLP_ENDPOINT", url), off],
        vec![("FETCHD_OTLP_ENDPOINT", url), off],
        vec![
            ("FETCHD_OTLP_ENDPOINT", url),
            ("OTEL_TRACES_EXPORTER", "none"),
        ],
    ] {
        let service = Process::serve_with(&[], &variables);
        fetch_one(&service, "01").await;
        let threads = std::fs::read_dir(format!("/proc/{}/task", service.id())).unwrap();
        let names = threads.map(|thread| {
            let path = thread.unwrap().path().join("comm");
            std::fs::read_to_string(path).unwrap_or_default()
        });
        assert!(!names.collect::<String>().contains("fetchd-traces"));
        let log = stop(service).await;
        assert!(log.iter().any(|line| line.contains(TRACE)), "{log:#?}");
    }
    assert!(collector.spans().is_empty());
}

#[tokio::test]
async fn wrong_settings_end_the_start() {
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317");
    for (name, value, expected) in [
        (
            "FETCHD_OTLP_ENDPOINT",
            "collector:4317",
            "--otlp-endpoint: expected a URL",
        ),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "grpc://a", "expected a URL"),
        (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "http://a/v1/traces",
            "expected a URL",
        ),
        ("OTEL_EXPORTER_OTLP_HEADERS", "key", "expected a list"),
        (
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
            "a b=1",
            "expected names",
        ),
        (
            "OTEL_EXPORTER_OTLP_TIMEOUT",
            "10s",
            "expected a whole number of milliseconds",
        ),
        (
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "http/protobuf",
            "expected grpc",
        ),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip", "expected none"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem", "SSL_CERT_FILE"),
        ("OTEL_TRACES_SAMPLER", "sometimes", "expected always_on,"),
        (
            "OTEL_TRACES_SAMPLER_ARG",
            "0.01",
            "expected OTEL_TRACES_SAMPLER=",
        ),
        ("OTEL_TRACES_EXPORTER", "zipkin", "expected otlp or none"),
        ("OTEL_RESOURCE_ATTRIBUTES", "=1", "expected a list"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "from 1 to"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4096", "from 1 to 2048"),
        ("OTEL_BSP_SCHEDULE_DELAY", "-1", "milliseconds from 1"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "0", "milliseconds from 1"),
        ("OTEL_SDK_DISABLED", "maybe", "expected true or false"),
        (
            "FETCHD_ADMIN_HOSTS",
            "maybe",
            "--admin-hosts: expected true or false",
        ),
    ] {
        refused(&[endpoint, (name, value)], name, expected).await;
    }
    for argument in ["2", "-1", "NaN", "much"] {
        let variables = [
            endpoint,
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", argument),
        ];
        refused(
            &variables,
            "OTEL_TRACES_SAMPLER_ARG",
            "expected a number from 0 to 1",
        )
        .await;
    }
}

async fn refused(variables: &[(&str, &str)], name: &str, expected: &str) {
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "off"];
    let output = within_timeout(fetchd_with(&arguments, variables)).await;
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{name}: {line}");
    assert!(line.contains(expected), "{line}");
    assert!(name.starts_with("FETCHD") || line.contains(name), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
}
