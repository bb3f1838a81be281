//! Data on standard output, as text or JSON; everything else on standard error.

use std::{
    fmt,
    io::{self, Write},
};

use owo_colors::OwoColorize;
use serde_json::{Value, json};

use crate::failure::Failure;

/// How results are printed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Prints a result: a line of text, or a JSON object on one line.
    pub(crate) fn print(self, text: impl fmt::Display, value: &Value) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        let printed = if self.json { writeln!(out, "{value}") } else { writeln!(out, "{text}") };
        printed.and_then(|()| out.flush()).map_err(|error| Failure::stdout(&error))
    }

    /// Tells something that is no result.
    pub(crate) fn note(self, text: impl fmt::Display) {
        // Who closed standard error does not want to know.
        let _written = writeln!(anstream::stderr(), "{text}");
    }

    /// Tells why the command failed.
    pub(crate) fn failure(self, failure: &Failure) {
        let mut text = format!("{} {failure}", "error:".red().bold());
        if let Some(hint) = failure.hint() {
            text.push_str(&format!("\n{} {hint}", "hint:".cyan()));
        }
        self.note(text);
        if self.json {
            let value = json!({ "error": failure.to_string(), "hint": failure.hint() });
            // The failure is on standard error already.
            let _printed = self.print("", &value);
        }
    }
}
