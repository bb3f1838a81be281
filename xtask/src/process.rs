//! Child processes that cannot outlive this one: every wait has a deadline, every drop kills, and Ctrl-C
//! unwinds through both.

use std::{
    fs::{self, File},
    io::{Read, Seek},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

/// How often a wait looks again: short, so that a measured time is right to a few milliseconds.
const LOOK_EVERY: Duration = Duration::from_millis(4);

/// Lines of a log that an error shows.
const TAIL_LINES: usize = 30;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Turns Ctrl-C and SIGTERM into an error at the next wait, so that every child is ended by its owner.
pub(crate) fn catch_interrupts() -> Result<()> {
    ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::SeqCst)).context("catching Ctrl-C")
}

#[expect(clippy::disallowed_methods, reason = "scripts run on real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "another process offers nothing to wait on")]
fn pause() -> Result<()> {
    std::thread::sleep(LOOK_EVERY);
    if INTERRUPTED.load(Ordering::SeqCst) {
        bail!("interrupted");
    }
    Ok(())
}

/// What a program that ran to its end left behind.
pub(crate) struct Finished {
    pub(crate) stdout: String,
    pub(crate) took: Duration,
    /// The most memory it held, where the system tells.
    pub(crate) peak_bytes: Option<u64>,
}

/// Runs a program to its end and gives what it printed.
///
/// # Errors
///
/// When it cannot start, fails, or is not done within `limit`; the error holds the end of what it printed.
pub(crate) fn run(label: &str, command: &mut Command, limit: Duration) -> Result<Finished> {
    let (status, finished, stderr) = run_unchecked(label, command, limit)?;
    if !status.success() {
        bail!("{label} failed ({status})\n{}{}", tail(&finished.stdout), tail(&stderr));
    }
    Ok(finished)
}

/// Like [`run`], but a failing program is no error: whether it succeeded is in the status.
pub(crate) fn run_unchecked(
    label: &str,
    command: &mut Command,
    limit: Duration,
) -> Result<(ExitStatus, Finished, String)> {
    let mut stdout = tempfile::tempfile()?;
    let mut stderr = tempfile::tempfile()?;
    plain(command).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
    let started = now();
    let mut child = Owned(command.spawn().with_context(|| format!("starting {label}"))?);
    let mut peak_bytes = None;
    let status = loop {
        // The high-water mark only rises, so the last one seen is the peak.
        peak_bytes = peak_memory(child.0.id()).or(peak_bytes);
        if let Some(status) = child.0.try_wait()? {
            break status;
        }
        if started.elapsed() > limit {
            drop(child);
            bail!(
                "{label} was not done after {} s\n{}{}",
                limit.as_secs(),
                tail(&contents(&mut stdout)?),
                tail(&contents(&mut stderr)?)
            );
        }
        pause()?;
    };
    let finished = Finished { stdout: contents(&mut stdout)?, took: started.elapsed(), peak_bytes };
    Ok((status, finished, contents(&mut stderr)?))
}

/// No input, and errors of Rust programs without a backtrace that would push the message out of sight.
fn plain(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).env("RUST_LIB_BACKTRACE", "0")
}

/// Runs a long build with its output on the terminal.
pub(crate) fn run_visibly(label: &str, command: &mut Command, limit: Duration) -> Result<()> {
    let started = now();
    // What a build says is progress, and progress belongs on standard error.
    command.stdin(Stdio::null()).stdout(std::io::stderr());
    let mut child = Owned(command.spawn().with_context(|| format!("starting {label}"))?);
    loop {
        match child.0.try_wait()? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => bail!("{label} failed ({status})"),
            None if started.elapsed() > limit => bail!("{label} was not done after {} s", limit.as_secs()),
            None => pause()?,
        }
    }
}

/// A program in the background, ended when this is dropped.
pub(crate) struct Daemon {
    label: String,
    child: Owned,
    stdout: PathBuf,
}

impl Daemon {
    /// Starts it with its output in `LABEL.out` and `LABEL.err` in `logs`.
    pub(crate) fn start(label: &str, command: &mut Command, logs: &Path) -> Result<Self> {
        let stdout = logs.join(format!("{label}.out"));
        plain(command)
            .stdout(File::create(&stdout)?)
            .stderr(File::create(logs.join(format!("{label}.err")))?);
        let child = Owned(command.spawn().with_context(|| format!("starting {label}"))?);
        Ok(Self { label: label.to_owned(), child, stdout })
    }

    /// Looks until `probe` finds something.
    ///
    /// # Errors
    ///
    /// When the program ends first, or `limit` passes.
    pub(crate) fn wait_for<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut probe: impl FnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        let started = now();
        loop {
            let over = self.child.0.try_wait()?;
            // Looking after asking: what a program did just before its end still counts.
            if let Some(found) = probe()? {
                return Ok(found);
            }
            if let Some(status) = over {
                bail!("{} ended ({status}) before {what}", self.label);
            }
            if started.elapsed() > limit {
                bail!("{}: no {what} after {} s", self.label, limit.as_secs());
            }
            pause()?;
        }
    }

    /// Waits for a line of JSON on its standard output.
    pub(crate) fn wait_for_line(
        &mut self,
        what: &str,
        limit: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let stdout = self.stdout.clone();
        self.wait_for(what, limit, || Ok(json_lines(&fs::read_to_string(&stdout)?).find(|line| wanted(line))))
    }

    /// Every whole line of JSON that it printed so far.
    pub(crate) fn lines(&self) -> Result<Vec<Value>> {
        Ok(json_lines(&fs::read_to_string(&self.stdout)?).collect())
    }

    /// The most memory it has held so far, where the system tells.
    pub(crate) fn peak_bytes(&self) -> Option<u64> {
        peak_memory(self.child.0.id())
    }

    /// Asks it to stop.
    ///
    /// # Errors
    ///
    /// When it does not stop within `limit`, or says that it failed.
    pub(crate) fn stop(mut self, limit: Duration) -> Result<()> {
        terminate(&self.child.0)?;
        let started = now();
        loop {
            match self.child.0.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("{} did not stop cleanly ({status})", self.label),
                None if started.elapsed() > limit => {
                    bail!("{} was still there {} s after SIGTERM", self.label, limit.as_secs())
                }
                None => pause()?,
            }
        }
    }
}

/// The lines that are whole JSON objects; a line still being written is not one yet.
pub(crate) fn json_lines(text: &str) -> impl Iterator<Item = Value> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).filter(Value::is_object)
}

/// The last lines of every log in a folder, each under its name.
pub(crate) fn show_logs(logs: &Path) -> Result<String> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(logs)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.sort();
    let mut shown = String::new();
    for file in files {
        let text = tail(&String::from_utf8_lossy(&fs::read(&file)?));
        if !text.is_empty() {
            let name = file.file_name().ok_or_else(|| anyhow!("a log has a name"))?;
            shown += &format!("--- {}\n{text}", name.to_string_lossy());
        }
    }
    Ok(shown)
}

/// A child that is killed and reaped when its owner goes.
struct Owned(Child);

impl Drop for Owned {
    fn drop(&mut self) {
        // Both fail only for a child that has already been reaped.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(unix)]
fn terminate(child: &Child) -> Result<()> {
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id())?).context("a child has an id")?;
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).context("sending SIGTERM")
}

#[cfg(not(unix))]
fn terminate(_: &Child) -> Result<()> {
    bail!("stopping a program cleanly needs Unix signals")
}

/// The high-water mark of a process's resident memory. `None` where there is no /proc, or the process ended.
fn peak_memory(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kib: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?
        .trim()
        .strip_suffix(" kB")?
        .parse()
        .ok()?;
    Some(kib * 1024)
}

fn contents(file: &mut File) -> Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].iter().map(|line| format!("    {line}\n")).collect()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_ends_gives_its_output() {
        let finished =
            run("echo", Command::new("sh").args(["-c", "echo hello"]), Duration::from_secs(10)).unwrap();
        assert_eq!(finished.stdout, "hello\n");
    }

    #[test]
    fn a_failing_program_shows_what_it_said() {
        let error =
            run("sh", Command::new("sh").args(["-c", "echo no luck >&2; exit 3"]), Duration::from_secs(10))
                .err()
                .unwrap();
        assert!(error.to_string().contains("no luck"), "{error}");
        assert!(error.to_string().contains('3'), "{error}");
    }

    #[test]
    fn a_program_that_does_not_end_is_killed() {
        let error = run("sleep", Command::new("sleep").arg("1000"), Duration::from_millis(20)).err().unwrap();
        assert!(error.to_string().contains("was not done"), "{error}");
    }

    #[test]
    fn a_daemon_says_what_it_says_and_goes_with_its_owner() {
        let logs = tempfile::tempdir().unwrap();
        let mut daemon = Daemon::start(
            "echoing",
            Command::new("sh").args(["-c", r#"echo noise; echo '{"event":"listening"}'; exec sleep 1000"#]),
            logs.path(),
        )
        .unwrap();
        daemon
            .wait_for_line("listening line", Duration::from_secs(10), |line| line["event"] == "listening")
            .unwrap();
        assert!(daemon.peak_bytes().unwrap() > 0);
        let proc = PathBuf::from(format!("/proc/{}", daemon.child.0.id()));
        assert!(proc.exists());
        drop(daemon);
        assert!(!proc.exists());
    }

    #[test]
    fn a_daemon_that_dies_is_noticed_while_waiting() {
        let logs = tempfile::tempdir().unwrap();
        let mut daemon = Daemon::start("brief", &mut Command::new("true"), logs.path()).unwrap();
        let error = daemon.wait_for::<()>("anything", Duration::from_secs(10), || Ok(None)).err().unwrap();
        assert!(error.to_string().contains("ended"), "{error}");
    }

    #[test]
    fn a_daemon_that_ignores_sigterm_is_an_error() {
        let logs = tempfile::tempdir().unwrap();
        let mut daemon = Daemon::start(
            "stubborn",
            Command::new("sh")
                .args(["-c", "trap '' TERM; echo '{\"ready\":true}'; while :; do sleep 1; done"]),
            logs.path(),
        )
        .unwrap();
        daemon.wait_for_line("readiness", Duration::from_secs(10), |line| line["ready"] == true).unwrap();
        let error = daemon.stop(Duration::from_millis(20)).err().unwrap();
        assert!(error.to_string().contains("still there"), "{error}");
    }
}
