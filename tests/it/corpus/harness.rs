//! Fetches every case of a table several times and compares the results. Each time, the
//! answer is split at a different place.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use fetchd::proto::{
    FetchBatchRequest, FetchError, FetchOptions, FetchRequest, Reason, ResponseHead,
};
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::watch};

use crate::{
    corpus::case::{Case, Ending, Expected, printable},
    support::{RawOrigin, Service, finish, read_head, reset, until, within_timeout},
};

/// A single fetch of a case.
struct Run {
    case: usize,
    name: &'static str,
    answer: Vec<u8>,
    pieces: Pieces,
    ending: Ending,
}

/// How the origin splits the answer.
#[derive(Clone, Copy)]
enum Pieces {
    One,
    /// Split it in two at this offset, with a pause in between.
    Two(usize),
    /// Write every byte separately.
    Bytes,
}

/// Tells the origin how to answer all cases of a table.
#[derive(Default)]
struct Script {
    runs: Vec<Run>,
    started: AtomicUsize,
    written: AtomicUsize,
}

/// The actual result of a fetch.
#[derive(Default)]
struct Actual {
    head: Option<ResponseHead>,
    body: Vec<u8>,
    error: Option<FetchError>,
}

/// If an answer is longer than this, we don't write it byte by byte.
const MAX_BYTEWISE: usize = 300;
/// If an answer is longer than this, we only split it in the middle.
const MAX_SPLIT_EVERYWHERE: usize = 4 << 10;
/// How long to pause between two pieces. Without a pause, the service might read both of
/// them at once.
const PAUSE: Duration = Duration::from_millis(1);
const CONCURRENCY: u32 = 50;

/// Fetches all `cases` in a single batch.
///
/// After that, we send a second request to each origin that keeps its connection open. It
/// must get its own answer, even if there were surplus bytes after the first one.
///
/// Returns one line per mismatch.
pub(crate) async fn run(service: &Service, table: &str, number: u8, cases: &[Case]) -> Vec<String> {
    let script = Arc::new(Script::new(cases));
    let (_over, is_over) = watch::channel(());
    let serving = Arc::clone(&script);
    // The origin listens on all loopback addresses. We use a different one for each run,
    // so that they don't share any connections.
    let origin = RawOrigin::at("0.0.0.0:0", move |stream| {
        let (script, mut is_over) = (Arc::clone(&serving), is_over.clone());
        async move {
            tokio::select! {
                () = script.serve(stream) => {}
                _ = is_over.changed() => {}
            }
        }
    })
    .await;
    let url = |run: usize, path: &str| {
        let host = Ipv4Addr::from(0x7f00_0000 | u32::from(number) << 16 | (run as u32 + 1));
        format!("http://{host}:{}/{path}", origin.address.port())
    };

    let requests = script
        .runs
        .iter()
        .enumerate()
        .map(|(index, run)| FetchRequest {
            url: url(index, &index.to_string()),
            method: cases[run.case].method.to_owned(),
            ..Default::default()
        });
    let actual = fetch(service, requests.collect()).await;
    let mut mismatches = BTreeMap::<_, Vec<_>>::new();
    for (run, actual) in script.runs.iter().zip(actual) {
        let case = &cases[run.case];
        if let Err(problem) = actual.compare(&case.expected) {
            let line = format!("expected {}, got {actual}{problem}", case.expected);
            mismatches
                .entry((run.case, line))
                .or_default()
                .push(run.name);
        }
    }

    until(|| script.written.load(Ordering::SeqCst) == script.started.load(Ordering::SeqCst)).await;
    let kept = script.runs.iter().enumerate();
    let kept: Vec<_> = kept
        .filter(|(_, run)| matches!(run.ending, Ending::Keep))
        .collect();
    let requests = kept.iter().map(|(index, _)| FetchRequest {
        url: url(*index, "next"),
        ..Default::default()
    });
    for ((_, run), actual) in kept.iter().zip(fetch(service, requests.collect()).await) {
        if actual.error.is_some() || actual.body != b"next" {
            let line = format!("expected the next request to get its answer, got {actual}");
            mismatches
                .entry((run.case, line))
                .or_default()
                .push(run.name);
        }
    }

    let lines = mismatches.into_iter().map(|((case, line), runs)| {
        let name = &cases[case].name;
        if runs.len() == pieces(&cases[case]).len() {
            return format!("{table}/{name}: {line}");
        }
        format!("{table}/{name}: {line} (only: {})", runs.join(", "))
    });
    lines.collect()
}

async fn fetch(service: &Service, requests: Vec<FetchRequest>) -> Vec<Actual> {
    let duration = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    let mut results: Vec<_> = requests.iter().map(|_| Actual::default()).collect();
    let batch = FetchBatchRequest {
        requests,
        options: Some(FetchOptions {
            timeout: duration(20),
            idle_timeout: duration(5),
            max_redirects: Some(0),
            max_attempts: Some(1),
            ..Default::default()
        }),
        concurrency: CONCURRENCY,
        timeout: None,
    };
    let mut client = service.raw_client().await;
    let mut messages = client.fetch_batch(batch).await.unwrap().into_inner();
    let mut ends = 0;
    while let Some(message) = within_timeout(messages.message()).await.unwrap() {
        for part in message.parts {
            let result = &mut results[part.index as usize];
            result.head = part.head.or(result.head.take());
            result.body.extend(part.body);
            if let Some(end) = part.end {
                assert_eq!(end.attempts, 1);
                result.error = end.error;
                ends += 1;
            }
        }
    }
    assert_eq!(ends, results.len());
    results
}

impl Script {
    fn new(cases: &[Case]) -> Self {
        let runs = cases.iter().enumerate().flat_map(|(index, case)| {
            pieces(case).into_iter().map(move |(name, pieces)| Run {
                case: index,
                name,
                answer: case.answer.clone(),
                pieces,
                ending: case.ending,
            })
        });
        Self {
            runs: runs.collect(),
            ..Self::default()
        }
    }

    /// Answers all requests on a connection: run N's answer for `/N`, and "next" for
    /// `/next`.
    async fn serve(&self, mut stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        loop {
            let head = read_head(&mut stream).await;
            let Some(path) = head.split(' ').nth(1) else {
                return;
            };
            let Ok(index) = path[1..].parse::<usize>() else {
                let next = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnext";
                let _ = stream.write_all(next).await;
                continue;
            };
            let run = &self.runs[index];
            self.started.fetch_add(1, Ordering::SeqCst);
            let _ = run.write(&mut stream).await;
            self.written.fetch_add(1, Ordering::SeqCst);
            match run.ending {
                Ending::Keep => {}
                Ending::Rst => return reset(stream),
                Ending::Fin | Ending::Endless(_) => return finish(stream).await,
            }
        }
    }
}

/// Returns all the ways to split the answer of `case`. Each of them has a name.
fn pieces(case: &Case) -> Vec<(&'static str, Pieces)> {
    let answer = &case.answer;
    let mut all = vec![("whole", Pieces::One)];
    if answer.len() < 2 || matches!(case.ending, Ending::Endless(_)) {
        return all;
    }
    all.push(("cut in the middle", Pieces::Two(answer.len() / 2)));
    if answer.len() > MAX_SPLIT_EVERYWHERE {
        return all;
    }
    let line_end = answer.windows(2).position(|pair| pair == b"\r\n");
    let head_end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    all.extend(line_end.map(|at| ("cut in a line end", Pieces::Two(at + 1))));
    all.extend(head_end.map(|at| ("cut in the empty line", Pieces::Two(at + 3))));
    all.push(("cut before the last byte", Pieces::Two(answer.len() - 1)));
    // If we reset the connection, we lose whatever the kernel hasn't sent yet, and it
    // only sends a few segments at a time.
    let is_reset = matches!(case.ending, Ending::Rst);
    if answer.len() < MAX_BYTEWISE && !is_reset {
        all.push(("byte by byte", Pieces::Bytes));
    }
    all
}

impl Run {
    async fn write(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        match self.pieces {
            Pieces::One => stream.write_all(&self.answer).await?,
            Pieces::Two(cut) => {
                let (first, second) = self.answer.split_at(cut);
                stream.write_all(first).await?;
                tokio::time::sleep(PAUSE).await;
                stream.write_all(second).await?;
            }
            Pieces::Bytes => {
                for byte in &self.answer {
                    stream.write_all(&[*byte]).await?;
                    tokio::task::yield_now().await;
                }
            }
        }
        if let Ending::Endless(again) = self.ending {
            let again = again.repeat(1024);
            loop {
                stream.write_all(&again).await?;
            }
        }
        Ok(())
    }
}

impl Actual {
    /// Compares the result with `expected`. The error says what's different.
    fn compare(&self, expected: &Expected) -> Result<(), String> {
        let differs = |difference: &str| Err(format!("; {difference}"));
        match (&self.error, expected.error) {
            (None, None) => {}
            (Some(error), Some((reason, fragment))) => {
                let message = error.message.to_lowercase();
                if error.reason() != reason {
                    return differs("the reason differs");
                }
                if error.retryable != (reason == Reason::Disconnected) {
                    return differs("retryable differs");
                }
                if !message.contains(&fragment.to_lowercase()) {
                    return differs("the message differs");
                }
            }
            _ => return differs("only one is an error"),
        }
        let (head, status) = match (&self.head, expected.status) {
            (None, None) => return Ok(()),
            (Some(head), Some(status)) => (head, status),
            _ => return differs("only one has a head"),
        };
        if head.status != u32::from(status) {
            return differs("the status differs");
        }
        if expected
            .version
            .is_some_and(|version| version != head.version())
        {
            return differs("the version differs");
        }
        if expected
            .line_count
            .is_some_and(|count| count != head.headers.len())
        {
            return differs(&format!("{} header lines", head.headers.len()));
        }
        let values = |name: &str| -> Vec<&[u8]> {
            let lines = head.headers.iter().filter(|line| line.name == name);
            lines.map(|line| &line.value[..]).collect()
        };
        for (name, _) in &expected.lines {
            let same = expected.lines.iter().filter(|(other, _)| other == name);
            let same: Vec<_> = same.map(|(_, value)| &value[..]).collect();
            if values(name) != same {
                let values = values(name);
                let values = values.iter().map(|value| value.escape_ascii().to_string());
                return differs(&format!("{name} is {:?}", values.collect::<Vec<_>>()));
            }
        }
        if let Some(name) = expected.absent.iter().find(|name| !values(name).is_empty()) {
            return differs(&format!("{name} is present"));
        }
        match &expected.body {
            Some(body) if *body != self.body => differs("the body differs"),
            _ => Ok(()),
        }
    }
}

impl std::fmt::Display for Actual {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(error) = &self.error {
            let (reason, message) = (error.reason(), &error.message);
            write!(f, "{reason:?} \"{}\"", message.escape_debug())?;
            if error.retryable {
                f.write_str(" (retryable)")?;
            }
        }
        let Some(head) = &self.head else {
            return Ok(());
        };
        if self.error.is_some() {
            f.write_str(" after ")?;
        }
        let version = head.version();
        write!(
            f,
            "{} {version:?}, body {}",
            head.status,
            printable(&self.body)
        )
    }
}
