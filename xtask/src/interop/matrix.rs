//! Results by case and check: told on standard error as they come, as a table at the end.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Result, bail};
use comfy_table::{Cell, CellAlignment, Table, presets};
use serde_json::json;

/// Results in the order in which rows and columns were first named.
pub(crate) struct Matrix {
    corner: &'static str,
    rows: Vec<String>,
    columns: Vec<String>,
    cells: BTreeMap<(usize, usize), Result<Passed, String>>,
}

/// What a check that passed has to say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Passed {
    pub(crate) took: Option<Duration>,
    pub(crate) note: Option<String>,
}

impl From<()> for Passed {
    fn from((): ()) -> Self {
        Self::default()
    }
}

impl From<Duration> for Passed {
    fn from(took: Duration) -> Self {
        Self { took: Some(took), note: None }
    }
}

impl From<String> for Passed {
    fn from(note: String) -> Self {
        Self { took: None, note: Some(note) }
    }
}

impl Passed {
    fn show(&self) -> String {
        match (&self.took, &self.note) {
            (Some(took), _) => format!("{:.2} s", took.as_secs_f64()),
            (None, Some(note)) => note.clone(),
            (None, None) => "ok".to_owned(),
        }
    }
}

impl Matrix {
    pub(crate) fn new(corner: &'static str) -> Self {
        Self { corner, rows: Vec::new(), columns: Vec::new(), cells: BTreeMap::new() }
    }

    /// Notes a result and says it on standard error. Gives back whether it passed.
    pub(crate) fn record<P: Into<Passed>>(&mut self, row: &str, column: &str, result: Result<P>) -> bool {
        let result = result.map(Into::into).map_err(|error| format!("{error:#}"));
        match &result {
            Ok(passed) => progress(&format!("{row}: {column}: {}", passed.show())),
            Err(error) => progress(&format!("{row}: {column}: FAILED: {error}")),
        }
        let cell = (position(&mut self.rows, row), position(&mut self.columns, column));
        let passed = result.is_ok();
        self.cells.insert(cell, result);
        passed
    }

    pub(crate) fn failures(&self) -> usize {
        self.cells.values().filter(|cell| cell.is_err()).count()
    }

    /// Prints everything on standard output, as a table or as one JSON object a line.
    ///
    /// # Errors
    ///
    /// When a check failed, or none was made.
    pub(crate) fn finish(&self, as_json: bool, logs: &Path) -> Result<()> {
        let mut out = std::io::stdout().lock();
        if as_json {
            for line in self.json() {
                writeln!(out, "{line}")?;
            }
        } else {
            writeln!(out, "{}", self.table())?;
        }
        let (failed, all) = (self.failures(), self.cells.len());
        if failed > 0 {
            progress(&crate::process::show_logs(logs)?);
            for ((row, column), error) in
                self.cells.iter().filter_map(|(at, cell)| Some((at, cell.as_ref().err()?)))
            {
                progress(&format!("FAILED: {}: {}: {error}", self.rows[*row], self.columns[*column]));
            }
            bail!("{failed} of {all} checks failed");
        }
        if all == 0 {
            bail!("no check was made");
        }
        progress(&format!("{all} checks passed"));
        Ok(())
    }

    fn json(&self) -> impl Iterator<Item = serde_json::Value> + '_ {
        self.cells.iter().map(|((row, column), cell)| {
            let passed = cell.as_ref().ok();
            json!({
                self.corner: self.rows[*row],
                "check": self.columns[*column],
                "ok": passed.is_some(),
                "seconds": passed.and_then(|passed| passed.took).map(|took| took.as_secs_f64()),
                "note": passed.and_then(|passed| passed.note.clone()),
                "error": cell.as_ref().err(),
            })
        })
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        let columns = self.columns.iter().map(String::as_str);
        table.set_header(std::iter::once(self.corner).chain(columns));
        for (row, name) in self.rows.iter().enumerate() {
            let cells = (0..self.columns.len()).map(|column| match self.cells.get(&(row, column)) {
                Some(Ok(passed)) => Cell::new(passed.show()).set_alignment(CellAlignment::Right),
                Some(Err(_)) => Cell::new("FAILED").set_alignment(CellAlignment::Right),
                None => Cell::new(""),
            });
            table.add_row(std::iter::once(Cell::new(name)).chain(cells));
        }
        table
    }
}

fn position(names: &mut Vec<String>, name: &str) -> usize {
    names.iter().position(|known| known == name).unwrap_or_else(|| {
        names.push(name.to_owned());
        names.len() - 1
    })
}

/// Shows what every program said when something went wrong with one of them.
pub(crate) fn or_show_logs<T>(result: Result<T>, logs: &Path) -> Result<T> {
    if result.is_err() {
        progress(&crate::process::show_logs(logs)?);
    }
    result
}

/// Says something on standard error, where everything goes that is not a result.
pub(crate) fn progress(text: &str) {
    // A closed standard error is no reason to stop.
    let _ = writeln!(std::io::stderr(), "{}", text.trim_end());
}

/// The folder for the logs of every program of a run.
pub(crate) fn logs(scratch: &Path) -> Result<PathBuf> {
    let logs = scratch.join("logs");
    fs::create_dir_all(&logs)?;
    Ok(logs)
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    fn matrix() -> Matrix {
        let mut matrix = Matrix::new("case");
        matrix.record("0B", "CID v0", Ok(()));
        matrix.record("0B", "Kubo gets v0", Ok(Duration::from_millis(1234)));
        matrix.record("1B", "Kubo gets v0", Err::<(), _>(anyhow!("no route")));
        matrix
    }

    #[test]
    fn the_table_keeps_the_order_and_leaves_gaps() {
        let table = matrix().table().to_string();
        let rows: Vec<Vec<&str>> =
            table.lines().map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect();
        assert_eq!(rows[0], ["case", "CID v0", "Kubo gets v0"]);
        assert_eq!(rows[2], ["0B", "ok", "1.23 s"]);
        assert_eq!(rows[3], ["1B", "", "FAILED"]);
    }

    #[test]
    fn one_failure_fails_the_run() {
        let logs = tempfile::tempdir().unwrap();
        let error = matrix().finish(true, logs.path()).err().unwrap();
        assert_eq!(error.to_string(), "1 of 3 checks failed");
    }

    #[test]
    fn a_run_without_checks_is_no_success() {
        let logs = tempfile::tempdir().unwrap();
        assert!(Matrix::new("case").finish(true, logs.path()).is_err());
    }
}
