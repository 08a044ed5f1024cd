//! `fetchd health` asks a service's health check whether it is SERVING. This is for
//! images that don't have a shell, and for people.

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, bail};
use tokio::{runtime, time};
use tonic::transport::Endpoint;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::{parse, print_error};

/// The service name to send in the health check.
const SERVICE: &str = "fetchd.v1.FetchService";

/// Time limit for the whole check.
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// URL of the service
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:50051", value_parser = parse::service)]
    server: String,
}

/// Runs the check. The exit code is 0 if the service is SERVING.
pub(super) fn run(args: &Args) -> ExitCode {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let checked = runtime
        .context("cannot start the runtime")
        .and_then(|runtime| runtime.block_on(check_in_time(&args.server)));
    match checked {
        Ok(()) => {
            let _ = writeln!(io::stdout(), "{SERVICE} at {} is SERVING", args.server);
            ExitCode::SUCCESS
        }
        Err(error) => {
            print_error(format_args!("error: {}: {error:#}", args.server));
            ExitCode::FAILURE
        }
    }
}

async fn check_in_time(server: &str) -> anyhow::Result<()> {
    let checked = time::timeout(TIMEOUT, check(server)).await;
    checked.with_context(|| format!("no answer within {TIMEOUT:?}"))?
}

async fn check(server: &str) -> anyhow::Result<()> {
    let channel = Endpoint::from_shared(server.to_owned())?.connect().await?;
    let request = HealthCheckRequest {
        service: SERVICE.to_owned(),
    };
    let response = HealthClient::new(channel).check(request).await?;
    match response.into_inner().status() {
        ServingStatus::Serving => Ok(()),
        status => bail!("{SERVICE} is {}", status.as_str_name()),
    }
}
