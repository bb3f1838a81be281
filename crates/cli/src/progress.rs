//! Progress bars, on terminals only.

use std::{io::IsTerminal, sync::Arc, time::Duration};

use bowline::{OnProgress, Progress};
use indicatif::{ProgressBar, ProgressStyle};

/// A bar for one long piece of work; none when standard error is no terminal.
pub(crate) struct Bar {
    bar: ProgressBar,
}

impl Bar {
    pub(crate) fn new(what: &str) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self { bar: ProgressBar::hidden() };
        }
        let bar = ProgressBar::new_spinner().with_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar }
    }

    /// What moves the bar.
    pub(crate) fn on_progress(&self) -> Option<OnProgress> {
        let bar = self.bar.clone();
        if bar.is_hidden() {
            return None;
        }
        Some(Arc::new(move |progress: Progress| {
            if let Some(total) = progress.total
                && bar.length() != Some(total)
            {
                bar.set_length(total);
                bar.set_style(style());
            }
            bar.set_position(progress.bytes);
        }))
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
