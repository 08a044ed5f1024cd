//! `fetchd health` asks a service's health check whether it is SERVING. This is for
//! images that don't have a shell, and for people.

mod peer;

use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::{
    net::{self, TcpStream},
    runtime,
    time::{self, Instant},
};
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::{parse, print_error, redact::redacted};
use peer::{FirstBytes, Peer};

/// The service name to send in the health check.
const SERVICE: &str = "fetchd.v1.FetchService";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// URL of the service
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:50051", value_parser = parse::service)]
    server: String,

    /// Time limit of the whole check
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = parse::timeout)]
    timeout: Duration,
}

/// A health check of one service.
struct Check {
    server: Uri,
    /// The host without brackets, and the port.
    address: (String, u16),
    timeout: Duration,
    deadline: Instant,
}

/// Runs the check. The exit code is 0 if the service is SERVING.
pub(super) fn run(args: &Args) -> ExitCode {
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
        let host = server.host().unwrap_or_default();
        let host = host.trim_matches(['[', ']']).to_owned();
        Ok(Self {
            address: (host, server.port_u16().unwrap_or(80)),
            server,
            timeout: args.timeout,
            deadline: Instant::now() + args.timeout,
        })
    }

    async fn run(&self) -> anyhow::Result<()> {
        let timeout = self.timeout;
        let connected = time::timeout_at(self.deadline, self.connect()).await;
        let tcp = connected.map_err(|_| anyhow!("cannot connect within {timeout:?}"))??;
        let first = FirstBytes::default();
        let asked = time::timeout_at(self.deadline, self.ask(tcp, &first)).await;
        match asked {
            Ok(Ok(ServingStatus::Serving)) => Ok(()),
            Ok(Ok(status)) => bail!("{SERVICE} is {}", status.as_str_name()),
            Ok(Err(status)) => Err(self.failed(&status, first.peer()).await),
            Err(_) if first.peer() == Peer::Http2 => bail!("no answer within {timeout:?}"),
            Err(_) => Err(unexpected(&format!("{} within {timeout:?}", first.peer()))),
        }
    }

    /// Connects to the first address that accepts a connection.
    async fn connect(&self) -> anyhow::Result<TcpStream> {
        let (host, port) = &self.address;
        let found = net::lookup_host((host.as_str(), *port)).await;
        let found = found.with_context(|| format!("cannot look up {host}"))?;
        let mut failures = Vec::new();
        for address in found {
            match TcpStream::connect(address).await {
                Ok(tcp) => return Ok(tcp),
                Err(error) => failures.push(format!("{address}: {error}")),
            }
        }
        bail!("cannot connect to {}", failures.join(", "))
    }

    /// Asks for the health status over `tcp`. The bytes that come back first are recorded
    /// in `first`.
    async fn ask(&self, tcp: TcpStream, first: &FirstBytes) -> Result<ServingStatus, Status> {
        let channel = self.channel(tcp, first).await;
        let channel = channel.map_err(|error| Status::from_error(error.into()))?;
        let request = HealthCheckRequest {
            service: SERVICE.to_owned(),
        };
        let response = HealthClient::new(channel).check(request).await?;
        Ok(response.into_inner().status())
    }

    /// Returns a channel that uses only this connection.
    async fn channel(
        &self,
        tcp: TcpStream,
        first: &FirstBytes,
    ) -> Result<Channel, tonic::transport::Error> {
        let mut tcp = Some(TokioIo::new(first.recorded(tcp)));
        let connector = tower::service_fn(move |_| {
            let tcp = tcp.take().ok_or(io::ErrorKind::NotConnected);
            async { tcp.map_err(io::Error::from) }
        });
        let endpoint = Endpoint::from(self.server.clone());
        endpoint.connect_with_connector(connector).await
    }

    /// Explains a failed check. `status` is only of interest if it comes from the peer.
    async fn failed(&self, status: &Status, peer: Peer) -> anyhow::Error {
        let is_answer = status.source().is_none();
        match peer {
            Peer::Http2 if is_answer => refused(status),
            Peer::Http2 => anyhow!("the service closed the connection without an answer"),
            Peer::Silent => match self.ask_over_http1().await {
                Some(Peer::Silent) | None => {
                    unexpected("a server that closes the connection without an answer")
                }
                Some(peer) => unexpected(&peer.to_string()),
            },
            peer => unexpected(&peer.to_string()),
        }
    }

    /// Finds out whether the peer answers an HTTP/1.1 request.
    async fn ask_over_http1(&self) -> Option<Peer> {
        let authority = self.server.authority()?.as_str();
        // Whatever answers there shouldn't get a password that's in the URL.
        let authority = authority.rsplit('@').next()?;
        let asking = async {
            let tcp = self.connect().await.ok()?;
            Some(Peer::asked_over_http1(tcp, authority).await)
        };
        time::timeout_at(self.deadline, asking).await.ok()?
    }
}

fn unexpected(found: &str) -> anyhow::Error {
    anyhow!("expected a gRPC service (HTTP/2 without TLS), got {found}")
}

/// Explains the `status` of a service that answered.
fn refused(status: &Status) -> anyhow::Error {
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
