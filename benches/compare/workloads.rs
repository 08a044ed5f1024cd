//! The workloads. In each, several contenders run the same job.

mod callers;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    contender::{
        BASELINE, Contender, DRIVEN, FETCHD, GO, POOLED, Service, TONIC, baseline, certificate,
        curl, fetchd, run, start_mode, tonic_server,
    },
    job::{Job, Mode},
    measure::Measure,
    options::Options,
    report::{FETCHES, Report, Section},
    setup::{
        Language::{Go, Python},
        Program, Setup,
    },
    worker::Worker,
};

/// The state that all workloads share.
struct Bench {
    options: Options,
    setup: Setup,
    /// The URL of the origin, with a path.
    origin: String,
    report: Report,
    _origin: Worker,
}

/// Runs the workloads that `options` select, and writes the report.
pub fn run_all(arguments: &[String]) {
    let options = Options::parse(arguments);
    let target = Path::new(env!("CARGO_BIN_EXE_fetchd"))
        .ancestors()
        .find(|folder| folder.ends_with("target"))
        .map_or_else(|| PathBuf::from("target"), Path::to_owned);
    let setup = Setup::new(target.join("compare"));
    let mut origin = Worker::this(&["origin"]);
    let url = format!("http://{}/", origin.line());
    let report = Report::new(&setup, arguments, options.rounds);
    let mut bench = Bench {
        options,
        setup,
        origin: url,
        report,
        _origin: origin,
    };
    type Workload = fn(&mut Bench);
    let workloads: [(&str, Workload); 10] = [
        ("start", Bench::start),
        ("W1", Bench::small),
        ("W2", Bench::slow),
        ("W3", Bench::many),
        ("W4", Bench::large),
        ("W5", Bench::batches),
        ("W6", Bench::tls),
        ("W7", Bench::callers),
        ("W8", Bench::growth),
        ("W9", Bench::large_results),
    ];
    for (name, workload) in workloads {
        if bench.options.selects(name) {
            eprintln!("{name} …");
            workload(&mut bench);
        }
    }
    let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/RESULTS.md");
    let Bench {
        options,
        setup,
        report,
        ..
    } = bench;
    if options.update {
        report.update(&results);
    } else if options.short || options.only.is_some() {
        report.write(&setup.folder.join("RESULTS.md"));
    } else {
        report.write(&results);
    }
}

impl Bench {
    /// Returns a job for the origin with `query`, which may be empty.
    fn job(&self, count: usize, concurrency: usize, query: &str) -> Job {
        Job {
            url: format!("{}{query}", self.origin),
            size: 1 << 10,
            count,
            concurrency,
            batches: 1,
            repeat: 1,
            server: String::new(),
            ca: String::new(),
            mode: Mode::Arrive,
            max_body_bytes: 0,
        }
    }

    /// Returns a job for bodies of `size` bytes.
    fn sized_job(&self, count: usize, concurrency: usize, size: usize) -> Job {
        let query = format!("?size={size}");
        Job {
            size,
            max_body_bytes: size as u64,
            ..self.job(count, concurrency, &query)
        }
    }

    /// Runs `job` with each contender in turn, for all rounds. If `warmed` is true, a
    /// shorter job that is not measured comes first.
    fn rounds(
        &self,
        contenders: &mut [Contender<'_>],
        job: &Job,
        warmed: bool,
    ) -> BTreeMap<&'static str, Vec<Measure>> {
        let mut measures: BTreeMap<_, Vec<_>> = BTreeMap::new();
        if warmed && !self.options.short {
            let few = Job {
                count: job.count.min(5000),
                ..job.clone()
            };
            for (_, run) in &mut *contenders {
                run(&few);
            }
        }
        for _ in 0..self.options.rounds {
            for (name, run) in &mut *contenders {
                measures.entry(*name).or_default().push(run(job));
            }
        }
        measures
    }

    /// Measures the start of the service and the memory of an idle one.
    fn start(&mut self) {
        let (mut starts, mut idle) = (Vec::new(), Vec::new());
        for _ in 0..self.options.rounds {
            let (service, _, time) = Worker::service(fetchd(), &[]);
            std::thread::sleep(Duration::from_millis(300));
            starts.push(time.as_secs_f64() * 1e3);
            idle.push(service.memory("VmRSS"));
        }
        let report = &mut self.report;
        report.ratio("start: from exec to accepting, ms", starts, 1, "50");
        report.ratio("start: memory of the idle service, MiB", idle, 1, "12");
    }

    /// Compares all contenders at small bodies without delay.
    fn small(&mut self) {
        let job = self.job(self.options.count(100_000, 1000), 50, "");
        let fewer = self.options.count(10_000, 200);
        let mut service = Service::new(fetchd(), &[]);
        let mut baseline = baseline().map(|program| Service::new(&program, &[]));
        let [mut pooled, mut driven, mut reqwest] =
            ["hyper-util", "driven", "reqwest"].map(start_mode);
        let mut go = self.setup.start(Program(Go, "nethttp"));
        let mut aiohttp = self.setup.start(Program(Python, "with_aiohttp"));
        let mut threads = self.setup.start(Program(Python, "with_threads"));
        let mut contenders: Vec<Contender<'_>> = vec![
            (FETCHD, Box::new(|job| service.run(job))),
            (POOLED, Box::new(|job| run(&mut pooled, job))),
            (DRIVEN, Box::new(|job| run(&mut driven, job))),
            ("reqwest", Box::new(|job| run(&mut reqwest, job))),
        ];
        if let Some(baseline) = &mut baseline {
            contenders.push((BASELINE, Box::new(|job| baseline.run(job))));
        }
        if let Some(go) = &mut go {
            contenders.push((GO, Box::new(|job| run(go, job))));
        }
        if self.setup.curl {
            let config = self.setup.folder.join("curl.config");
            contenders.push(("curl --parallel", Box::new(move |job| curl(&config, job))));
        }
        for (name, worker) in [("aiohttp", &mut aiohttp), ("Python threads", &mut threads)] {
            if let Some(worker) = worker {
                let run_fewer = move |job: &Job| {
                    let count = job.count.min(fewer);
                    run(
                        worker,
                        &Job {
                            count,
                            ..job.clone()
                        },
                    )
                };
                contenders.push((name, Box::new(run_fewer)));
            }
        }
        let measures = self.rounds(&mut contenders, &job, true);
        drop(contenders);
        let report = &mut self.report;
        let cpu = |measure: &Measure| measure.cpu_s;
        let name = "W1: CPU of the service / hyper-util";
        report.compare(
            name,
            &measures,
            (FETCHD, cpu),
            (POOLED, cpu),
            "1.0, aim 0.9",
        );
        let both = |measure: &Measure| measure.cpu_s + measure.caller_s.unwrap_or_default();
        let name = "W1: CPU of service and caller / Go";
        report.compare(name, &measures, (FETCHD, both), (GO, cpu), "0.5");
        let name = "W1: CPU of the service / baseline";
        report.compare(name, &measures, (FETCHD, cpu), (BASELINE, cpu), "");
        report.section(Section {
            title: format!("W1: {} × 1 KiB, 50 in flight", job.count),
            note: format!("The Python clients fetch {fewer} URLs in each round."),
            columns: FETCHES,
            measures,
        });
    }

    /// Compares contenders at slow responses with a limited concurrency.
    fn slow(&mut self) {
        let (count, delay) = (self.options.count(400, 20), self.options.count(1500, 20));
        let job = self.job(count, 50, &format!("?delay={delay}"));
        let mut service = Service::new(fetchd(), &[]);
        let [mut pooled, mut driven] = ["hyper-util", "driven"].map(start_mode);
        let mut go = self.setup.start(Program(Go, "nethttp"));
        let mut contenders: Vec<Contender<'_>> = vec![
            (FETCHD, Box::new(|job| service.run(job))),
            (POOLED, Box::new(|job| run(&mut pooled, job))),
            (DRIVEN, Box::new(|job| run(&mut driven, job))),
        ];
        if let Some(go) = &mut go {
            contenders.push((GO, Box::new(|job| run(go, job))));
        }
        let measures = self.rounds(&mut contenders, &job, false);
        drop(contenders);
        let ideal = (count as f64 / 50.0).ceil() * delay as f64 / 1e3;
        let walls = measures[FETCHD]
            .iter()
            .map(|measure| measure.wall_s / ideal);
        let name = format!("W2: wall / {ideal:.3} s");
        self.report.ratio(&name, walls.collect(), 4, "1.003");
        self.report.section(Section {
            title: format!("W2: {count} × {delay} ms, 50 in flight"),
            note: String::new(),
            columns: FETCHES,
            measures,
        });
    }

    /// Compares contenders at slow responses that are all in flight at once.
    fn many(&mut self) {
        let (count, delay) = (
            self.options.count(10_000, 200),
            self.options.count(1500, 50),
        );
        let job = self.job(count, count, &format!("?delay={delay}"));
        let (slots, most) = ((count + 2).to_string(), count.to_string());
        let slots = ["--max-in-flight", &slots, "--max-concurrency", &most];
        let slots = [&slots[..], &["--max-batches", "1"]].concat();
        // Each round starts new processes, because the peak memory is that of a process's
        // lifetime.
        let mut contenders: Vec<Contender<'_>> = vec![
            (
                FETCHD,
                Box::new(|job| Service::new(fetchd(), &slots).run(job)),
            ),
            (
                POOLED,
                Box::new(|job| run(&mut start_mode("hyper-util"), job)),
            ),
            (DRIVEN, Box::new(|job| run(&mut start_mode("driven"), job))),
        ];
        let measures = self.rounds(&mut contenders, &job, false);
        let report = &mut self.report;
        let wall = |measure: &Measure| measure.wall_s;
        let name = "W3: wall / hyper-util";
        report.compare(name, &measures, (FETCHD, wall), (POOLED, wall), "1.0");
        let memory = |measure: &Measure| measure.memory.unwrap_or(f64::NAN);
        let name = "W3: peak memory / hyper-util";
        report.compare(name, &measures, (FETCHD, memory), (POOLED, memory), "1.15");
        report.section(Section {
            title: format!("W3: {count} × {delay} ms, all in flight"),
            note: String::new(),
            columns: FETCHES,
            measures,
        });
    }

    /// Compares contenders at large bodies.
    fn large(&mut self) {
        let size = self.options.count(1 << 30, 16 << 20);
        let mut one = self.sized_job(1, 1, size);
        one.mode = Mode::Stream;
        let count = self.options.count(1000, 16);
        let many = self.sized_job(count, 50, 1 << 20);
        for (job, title) in [
            (one, format!("W4: {} MiB in one body", size >> 20)),
            (many, format!("W4: {count} × 1 MiB, 50 in flight")),
        ] {
            let mut service = Service::new(fetchd(), &[]);
            let mut baseline = baseline().map(|program| Service::new(&program, &[]));
            let mut pooled = start_mode("hyper-util");
            let mut tonic = tonic_server();
            let mut contenders: Vec<Contender<'_>> = vec![
                (FETCHD, Box::new(|job| service.run(job))),
                (TONIC, Box::new(|job| tonic.run(job))),
                (POOLED, Box::new(|job| run(&mut pooled, job))),
            ];
            if let Some(baseline) = &mut baseline {
                contenders.push((BASELINE, Box::new(|job| baseline.run(job))));
            }
            if self.setup.curl {
                let config = self.setup.folder.join("curl.config");
                contenders.push(("curl --parallel", Box::new(move |job| curl(&config, job))));
            }
            let measures = self.rounds(&mut contenders, &job, true);
            drop(contenders);
            if job.mode == Mode::Stream {
                let report = &mut self.report;
                let wall = |measure: &Measure| measure.wall_s;
                let name = "W4: wall for one large body / tonic from memory";
                report.compare(
                    name,
                    &measures,
                    (FETCHD, wall),
                    (TONIC, wall),
                    "1.3, aim 1.15",
                );
                let cpu = |measure: &Measure| measure.cpu_s;
                let name = "W4: CPU of the service for one large body / baseline";
                report.compare(name, &measures, (FETCHD, cpu), (BASELINE, cpu), "0.6");
                let seconds = measures[FETCHD].iter().map(cpu).collect();
                report.ratio(
                    "W4: CPU of the service for one large body, s",
                    seconds,
                    2,
                    "",
                );
            }
            self.report.section(Section {
                title,
                note: String::new(),
                columns: FETCHES,
                measures,
            });
        }
    }

    /// Measures the service with concurrent batches.
    fn batches(&mut self) {
        let batches = self.options.count(100, 5);
        let mut job = self.job(100, 50, "?delay=20");
        job.batches = batches;
        job.repeat = self.options.count(10, 1);
        let mut service = Service::new(fetchd(), &["--max-in-flight", "6000"]);
        let mut contenders: Vec<Contender<'_>> = vec![(FETCHD, Box::new(|job| service.run(job)))];
        let measures = self.rounds(&mut contenders, &job, true);
        drop(contenders);
        let p99 = measures[FETCHD].iter().filter_map(|measure| measure.p99_ms);
        let p99 = p99.map(|p99| p99 / 40.0).collect();
        self.report
            .ratio("W5: p99 of a batch / 40 ms", p99, 2, "1.5");
        self.report.section(Section {
            title: format!("W5: {batches} batches at once of 100 × 1 KiB × 20 ms"),
            note: "The times are those of a batch. The service runs with `--max-in-flight 6000`."
                .to_owned(),
            columns: FETCHES,
            measures,
        });
    }

    /// Compares contenders at small bodies over TLS.
    fn tls(&mut self) {
        let files = certificate(&self.setup.folder);
        let [certificate, key, pem] = files.each_ref().map(|file| file.display().to_string());
        let mut origin = Worker::this(&["origin", &certificate, &key]);
        let mut job = self.job(self.options.count(100_000, 1000), 50, "");
        job.url = format!("https://{}/", origin.line());
        job.ca = certificate;
        let mut service = Service::new(fetchd(), &["--ca-cert", &pem]);
        let [mut pooled, mut driven] = ["hyper-util", "driven"].map(start_mode);
        let mut contenders: Vec<Contender<'_>> = vec![
            (FETCHD, Box::new(|job| service.run(job))),
            (POOLED, Box::new(|job| run(&mut pooled, job))),
            (DRIVEN, Box::new(|job| run(&mut driven, job))),
        ];
        let measures = self.rounds(&mut contenders, &job, true);
        drop(contenders);
        let cpu = |measure: &Measure| measure.cpu_s;
        let name = "W6: CPU of the service / hyper-util with rustls";
        self.report
            .compare(name, &measures, (FETCHD, cpu), (POOLED, cpu), "1.0");
        self.report.section(Section {
            title: format!("W6: {} × 1 KiB over TLS, 50 in flight", job.count),
            note: String::new(),
            columns: FETCHES,
            measures,
        });
    }

    /// Measures the cost per fetch for lists and batches of different sizes.
    fn growth(&mut self) {
        let total = self.options.count(100_000, 1000);
        let lists = [100, 1000, 10_000, 100_000, 1_000_000];
        let lists = lists
            .iter()
            .filter(|list| !self.options.short || **list <= total);
        let lists = lists.map(|list| (*list, 1, (total / list).max(1)));
        let batches = [10, 50, 200].map(|batches| (total / batches, batches, 1));
        let mut service = Service::new(fetchd(), &[]);
        let mut measures: BTreeMap<&'static str, Vec<Measure>> = BTreeMap::new();
        let mut costs: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
        let jobs: Vec<_> = lists.chain(batches).collect();
        for _ in 0..self.options.rounds.min(3) {
            for (count, batches, repeat) in &jobs {
                let mut job = self.job(*count, 50, "");
                (job.batches, job.repeat) = (*batches, *repeat);
                let measure = service.run(&job);
                let name = match batches {
                    1 => format!("{count} URLs in a list, {repeat} ×"),
                    _ => format!("{batches} batches at once of {count}"),
                };
                let name: &'static str = name.leak();
                costs.entry(name).or_default().push(measure.cpu());
                measures.entry(name).or_default().push(measure);
            }
        }
        let medians = costs.values_mut().map(|costs| {
            costs.sort_by(f64::total_cmp);
            costs[costs.len() / 2]
        });
        let medians: Vec<f64> = medians.collect();
        let largest = medians.iter().copied().fold(f64::MIN, f64::max);
        let smallest = medians.iter().copied().fold(f64::MAX, f64::min);
        let name = "W8: largest / smallest CPU per fetch";
        self.report.ratio(name, vec![largest / smallest], 2, "1.1");
        self.report.section(Section {
            title: "W8: growth, 1 KiB, 50 in flight a batch".to_owned(),
            note: String::new(),
            columns: FETCHES,
            measures,
        });
    }
}
