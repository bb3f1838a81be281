//! Being asked to stop.

use tokio::signal::unix::{SignalKind, signal};

use crate::failure::Failure;

/// Waits for Ctrl-C or SIGTERM.
pub(crate) async fn stop() -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("cannot wait for signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// Does work until it is done or the program is asked to stop, which is a failure.
pub(crate) async fn unless_stopped<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::select! {
        // Signals are waited for before the work begins.
        biased;
        stopped = stop() => Err(stopped.err().unwrap_or_else(Failure::interrupted)),
        done = work => done,
    }
}
