//! Callers, which send lists of requests.

use std::{sync::Arc, time::Duration};

use fetchd::client::Client;
use tokio::time::{self, Instant};

use crate::{
    list::List, machine::Machine, oracle::Oracle, origin::Origin, replica, timeline::Timeline,
};

/// A caller sends its lists, each at its time.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) lists: Vec<List>,
    /// If not, it notices silence and lost connections sooner than by default.
    pub(crate) is_patient: bool,
}

/// What a caller needs.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) machine: Machine,
    pub(crate) origins: Arc<[Origin]>,
    pub(crate) oracle: Arc<Oracle>,
    pub(crate) timeline: Arc<Timeline>,
    /// True if no fault lets two replicas believe that they have the same request.
    pub(crate) is_exact: bool,
}

/// The name of the service.
pub(crate) const SERVICE: &str = "fetchd.svc";

/// How long to wait before trying to connect again.
const PAUSE: Duration = Duration::from_millis(500);

impl Caller {
    /// Sends all lists, and waits for them. Returns the client that it used.
    pub(crate) async fn call(self, number: usize, context: Context) -> Client {
        let client = self.connect(&context).await;
        let began = Instant::now() - context.timeline.elapsed();
        let lists = self.lists.into_iter().enumerate().map(|(index, list)| {
            let (client, context) = (client.clone(), context.clone());
            async move {
                time::sleep_until(began + list.starts).await;
                list.send(&format!("{number}/{index}"), &client, &context)
                    .await;
            }
        });
        futures_util::future::join_all(lists).await;
        client
    }

    async fn connect(&self, context: &Context) -> Client {
        loop {
            let mut builder = Client::builder().network(context.machine.net());
            if !self.is_patient {
                builder = builder
                    .silence_timeout(Duration::from_secs(25))
                    .keepalive_interval(Duration::from_secs(1))
                    .keepalive_timeout(Duration::from_secs(1));
            }
            let url = format!("http://{SERVICE}:{}", replica::PORT);
            match builder.connect(url).await {
                Ok(client) => return client,
                Err(error) => context
                    .timeline
                    .add(format_args!("cannot connect: {error}")),
            }
            time::sleep(PAUSE).await;
        }
    }
}
