//! A peer program as a child that cannot outlive the runner: every wait has a deadline, and a drop kills.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{Read, Seek},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

/// Lines of a peer's log that an error shows.
const TAIL_LINES: usize = 20;
/// From the end of its input to the end of a peer.
const EXIT_LIMIT: Duration = Duration::from_secs(15);

/// One side of a run.
pub(crate) struct Peer {
    label: String,
    child: Child,
    /// Open as long as the peer is to live.
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    stderr: File,
}

impl Peer {
    /// Starts the program that `words` begin with.
    pub(crate) fn start(label: String, words: &[OsString]) -> Result<Self> {
        let (program, arguments) = words.split_first().context("a command has a program")?;
        let stderr = tempfile::tempfile()?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr.try_clone()?)
            .env("RUST_LIB_BACKTRACE", "0")
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{label}: starting {}{}", program.display(), hint(program)))?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().context("the output is a pipe")?;
        Ok(Self { label, child, stdin, lines: BufReader::new(stdout).lines(), stderr })
    }

    /// Its process, while it lives.
    pub(crate) fn process(&self) -> Result<u32> {
        self.child.id().with_context(|| format!("{} has ended", self.label))
    }

    /// Waits for the object that it prints as `event`.
    ///
    /// # Errors
    ///
    /// When it ends first, or `limit` passes; the error holds the end of its log.
    pub(crate) async fn event(&mut self, event: &str, limit: Duration) -> Result<Value> {
        match timeout(limit, self.next_event(event)).await {
            Ok(Ok(Some(object))) => Ok(object),
            Ok(Ok(None)) => {
                let status = timeout(EXIT_LIMIT, self.child.wait()).await;
                let ended = status.map_or_else(|_| "closed its output".to_owned(), |status| told(&status));
                Err(self.failure(&format!("{ended} before it printed {event:?}")))
            }
            Ok(Err(error)) => Err(self.failure(&format!("{error:#}"))),
            Err(_) => Err(self.failure(&format!("no {event:?} after {} s", limit.as_secs()))),
        }
    }

    async fn next_event(&mut self, event: &str) -> Result<Option<Value>> {
        while let Some(line) = self.lines.next_line().await? {
            let object: Value = serde_json::from_str(&line).with_context(|| format!("printed {line:?}"))?;
            if object["event"] == event {
                return Ok(Some(object));
            }
        }
        Ok(None)
    }

    /// Starts the job of a prepared client.
    pub(crate) async fn go(&mut self) -> Result<()> {
        let stdin = self.stdin.as_mut().context("its input is open")?;
        let written = stdin.write_all(b"go\n").await;
        written.map_err(|error| self.failure(&format!("does not take the word to start: {error}")))
    }

    /// Waits for an end that nobody asked for.
    pub(crate) async fn untimely_end(&mut self) -> anyhow::Error {
        let ended = told(&self.child.wait().await);
        self.failure(&format!("{ended} in the middle of the run"))
    }

    /// Ends its input, and waits for its end.
    ///
    /// # Errors
    ///
    /// When it stays, or says that it failed.
    pub(crate) async fn finish(mut self) -> Result<()> {
        drop(self.stdin.take());
        match timeout(EXIT_LIMIT, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(status) => Err(self.failure(&told(&status))),
            Err(_) => Err(self
                .failure(&format!("was still there {} s after the end of its input", EXIT_LIMIT.as_secs()))),
        }
    }

    /// Adds what it logged to an error of its other side: often that is where the reason stands.
    pub(crate) fn beside(&mut self, error: &anyhow::Error) -> anyhow::Error {
        match tail(&mut self.stderr) {
            Ok(log) if !log.is_empty() => anyhow!("{error:#}\n{} logged:\n{log}", self.label),
            _ => anyhow!("{error:#}"),
        }
    }

    fn failure(&mut self, what: &str) -> anyhow::Error {
        let log = tail(&mut self.stderr).unwrap_or_else(|error| format!("    its log is lost: {error}\n"));
        anyhow!("{}: {what}\n{log}", self.label)
    }
}

fn told(status: &std::io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => format!("ended ({status})"),
        Err(error) => format!("could not be waited for: {error}"),
    }
}

/// Where a program comes from that is no peer.
fn hint(program: &OsStr) -> &'static str {
    match program.to_str() {
        Some("taskset") => " (hint: it comes with util-linux; --flavour multi does without)",
        Some("ip") => " (hint: it comes with iproute2; --via proxy does without)",
        _ => "",
    }
}

fn tail(log: &mut File) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    log.rewind()?;
    log.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    Ok(lines[lines.len().saturating_sub(TAIL_LINES)..].iter().map(|line| format!("    {line}\n")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    fn shell(script: &str) -> Peer {
        let words: Vec<OsString> = ["sh", "-c", script].map(OsString::from).to_vec();
        Peer::start("shell".to_owned(), &words).unwrap()
    }

    #[tokio::test]
    async fn a_peer_speaks_lines_and_ends_with_its_input() {
        let mut peer = shell(
            r#"echo '{"event":"ready"}'; read word; echo '{"event":"other"}'; echo '{"event":"result","bytes":7}'; cat"#,
        );
        peer.event("ready", LIMIT).await.unwrap();
        peer.go().await.unwrap();
        assert_eq!(peer.event("result", LIMIT).await.unwrap()["bytes"], 7);
        peer.finish().await.unwrap();
    }

    #[tokio::test]
    async fn a_peer_that_fails_is_shown_with_the_end_of_its_log() {
        let mut peer = shell("for i in 1 2 3; do echo \"line $i\" >&2; done; exit 1");
        let error = peer.event("ready", LIMIT).await.unwrap_err().to_string();
        assert!(
            error.contains("shell") && error.contains("line 3") && error.contains("exit status: 1"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_peer_that_fails_at_its_end_has_failed() {
        let error = shell("cat; echo too late >&2; exit 3").finish().await.unwrap_err().to_string();
        assert!(error.contains("too late") && error.contains('3'), "{error}");
    }

    #[tokio::test]
    async fn a_silent_peer_is_given_up() {
        let mut peer = shell("exec sleep 1000");
        let error = peer.event("ready", Duration::from_millis(20)).await.unwrap_err().to_string();
        assert!(error.contains("no \"ready\""), "{error}");
    }

    #[tokio::test]
    async fn words_that_are_no_json_are_an_error() {
        let error = shell("echo hello; cat").event("ready", LIMIT).await.unwrap_err().to_string();
        assert!(error.contains("hello"), "{error}");
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named() {
        let error = Peer::start("nobody".to_owned(), &["/nowhere/at-all".into()]).err().unwrap();
        assert!(format!("{error:#}").contains("/nowhere/at-all"), "{error:#}");
    }
}
