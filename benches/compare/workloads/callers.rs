//! Callers of the service in several languages, and the usual HTTP clients of each.

use std::collections::BTreeMap;

use super::{Bench, Contender, Job, Measure, Mode, Section, Service, fetchd, run, start_mode};
use crate::{
    report::Column,
    setup::{
        Language::{Go, Node, Python},
        Program,
    },
    worker::Worker,
};

const RUST: &str = "Rust: fetchd";
const GO: &str = "Go: fetchd";
const PYTHON: &str = "Python: fetchd";
const ASYNCIO: &str = "Python: fetchd, asyncio";
const NODE: &str = "TypeScript: fetchd";

const NET_HTTP: &str = "Go: net/http";
const AIOHTTP: &str = "Python: aiohttp";
const REQUESTS: &str = "Python: requests, 50 threads";
const UNDICI: &str = "TypeScript: undici";
const UNDICI_FETCH: &str = "TypeScript: undici's fetch";
const NODE_FETCH: &str = "TypeScript: Node's fetch";

/// The programs that call the service, besides the one in Rust.
const CALLERS: [(&str, Program); 4] = [
    (GO, Program(Go, "fetchd")),
    (PYTHON, Program(Python, "with_fetchd")),
    (ASYNCIO, Program(Python, "with_fetchd_asyncio")),
    (NODE, Program(Node, "with_fetchd")),
];

/// The usual clients of these languages.
const USUAL: [(&str, Program); 3] = [
    (NET_HTTP, Program(Go, "nethttp")),
    (AIOHTTP, Program(Python, "with_aiohttp")),
    (UNDICI, Program(Node, "with_undici")),
];

/// Clients that cost more.
const OTHERS: [(&str, Program); 3] = [
    (REQUESTS, Program(Python, "with_requests")),
    (UNDICI_FETCH, Program(Node, "with_undici_fetch")),
    (NODE_FETCH, Program(Node, "with_fetch")),
];

/// The compared programs: their description, the caller, the other one, and the target.
const RATIOS: [(&str, &str, &str, &str); 4] = [
    ("a Python caller / aiohttp", PYTHON, AIOHTTP, "0.15"),
    ("an asyncio caller / aiohttp", ASYNCIO, AIOHTTP, "0.15"),
    ("a Go caller / net/http", GO, NET_HTTP, "0.5"),
    ("a TypeScript caller / undici", NODE, UNDICI, "0.3"),
];

const RESULTS: &[Column] = &[
    ("results/s", |measure| Some(measure.rate()), None),
    ("CPU µs/result", |measure| Some(measure.program()), Some(1)),
    ("service CPU µs/result", Measure::service, Some(1)),
    ("sum", |measure| Some(measure.total()), Some(1)),
    ("peak MiB", |measure| measure.program_memory, Some(0)),
];

const BODIES: &[Column] = &[
    ("ms", |measure| Some(measure.wall_s * 1e3), Some(0)),
    ("CPU ms", |measure| Some(measure.program() / 1e3), Some(0)),
    (
        "service CPU ms",
        |measure| Some(measure.service()? / 1e3),
        Some(0),
    ),
    ("peak MiB", |measure| measure.program_memory, Some(0)),
];

impl Bench {
    /// Compares callers with the usual clients at small bodies. The results are dropped
    /// when they have been read, or kept until the end.
    pub(super) fn callers(&mut self) {
        let mut job = self.job(self.options.count(20_000, 200), 50, "");
        let repeat = self.options.count(5, 1);
        for (mode, manner) in [(Mode::Arrive, ""), (Mode::Collect, ", results kept")] {
            job.mode = mode;
            let measures = self.callers_and_clients(&job, repeat);
            let mut compare = |name: &str, figure: fn(&Measure) -> f64, has_target: bool| {
                for (programs, caller, client, target) in RATIOS {
                    let name = format!("W7: CPU of {name}{programs}{manner}");
                    let (caller, client) = ((caller, figure), (client, figure));
                    let target = if has_target { target } else { "" };
                    let report = &mut self.report;
                    report.compare(&name, &measures, caller, client, target);
                }
            };
            compare("", Measure::program, true);
            if mode == Mode::Arrive {
                compare("the service and ", Measure::total, false);
            }
            self.report.section(Section {
                title: format!(
                    "W7: {} × 1 KiB, 50 in flight, by language{manner}",
                    job.count
                ),
                note: format!(
                    "Each program reads the status and the body of each result. Callers of the \
                     service fetch the list {repeat} times in each round, because the resolution \
                     of the CPU time is 10 ms."
                ),
                columns: RESULTS,
                measures,
            });
        }
    }

    /// Runs `job` with all clients, and `repeat` times with all callers of the service.
    fn callers_and_clients(
        &self,
        job: &Job,
        repeat: usize,
    ) -> BTreeMap<&'static str, Vec<Measure>> {
        let mut contenders: Vec<Contender<'_>> = Vec::new();
        for (name, caller) in self.start_callers() {
            let mut service = Service::called_by(caller, fetchd(), &[]);
            let run_repeatedly = move |job: &Job| {
                let job = job.clone();
                service.run(&Job { repeat, ..job })
            };
            contenders.push((name, Box::new(run_repeatedly)));
        }
        let clients = [self.start_all(&USUAL), self.start_all(&OTHERS)];
        for (name, mut client) in clients.into_iter().flatten() {
            contenders.push((name, Box::new(move |job| run(&mut client, job))));
        }
        self.rounds(&mut contenders, job, true)
    }

    /// Compares callers with the usual clients at one large body, which they read as a
    /// stream or collect in memory.
    pub(super) fn large_results(&mut self) {
        let size = self.options.count(100 << 20, 1 << 20);
        let mut job = self.sized_job(1, 1, size);
        for (mode, manner) in [
            (Mode::Stream, "as a stream"),
            (Mode::Collect, "kept in memory"),
        ] {
            job.mode = mode;
            let mut measures: BTreeMap<_, Vec<_>> = BTreeMap::new();
            // Each round starts new processes, because the peak memory is that of a
            // process's lifetime.
            for _ in 0..self.options.rounds {
                for (name, caller) in self.start_callers() {
                    let measure = Service::called_by(caller, fetchd(), &[]).run(&job);
                    measures.entry(name).or_default().push(measure);
                }
                for (name, mut client) in self.start_all(&USUAL) {
                    let measure = run(&mut client, &job);
                    measures.entry(name).or_default().push(measure);
                }
            }
            self.report.section(Section {
                title: format!("W9: {} MiB in one body, {manner}", size >> 20),
                note: "Each round starts new processes.".to_owned(),
                columns: BODIES,
                measures,
            });
        }
    }

    /// Starts the programs that call the service.
    fn start_callers(&self) -> Vec<(&'static str, Worker)> {
        let mut callers = self.start_all(&CALLERS);
        callers.push((RUST, start_mode("caller")));
        callers
    }

    /// Starts the programs whose tools are available.
    fn start_all(&self, programs: &[(&'static str, Program)]) -> Vec<(&'static str, Worker)> {
        let start = |(name, program): &(_, _)| Some((*name, self.setup.start(*program)?));
        programs.iter().filter_map(start).collect()
    }
}
