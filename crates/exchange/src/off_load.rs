//! The seam through which hashing and store calls leave the network tasks.

use std::future::Future;

/// Where blocking work runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OffLoad {
    /// On the blocking pool of the runtime.
    #[default]
    Pool,
    /// In place, for tests on virtual time: a paused clock must not run ahead of real work.
    Inline,
}

impl OffLoad {
    /// Runs `work` and gives its result.
    ///
    /// # Panics
    ///
    /// When `work` does; its panic goes on here.
    ///
    /// # Cancel safety
    ///
    /// Work that has begun on the pool runs to its end when the future is dropped; its result is lost.
    pub fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static {
        // The work begins at once, not when the future is first polled: callers queue several.
        let running = match self {
            Self::Pool => Running::Pool(tokio::task::spawn_blocking(work)),
            Self::Inline => Running::Done(work()),
        };
        async move {
            match running {
                Running::Done(result) => result,
                Running::Pool(task) => match task.await {
                    Ok(result) => result,
                    Err(error) => match error.try_into_panic() {
                        Ok(panic) => std::panic::resume_unwind(panic),
                        // The runtime is going down and takes this task with it.
                        Err(_) => std::future::pending().await,
                    },
                },
            }
        }
    }
}

enum Running<T> {
    Done(T),
    Pool(tokio::task::JoinHandle<T>),
}
