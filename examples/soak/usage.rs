//! What a process uses.

use std::{fmt, fs, str::FromStr};

use tokio::runtime::Handle;

/// What the service uses at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Usage {
    /// Resident memory, in KiB.
    pub(crate) memory: u64,
    /// Open sockets.
    pub(crate) sockets: u64,
    /// Tasks of the runtime that haven't ended.
    pub(crate) tasks: u64,
}

/// How many sockets and tasks may be left, e.g. of the last connection that closes.
const SLACK: u64 = 2;

impl Usage {
    /// Reads what this process uses.
    pub(crate) fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let memory = status.lines().find_map(|line| {
            let value = line.strip_prefix("VmRSS:")?;
            value.trim().strip_suffix(" kB")?.parse().ok()
        });
        let files = fs::read_dir("/proc/self/fd").into_iter().flatten();
        let targets = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
        let sockets = targets.filter(|target| target.to_string_lossy().starts_with("socket:"));
        Self {
            memory: memory.unwrap_or_default(),
            sockets: sockets.count() as u64,
            tasks: Handle::current().metrics().num_alive_tasks() as u64,
        }
    }

    /// Returns true if there are more sockets or tasks than in `idle`. Memory doesn't count,
    /// since allocators keep some.
    pub(crate) fn is_above(&self, idle: &Self) -> bool {
        self.sockets > idle.sockets + SLACK || self.tasks > idle.tasks + SLACK
    }
}

/// The line that the service prints.
impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            memory,
            sockets,
            tasks,
        } = self;
        write!(f, "{memory} KiB, {sockets} sockets, {tasks} tasks")
    }
}

impl FromStr for Usage {
    type Err = &'static str;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        let expected = "expected the usage of the service";
        let mut numbers = line
            .split(", ")
            .map(|field| field.split(' ').next()?.parse().ok());
        let mut next = || numbers.next().flatten().ok_or(expected);
        Ok(Self {
            memory: next()?,
            sockets: next()?,
            tasks: next()?,
        })
    }
}
