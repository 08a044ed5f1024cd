//! The resources of the service at one moment.

use std::{fmt, fs, str::FromStr};

use tokio::runtime::Handle;

use crate::BoxError;

/// The resources that a process holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Usage {
    /// Resident memory, in KiB.
    pub(crate) memory: u64,
    /// Open file descriptors, including sockets.
    pub(crate) files: u64,
    pub(crate) sockets: u64,
    /// Tasks of the runtime that haven't ended.
    pub(crate) tasks: u64,
}

impl Usage {
    /// Reads the resources of this process.
    ///
    /// # Errors
    ///
    /// Fails if `/proc` can't be read, as on systems other than Linux.
    pub(crate) fn of_this_process() -> Result<Self, BoxError> {
        let status = fs::read_to_string("/proc/self/status")?;
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let memory = memory.and_then(|memory| memory.trim().strip_suffix(" kB"));
        let (mut files, mut sockets) = (0, 0);
        for file in fs::read_dir("/proc/self/fd")? {
            // A file that was closed meanwhile has no target.
            if let Ok(target) = fs::read_link(file?.path()) {
                files += 1;
                sockets += u64::from(target.to_string_lossy().starts_with("socket:"));
            }
        }
        Ok(Self {
            memory: memory.ok_or("/proc/self/status has no VmRSS")?.parse()?,
            files,
            sockets,
            tasks: Handle::current().metrics().num_alive_tasks() as u64,
        })
    }

    /// Returns true if there are no more sockets and tasks than in an `idle` service.
    pub(crate) fn is_idle(&self, idle: &Self) -> bool {
        self.sockets <= idle.sockets && self.tasks <= idle.tasks
    }

    /// Returns the memory in MiB.
    pub(crate) fn mebibytes(&self) -> f64 {
        self.memory as f64 / 1024.0
    }

    /// Writes it for [`Usage::from_str`].
    pub(crate) fn to_line(self) -> String {
        let Self {
            memory,
            files,
            sockets,
            tasks,
        } = self;
        format!("{memory} {files} {sockets} {tasks}")
    }
}

impl FromStr for Usage {
    type Err = BoxError;

    fn from_str(line: &str) -> Result<Self, BoxError> {
        let numbers: Result<Vec<u64>, _> = line.split(' ').map(str::parse).collect();
        let [memory, files, sockets, tasks] = numbers?[..] else {
            return Err(format!("expected four numbers, got {line:?}").into());
        };
        Ok(Self {
            memory,
            files,
            sockets,
            tasks,
        })
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let memory = self.mebibytes();
        let Self {
            files,
            sockets,
            tasks,
            ..
        } = self;
        write!(
            f,
            "memory {memory:.1} MiB, sockets {sockets}, files {files}, tasks {tasks}"
        )
    }
}
