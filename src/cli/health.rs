//! `fetchd health`: for images without a shell, and for people.

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

/// The service that is asked for.
const SERVICE: &str = "fetchd.v1.FetchService";

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The service to ask
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:50051", value_parser = super::value::service)]
    server: String,
}

/// Exits 0 where the service is SERVING.
pub(super) fn run(args: &Args) -> ExitCode {
    let checked = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the runtime")
        .and_then(|runtime| {
            runtime.block_on(async {
                let answer = time::timeout(PATIENCE, check(&args.server)).await;
                answer.with_context(|| format!("no answer within {PATIENCE:?}"))?
            })
        });
    match checked {
        Ok(()) => {
            let _ = writeln!(io::stdout(), "{SERVICE} at {} is SERVING", args.server);
            ExitCode::SUCCESS
        }
        Err(error) => {
            super::say(format_args!("error: {}: {error:#}", args.server));
            ExitCode::FAILURE
        }
    }
}

async fn check(server: &str) -> anyhow::Result<()> {
    let channel = Endpoint::from_shared(server.to_owned())?.connect().await?;
    let request = HealthCheckRequest {
        service: SERVICE.to_owned(),
    };
    let answer = HealthClient::new(channel).check(request).await?;
    match answer.into_inner().status() {
        ServingStatus::Serving => Ok(()),
        status => bail!("{SERVICE} is {}", status.as_str_name()),
    }
}
