//! Results as tables and as JSON.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use anyhow::Result;
use comfy_table::{Cell, CellAlignment, Table, presets};
use serde::Serialize;

use crate::compare::{
    goals::{self, Verdict},
    options::{Flavour, Options, Program},
    rows::Row,
    statistics::{Spread, best, ratio},
};

/// What was measured for one row and flavour.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) row: &'static Row,
    /// Nothing for the rows that have none.
    pub(crate) flavour: Option<Flavour>,
    /// The runs of each program.
    pub(crate) numbers: BTreeMap<Program, Vec<f64>>,
    /// Why there are none.
    pub(crate) error: Option<String>,
}

/// A row as `--json` prints it.
#[derive(Debug, Serialize)]
struct JsonRow {
    row: &'static str,
    flavour: Option<&'static str>,
    unit: &'static str,
    bowline: Option<f64>,
    rust_libp2p: Option<f64>,
    go_libp2p: Option<f64>,
    limit: Option<f64>,
    best_ratio: Option<f64>,
    limit_ratio: Option<f64>,
}

impl Outcome {
    /// Nothing measured yet.
    pub(crate) fn new(row: &'static Row, flavour: Option<Flavour>) -> Self {
        Self { row, flavour, numbers: BTreeMap::new(), error: None }
    }

    /// A row that ended with an error.
    pub(crate) fn failed(row: &'static Row, flavour: Option<Flavour>, error: String) -> Self {
        Self { error: Some(error), ..Self::new(row, flavour) }
    }

    pub(crate) fn spread(&self, program: Program) -> Option<Spread> {
        Spread::of(self.numbers.get(&program)?)
    }

    pub(crate) fn median(&self, program: Program) -> Option<f64> {
        Some(self.spread(program)?.median)
    }

    /// The median of the better of the two other stacks.
    pub(crate) fn best(&self) -> Option<f64> {
        best(self.row.better, [Program::RustLibp2p, Program::GoLibp2p].map(|program| self.median(program)))
    }

    fn best_ratio(&self) -> Option<f64> {
        ratio(self.row.better, self.median(Program::Bowline), self.best())
    }

    fn limit_ratio(&self) -> Option<f64> {
        ratio(self.row.better, self.median(Program::Bowline), self.median(Program::Limit))
    }

    fn json(&self) -> JsonRow {
        JsonRow {
            row: self.row.id,
            flavour: self.flavour.map(Flavour::name),
            unit: self.row.unit,
            bowline: self.median(Program::Bowline),
            rust_libp2p: self.median(Program::RustLibp2p),
            go_libp2p: self.median(Program::GoLibp2p),
            limit: self.median(Program::Limit),
            best_ratio: self.best_ratio(),
            limit_ratio: self.limit_ratio(),
        }
    }
}

/// Everything that a comparison gave.
pub(crate) struct Report<'a> {
    pub(crate) outcomes: &'a [Outcome],
    pub(crate) options: &'a Options,
    /// About the machine and the run.
    pub(crate) notes: &'a [String],
}

impl Report<'_> {
    /// Prints it on standard output.
    pub(crate) fn print(&self) -> Result<()> {
        let mut out = io::stdout().lock();
        if self.options.json {
            for outcome in self.outcomes {
                writeln!(out, "{}", serde_json::to_string(&outcome.json())?)?;
            }
            return Ok(());
        }
        for flavour in [Some(Flavour::Multi), Some(Flavour::OneThread), None] {
            let rows: Vec<_> = self.outcomes.iter().filter(|one| one.flavour == flavour).collect();
            if !rows.is_empty() {
                writeln!(out, "## {}\n\n{}\n", flavour.map_or("builds", Flavour::name), self.table(&rows))?;
            }
        }
        writeln!(
            out,
            "medians of {} (lowest–highest); ratios above 1 are better for Bowline",
            self.options.runs
        )?;
        for note in self.notes {
            writeln!(out, "{note}")?;
        }
        Ok(())
    }

    fn table(&self, rows: &[&Outcome]) -> Table {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        table.set_header([
            "row",
            "unit",
            "Bowline",
            "rust-libp2p",
            "go-libp2p",
            "limit",
            "÷ best",
            "÷ limit",
            "goal",
            "",
        ]);
        for outcome in rows {
            let (goal, verdict) = self.verdict(outcome);
            let mut cells = vec![Cell::new(outcome.row.id), Cell::new(outcome.row.unit)];
            cells.extend(Program::ALL.map(|program| right(&shown(outcome.spread(program)))));
            cells.extend(
                [outcome.best_ratio(), outcome.limit_ratio()].map(|ratio| right(&shown_ratio(ratio))),
            );
            cells.extend([Cell::new(goal), Cell::new(verdict)]);
            table.add_row(cells);
        }
        table
    }

    fn verdict(&self, outcome: &Outcome) -> (String, &'static str) {
        let judged = self.judge(outcome);
        let goal = judged.as_ref().map_or(String::new(), |verdict| verdict.goal.clone());
        let word = match (&outcome.error, judged.and_then(|verdict| verdict.met)) {
            (Some(_), _) => "FAILED",
            (None, Some(true)) => "met",
            (None, Some(false)) => "MISSED",
            (None, None) if goal.is_empty() => "",
            (None, None) => "not judged",
        };
        (goal, word)
    }

    fn judge(&self, outcome: &Outcome) -> Option<Verdict> {
        goals::judge(outcome, self.outcomes, self.options.fast_handshake)
    }

    /// The rows whose goal was missed.
    pub(crate) fn missed(&self) -> Vec<String> {
        self.names(|outcome| self.judge(outcome).is_some_and(|verdict| verdict.met == Some(false)))
    }

    /// The rows that ended with an error.
    pub(crate) fn failed(&self) -> Vec<String> {
        self.names(|outcome| outcome.error.is_some())
    }

    fn names(&self, which: impl Fn(&Outcome) -> bool) -> Vec<String> {
        let name = |outcome: &Outcome| match outcome.flavour {
            Some(flavour) => format!("{} ({})", outcome.row.id, flavour.name()),
            None => outcome.row.id.to_owned(),
        };
        self.outcomes.iter().filter(|outcome| which(outcome)).map(name).collect()
    }
}

/// Says on standard error what goes on.
pub(crate) fn progress(what: &str) {
    // With nobody there to read it, the numbers are still worth having.
    let _ = writeln!(io::stderr(), "{what}");
}

fn shown(spread: Option<Spread>) -> String {
    spread.map_or_else(
        || "–".to_owned(),
        |spread| {
            let [lowest, median, highest] = [spread.lowest, spread.median, spread.highest].map(digits);
            format!("{median} ({lowest}–{highest})")
        },
    )
}

fn shown_ratio(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"))
}

/// Three digits or the whole number, whichever is more.
pub(crate) fn digits(number: f64) -> String {
    let decimals = match number.abs() {
        above if above >= 99.95 => 0,
        above if above >= 9.995 => 1,
        _ => 2,
    };
    format!("{number:.decimals$}")
}

fn right(text: &str) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::compare::rows;

    fn measured(id: &str, flavour: Option<Flavour>) -> Outcome {
        let mut outcome = Outcome::new(rows::find(id).unwrap(), flavour);
        outcome.numbers.insert(Program::Bowline, vec![40.0, 30.0, 50.0]);
        outcome.numbers.insert(Program::RustLibp2p, vec![72.0]);
        outcome.numbers.insert(Program::GoLibp2p, vec![60.0, 60.0]);
        outcome.numbers.insert(Program::Limit, vec![30.0]);
        outcome
    }

    #[test]
    fn a_row_is_one_object_with_these_keys_in_this_order() {
        let json = serde_json::to_string(&measured("ping", Some(Flavour::OneThread)).json()).unwrap();
        assert_eq!(
            json,
            r#"{"row":"ping","flavour":"one-thread","unit":"µs","bowline":40.0,"rust_libp2p":72.0,"go_libp2p":60.0,"limit":30.0,"best_ratio":1.5,"limit_ratio":0.75}"#
        );
    }

    #[test]
    fn what_does_not_apply_is_null() {
        let outcome = Outcome::failed(rows::find("build").unwrap(), None, "no compiler".to_owned());
        assert_eq!(
            serde_json::to_string(&outcome.json()).unwrap(),
            r#"{"row":"build","flavour":null,"unit":"s","bowline":null,"rust_libp2p":null,"go_libp2p":null,"limit":null,"best_ratio":null,"limit_ratio":null}"#
        );
    }

    #[test]
    fn tables_say_whether_goals_are_met() {
        let options = Options::try_parse_from(["compare"]).unwrap();
        let outcomes = [
            measured("ping", Some(Flavour::Multi)),
            measured("duplex", Some(Flavour::Multi)),
            measured("fair-request", Some(Flavour::Multi)),
            Outcome::failed(rows::find("open-1").unwrap(), Some(Flavour::Multi), "broken".to_owned()),
        ];
        let report = Report { outcomes: &outcomes, options: &options, notes: &[] };
        let table = report.table(&outcomes.iter().collect::<Vec<_>>()).to_string();
        let lines: Vec<&str> = table.lines().skip(2).collect();
        assert!(lines[0].contains("40.0 (30.0–50.0)") && lines[0].contains("| met"), "{table}");
        assert!(!lines[1].contains("met"), "{table}");
        assert!(lines[2].contains("MISSED"), "{table}");
        assert!(lines[3].contains("FAILED"), "{table}");
        assert_eq!(report.missed(), ["fair-request (multi)"]);
        assert_eq!(report.failed(), ["open-1 (multi)"]);
    }

    #[test]
    fn numbers_are_as_long_as_they_are_meant() {
        assert_eq!(["1234", "100", "45.7", "0.42"], [1234.4, 99.96, 45.67, 0.4211].map(digits).as_slice());
    }
}
