//! Measurements of one contender, and their spread over all rounds.

/// The measurements of one round.
#[derive(Debug, Clone, Copy, Default)]
pub struct Measure {
    pub wall_s: f64,
    pub fetches: f64,
    /// CPU time of the process that fetches, in seconds.
    pub cpu_s: f64,
    /// CPU time of the calling process in seconds, if it is a different one.
    pub caller_s: Option<f64>,
    /// Peak memory of the process that fetches, in MiB.
    pub memory: Option<f64>,
    /// Peak memory of the program that gets the results, in MiB.
    pub program_memory: Option<f64>,
    pub first_ms: Option<f64>,
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
}

impl Measure {
    /// Returns fetches per second.
    pub fn rate(&self) -> f64 {
        self.fetches / self.wall_s
    }

    /// Returns the CPU time per fetch, in microseconds.
    pub fn cpu(&self) -> f64 {
        self.cpu_s * 1e6 / self.fetches
    }

    /// Returns the CPU time of the caller per fetch, in microseconds.
    pub fn caller(&self) -> Option<f64> {
        Some(self.caller_s? * 1e6 / self.fetches)
    }

    /// Returns the CPU time of the program that gets the results, per fetch, in
    /// microseconds.
    pub fn program(&self) -> f64 {
        self.caller().unwrap_or(self.cpu())
    }

    /// Returns the CPU time of the service, if it takes part, per fetch, in microseconds.
    pub fn service(&self) -> Option<f64> {
        self.caller_s.map(|_| self.cpu())
    }

    /// Returns the CPU time of the program and of the service, per fetch, in microseconds.
    pub fn total(&self) -> f64 {
        self.cpu() + self.caller().unwrap_or_default()
    }
}

/// Formats the median of `values` with the lowest and the highest.
pub fn spread(mut values: Vec<f64>, digits: usize) -> String {
    values.retain(|value| value.is_finite());
    values.sort_by(f64::total_cmp);
    let (Some(low), Some(high)) = (values.first(), values.last()) else {
        return "–".to_owned();
    };
    let middle = values[values.len() / 2];
    if values.len() == 1 {
        return format!("{middle:.digits$}");
    }
    format!("{middle:.digits$} ({low:.digits$}–{high:.digits$})")
}
