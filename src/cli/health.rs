//! `fetchd health` asks a service's health check whether it is SERVING. This is for
//! images that don't have a shell, and for people.

mod http1;

use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use fetchd::{
    client::internals::{DialError, Dialer, Http2Stream, Peer, Token},
    net::Net,
};
use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::{
    net, runtime,
    time::{self, Instant},
};
use tonic::{
    Request, Status,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::{credentials::Credentials, parse, print_error, redact::redacted};

/// The service name to send in the health check.
const SERVICE: &str = "fetchd.v1.FetchService";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// URL of the service
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:50051", value_parser = parse::service)]
    server: String,

    #[command(flatten)]
    credentials: Credentials,

    /// Time limit of the whole check
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = parse::timeout)]
    timeout: Duration,
}

/// A health check of one service.
struct Check {
    server: Uri,
    dialer: Dialer,
    token: Option<Token>,
    timeout: Duration,
    deadline: Instant,
}

/// Runs the check. The exit code is 0 if the service is SERVING.
pub(super) fn run(args: &Args) -> ExitCode {
    if let Err(usage) = args.credentials.check(&args.server) {
        return usage.exit();
    }
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let checked = runtime
        .context("cannot start the runtime")
        .and_then(|runtime| runtime.block_on(async { Check::new(args)?.run().await }));
    match checked {
        Ok(()) => {
            let _ = writeln!(
                io::stdout(),
                "{SERVICE} at {} is SERVING",
                redacted(&args.server)
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            print_error(format_args!("error: {}: {error:#}", redacted(&args.server)));
            ExitCode::FAILURE
        }
    }
}

impl Check {
    fn new(args: &Args) -> anyhow::Result<Self> {
        let server: Uri = args.server.parse()?;
        Ok(Self {
            dialer: Dialer::new(&server, Net::default(), &args.credentials.tls())?,
            token: args.credentials.token(),
            server,
            timeout: args.timeout,
            deadline: Instant::now() + args.timeout,
        })
    }

    async fn run(&self) -> anyhow::Result<()> {
        let timeout = self.timeout;
        let stream = self.connect().await?;
        let asked = time::timeout_at(self.deadline, self.ask(stream)).await;
        match asked {
            Ok(Ok(ServingStatus::Serving)) => Ok(()),
            Ok(Ok(status)) => bail!("{SERVICE} is {}", status.as_str_name()),
            Ok(Err(status)) => Err(failed(&status)),
            Err(_) => bail!("no answer within {timeout:?}"),
        }
    }

    /// Connects to the first address that accepts a connection.
    async fn connect(&self) -> anyhow::Result<Http2Stream> {
        let (host, port) = self.dialer.host_and_port();
        let found = net::lookup_host((host, port));
        let found = time::timeout_at(self.deadline, found).await;
        let found =
            found.map_err(|_| anyhow!("cannot look up {host} within {:?}", self.timeout))?;
        let found = found.with_context(|| format!("cannot look up {host}"))?;
        let mut failures = Vec::new();
        for address in found {
            let remaining = self.deadline.saturating_duration_since(Instant::now());
            match self.dialer.dial(address, remaining).await {
                Ok(stream) => return Ok(stream),
                Err(DialError::Tcp(error)) => failures.push(format!("{address}: {error}")),
                Err(error) => return Err(self.explain(error).await.into()),
            }
        }
        bail!("cannot connect to {}", failures.join(", "))
    }

    /// Names the time limit of the whole check, rather than what was left of it. And some
    /// HTTP/1.1 servers just close the connection if a caller speaks HTTP/2 (our own admin
    /// listener is one of them). So if that's all we know, we ask again.
    async fn explain(&self, error: DialError) -> DialError {
        let (has_tls, peer) = match error {
            DialError::Timeout(_) => return DialError::Timeout(self.timeout),
            DialError::Unexpected { has_tls, peer, .. } => (has_tls, peer),
            error => return error,
        };
        let peer = match peer {
            Peer::Silent(Some(_)) => Peer::Silent(Some(self.timeout)),
            Peer::Silent(None) => {
                let (host, port) = self.dialer.host_and_port();
                let asked = time::timeout_at(self.deadline, http1::ask(host, port)).await;
                match asked.ok().flatten().unwrap_or(peer) {
                    Peer::Http1 if has_tls => Peer::Plaintext,
                    _ if has_tls => peer,
                    asked => asked,
                }
            }
            peer => peer,
        };
        DialError::unexpected(peer, has_tls)
    }

    /// Asks for the health status over `stream`.
    async fn ask(&self, stream: Http2Stream) -> Result<ServingStatus, Status> {
        let channel = self.channel(stream).await;
        let channel = channel.map_err(|error| Status::from_error(error.into()))?;
        let mut request = Request::new(HealthCheckRequest {
            service: SERVICE.to_owned(),
        });
        if let Some(token) = &self.token {
            let authorized = token.authorize(&mut request);
            authorized.map_err(|invalid| Status::from_error(invalid.into()))?;
        }
        let response = HealthClient::new(channel).check(request).await?;
        Ok(response.into_inner().status())
    }

    /// Returns a channel that uses only this connection.
    async fn channel(&self, stream: Http2Stream) -> Result<Channel, tonic::transport::Error> {
        let mut stream = Some(TokioIo::new(stream));
        let connector = tower::service_fn(move |_| {
            let stream = stream.take().ok_or(io::ErrorKind::NotConnected);
            async { stream.map_err(io::Error::from) }
        });
        let endpoint = Endpoint::from_static("http://service").origin(self.server.clone());
        endpoint.connect_with_connector(connector).await
    }
}

/// Explains the `status` of a failed check.
fn failed(status: &Status) -> anyhow::Error {
    if status.source().is_some() {
        return anyhow!("the service closed the connection without an answer");
    }
    match status.code() {
        tonic::Code::Unimplemented => {
            anyhow!("expected a gRPC service with health checks, got a server without them")
        }
        tonic::Code::NotFound => {
            anyhow!("expected a server with {SERVICE}, got one with other services only")
        }
        code if status.message().is_empty() => anyhow!("the health check failed: {code}"),
        _ => anyhow!("the health check failed: {}", status.message()),
    }
}
