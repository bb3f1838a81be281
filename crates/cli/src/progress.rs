//! Bars on long work. There are none where stderr is no terminal.

use std::{
    io::{self, IsTerminal},
    sync::Arc,
    time::Duration,
};

use bowline::OnProgress;
use indicatif::{ProgressBar, ProgressStyle};

/// A bar that is gone when it is dropped.
pub(crate) struct Bar {
    bar: ProgressBar,
}

impl Bar {
    pub(crate) fn new(what: String) -> Self {
        let style = "{msg} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec}";
        let bar = ProgressBar::new(0).with_message(what);
        // The template is a constant that is right, and a bar in another style is no harm.
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar }
    }

    /// A bar for work that writes to stdout as it goes: none where that is the terminal.
    pub(crate) fn beside_content(what: String) -> Self {
        if io::stdout().is_terminal() { Self { bar: ProgressBar::hidden() } } else { Self::new(what) }
    }

    pub(crate) fn on_progress(&self) -> OnProgress {
        let bar = self.bar.clone();
        Arc::new(move |progress| {
            bar.set_length(progress.total.unwrap_or(progress.bytes).max(progress.bytes));
            bar.set_position(progress.bytes);
        })
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
