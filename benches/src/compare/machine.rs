//! What /proc tells about the machine and about a process.

use std::{fs, time::Duration};

use anyhow::{Context, Result, bail};
use tokio::time::{Instant, sleep};

use crate::compare::report::progress;

/// More foreign work than this share of a core disturbs a run.
pub(crate) const DISTURBING: f64 = 0.06;
/// Both counters that foreign CPU is the difference of move in steps: a run of a tenth of a second would
/// otherwise be disturbed by rounding.
const GRANULARITY_SECONDS: f64 = 0.02;
/// Nobody waits longer for a quiet machine.
const IDLE_LIMIT: Duration = Duration::from_secs(30 * 60);
const SAY_EVERY: Duration = Duration::from_secs(60);

/// The CPU time of all cores since the machine started, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct MachineTicks {
    busy: u64,
    /// Taken away by the machine that this one runs on.
    stolen: u64,
}

/// The CPU time of some processes beside that of the machine.
#[derive(Debug, Clone)]
pub(crate) struct Moment {
    at: Instant,
    machine: MachineTicks,
    ours: Vec<u64>,
}

/// What happened between two moments.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Passed {
    /// CPU seconds of each of the processes.
    pub(crate) cpu_seconds: Vec<f64>,
    /// What everybody else used, as a share of one core.
    pub(crate) foreign: f64,
    /// What the host took, as a share of one core.
    pub(crate) stolen: f64,
    pub(crate) disturbed: bool,
}

impl Moment {
    /// Now; `processes` are those whose CPU time is not foreign.
    pub(crate) fn now(processes: &[u32]) -> Result<Self> {
        Ok(Self {
            at: Instant::now(),
            machine: machine_ticks(&fs::read_to_string("/proc/stat").context("reading /proc/stat")?)?,
            ours: processes.iter().map(|process| process_ticks(*process)).collect::<Result<_>>()?,
        })
    }

    /// What happened since, up to `later`, a moment of the same processes.
    pub(crate) fn until(&self, later: &Self) -> Passed {
        let seconds = later.at.duration_since(self.at).as_secs_f64();
        let since = |before: u64, after: u64| after.saturating_sub(before) as f64 / ticks_per_second();
        let ours = self.ours.iter().zip(&later.ours).map(|(before, after)| since(*before, *after));
        let cpu_seconds: Vec<f64> = ours.collect();
        let busy = since(self.machine.busy, later.machine.busy);
        let foreign_seconds = (busy - cpu_seconds.iter().sum::<f64>()).max(0.0);
        Passed {
            foreign: foreign_seconds / seconds,
            stolen: since(self.machine.stolen, later.machine.stolen) / seconds,
            disturbed: foreign_seconds > DISTURBING * seconds + GRANULARITY_SECONDS,
            cpu_seconds,
        }
    }
}

/// Waits until the machine did next to nothing for a second.
///
/// # Errors
///
/// When it does not become quiet for half an hour.
pub(crate) async fn wait_for_an_idle_second() -> Result<()> {
    let started = Instant::now();
    let mut next_word = SAY_EVERY;
    loop {
        let before = Moment::now(&[])?;
        sleep(Duration::from_secs(1)).await;
        let passed = before.until(&Moment::now(&[])?);
        if passed.foreign <= DISTURBING {
            return Ok(());
        }
        if started.elapsed() > IDLE_LIMIT {
            bail!("the machine was not idle for one second in {} minutes", IDLE_LIMIT.as_secs() / 60);
        }
        if started.elapsed() > next_word {
            next_word += SAY_EVERY;
            progress(&format!("waiting for an idle second: {:.2} of a core is busy", passed.foreign));
        }
    }
}

/// The resident memory of a process, in bytes.
pub(crate) fn resident_bytes(process: u32) -> Result<u64> {
    let status =
        fs::read_to_string(format!("/proc/{process}/status")).context("reading a process's status")?;
    resident(&status)
}

/// What a table has to say about the machine it was made on.
pub(crate) fn describe() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = information.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let model = model.map_or("processor not known", |(_, model)| model);
    format!("{cores} cores, {model}, kernel {}", kernel.trim())
}

fn process_ticks(process: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))
        .with_context(|| format!("reading the CPU time of process {process}"))?;
    ticks_of_stat(&stat)
}

/// User and system time of all threads out of `/proc/PID/stat`.
fn ticks_of_stat(stat: &str) -> Result<u64> {
    // The name before it may hold anything, also spaces and brackets.
    let (_, fields) = stat.rsplit_once(')').context("/proc/PID/stat has a name in brackets")?;
    let mut fields = fields.split_whitespace().skip(11).map(str::parse::<u64>);
    match (fields.next(), fields.next()) {
        (Some(Ok(user)), Some(Ok(system))) => Ok(user + system),
        _ => bail!("/proc/PID/stat has no CPU time"),
    }
}

/// The line of all cores in `/proc/stat`.
fn machine_ticks(stat: &str) -> Result<MachineTicks> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu ")).context("/proc/stat has all cores")?;
    let ticks: Vec<u64> = line.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let [user, nice, system, _idle, _waiting, interrupt, soft_interrupt, stolen, ..] = ticks[..] else {
        bail!("/proc/stat has {} fields a core", ticks.len());
    };
    Ok(MachineTicks { busy: user + nice + system + interrupt + soft_interrupt, stolen })
}

fn resident(status: &str) -> Result<u64> {
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))
        .context("the status of a process says its resident memory")?;
    Ok(kib.parse::<u64>()? * 1024)
}

fn ticks_per_second() -> f64 {
    rustix::param::clock_ticks_per_second() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(at: Instant, busy: u64, ours: &[u64]) -> Moment {
        Moment { at, machine: MachineTicks { busy, stolen: 0 }, ours: ours.to_vec() }
    }

    #[test]
    fn a_process_may_have_any_name() {
        let stat = "42 (odd) name 7 (x) S 1 2 3 4 5 6 7 8 9 10 150 25 99 99 20 0 8 0 1 2 3";
        assert_eq!(ticks_of_stat(stat).unwrap(), 175);
        assert!(ticks_of_stat("42 (short) S 1 2").is_err());
        assert!(ticks_of_stat("").is_err());
    }

    #[test]
    fn idle_and_stolen_time_is_not_busy() {
        let stat = "cpu  100 10 50 9000 300 2 8 77 0 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n";
        assert_eq!(machine_ticks(stat).unwrap(), MachineTicks { busy: 170, stolen: 77 });
        assert!(machine_ticks("cpu  1 2 3\n").is_err());
        assert!(machine_ticks("intr 5\n").is_err());
    }

    #[test]
    fn memory_is_told_in_kilobytes() {
        assert_eq!(resident("Name:\tx\nVmHWM:\t   9000 kB\nVmRSS:\t   1234 kB\n").unwrap(), 1234 * 1024);
        assert!(resident("Name:\tx\n").is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_ours_is_foreign() {
        let ticks = rustix::param::clock_ticks_per_second();
        let start = Instant::now();
        let later = start + Duration::from_secs(2);
        let before = moment(start, 1_000, &[100, 50]);
        let passed =
            before.until(&moment(later, 1_000 + 5 * ticks / 2, &[100 + 2 * ticks, 50 + ticks * 2 / 5]));
        assert_eq!(passed.cpu_seconds, [2.0, 0.4]);
        assert!((passed.foreign - 0.05).abs() < 1e-9, "{}", passed.foreign);
        assert!(!passed.disturbed);
        assert!(before.until(&moment(later, 1_000 + ticks, &[100, 50])).disturbed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_of_the_counters_does_not_disturb_a_short_run() {
        let start = Instant::now();
        let before = moment(start, 0, &[0]);
        assert!(!before.until(&moment(start + Duration::from_millis(100), 2, &[0])).disturbed);
        assert!(before.until(&moment(start + Duration::from_millis(100), 9, &[0])).disturbed);
    }

    #[tokio::test]
    async fn this_process_is_found_in_proc() {
        let me = std::process::id();
        assert!(resident_bytes(me).unwrap() > 1024 * 1024);
        let before = Moment::now(&[me]).unwrap();
        assert_eq!(before.until(&Moment::now(&[me]).unwrap()).cpu_seconds.len(), 1);
    }
}
