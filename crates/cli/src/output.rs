//! What the program says: data on stdout, for people or as one JSON object a line; all else on stderr.

use std::{
    fmt,
    io::{self, Write},
    process::ExitCode,
};

use clap::error::ErrorKind;
use owo_colors::OwoColorize;
use serde_json::{Value, json};

use crate::failure::{Failure, USAGE};

/// Where and how to say it.
#[derive(Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Prints one line of data: the text, or the object with `--json`.
    pub(crate) fn line(self, text: impl fmt::Display, object: &Value) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        let written = if self.json { writeln!(out, "{object}") } else { writeln!(out, "{text}") };
        written.and_then(|()| out.flush()).map_err(|error| Failure::output(&error))
    }

    /// Prints the object with `--json`; people get the text as a note beside the data.
    pub(crate) fn summary(self, text: impl fmt::Display, object: &Value) -> Result<(), Failure> {
        if self.json {
            return self.line("", object);
        }
        note(text);
        Ok(())
    }

    /// Tells a failure, and gives the exit code for it.
    pub(crate) fn failure(self, failure: &Failure) -> ExitCode {
        if failure.is_silent() {
            return ExitCode::SUCCESS;
        }
        if self.json {
            // Whoever closed stdout still gets the sentence on stderr.
            let _written = self.line("", &json!({"error": failure.message, "hint": failure.hint}));
        }
        let mut err = anstream::stderr().lock();
        let _written = writeln!(err, "{} {}", "error:".red().bold(), failure.message);
        if let Some(hint) = &failure.hint {
            let _written = writeln!(err, "{} {hint}", "hint:".cyan().bold());
        }
        ExitCode::from(failure.code)
    }
}

/// Tells people something that is no data.
pub(crate) fn note(text: impl fmt::Display) {
    // Nobody reads it where stderr is closed.
    let _written = writeln!(anstream::stderr().lock(), "{text}");
}

/// Tells what is wrong with the command line, or shows the help that was asked for.
pub(crate) fn usage(refused: &clap::Error, json: bool) -> ExitCode {
    let wrong = refused.use_stderr();
    if wrong && json {
        let text = refused.to_string();
        let sentence = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
        let hint = match refused.kind() {
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "name a command, such as `bowline demo`",
            _ => "`bowline help` lists the commands, `bowline help COMMAND` their arguments",
        };
        let _written = Output::new(true).line("", &json!({"error": sentence, "hint": hint}));
    }
    // Help that nobody reads to its end is no failure.
    let _printed = refused.print();
    if wrong { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
}

/// Text of a stranger, with what a terminal would obey made visible.
pub(crate) fn printable(text: &str) -> String {
    let shown = |c: char| if c.is_control() { c.escape_default().collect() } else { c.to_string() };
    text.chars().map(shown).collect()
}

/// Bytes for people: `1.5 MiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

/// Mebibytes a second.
#[expect(clippy::cast_precision_loss, reason = "a speed needs no more than 53 bits")]
pub(crate) fn mib_per_s(bytes: u64, seconds: f64) -> f64 {
    bytes as f64 / f64::from(1 << 20) / seconds.max(1e-9)
}

/// A noun with its number.
pub(crate) fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
