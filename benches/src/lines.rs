//! The lines that a peer program and the runner exchange: one JSON object a line.

use std::io::{self, Write};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// Prints one object on stdout.
///
/// # Errors
///
/// When stdout is closed.
pub fn print(object: &Value) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{object}")?;
    Ok(out.flush()?)
}

/// Says where a server listens.
///
/// # Errors
///
/// When stdout is closed.
pub fn listening(address: &str) -> Result<()> {
    print(&json!({"event": "listening", "address": address}))
}

/// Says that a client is prepared, and waits for the line that starts its job.
///
/// # Errors
///
/// When stdin ends first: the runner is gone.
pub fn ready() -> Result<()> {
    print(&json!({"event": "ready"}))?;
    let mut line = String::new();
    ensure!(io::stdin().read_line(&mut line)? > 0, "stdin ended before the job was started");
    Ok(())
}

/// Prints the result of a job and waits for the end of stdin, so that the runner can look at the process.
///
/// # Errors
///
/// When stdout is closed or stdin cannot be read.
pub fn result(mut fields: Value) -> Result<()> {
    let object = fields.as_object_mut().context("a result is an object")?;
    object.insert("event".to_owned(), "result".into());
    print(&fields)?;
    until_stdin_ends()
}

/// Waits for the end of stdin.
///
/// # Errors
///
/// When stdin cannot be read.
pub fn until_stdin_ends() -> Result<()> {
    io::copy(&mut io::stdin().lock(), &mut io::sink())?;
    Ok(())
}
