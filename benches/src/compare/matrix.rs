//! Bowline as one side and each other stack as the other, where latency and windows count.

use std::io::{self, Write};

use anyhow::{Context, Result};
use comfy_table::{Table, presets};
use serde::Serialize;

use crate::compare::{
    measure::Run,
    options::{Executable, Flavour, Program},
    report::{digits, progress},
    rows::{self, Experiment, Job, Row, Source, Value, Way},
    series::Series,
    statistics::Spread,
};

/// The rows whose networks and sizes are used.
const ROWS: [&str; 2] = ["cold-16m", "link-256m"];

/// One of those rows, in one direction and flavour.
struct Group {
    row: &'static Row,
    experiment: Experiment,
    value: Value,
    way: Way,
    flavour: Flavour,
}

/// Two programs that meet, and what came of it.
struct Pair<'a> {
    client: &'a Executable,
    server: &'a Executable,
    numbers: Result<Vec<f64>>,
}

/// A line of the matrix, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Line {
    peer_matrix: &'static str,
    flavour: &'static str,
    direction: &'static str,
    client: &'static str,
    server: &'static str,
    unit: &'static str,
    median: Option<f64>,
    lowest: Option<f64>,
    highest: Option<f64>,
    error: Option<String>,
}

/// Runs all of it, prints it, and gives the number of pairs that failed.
pub(crate) async fn run(series: &mut Series<'_>) -> Result<usize> {
    let mut lines = Vec::new();
    for flavour in series.options.flavours() {
        for id in ROWS {
            for way in [Way::Upload, Way::Download] {
                let group = Group::new(id, way, flavour)?;
                let pairs = group.run(series).await;
                lines.extend(pairs.iter().map(|pair| group.line(pair)));
            }
        }
    }
    print(&lines, series.options.json)?;
    series.quiet.notes().iter().for_each(|note| progress(note));
    Ok(lines.iter().filter(|line| line.error.is_some()).count())
}

impl Group {
    fn new(id: &str, way: Way, flavour: Flavour) -> Result<Self> {
        let row = rows::find(id).with_context(|| format!("there is a row {id}"))?;
        let Source::Runs { experiment, value } = &row.source else {
            anyhow::bail!("the row {id} has runs of its own");
        };
        Ok(Self { row, experiment: turned(experiment, way), value: *value, way, flavour })
    }

    /// All pairs in turn; one that failed once is left alone.
    async fn run<'a>(&self, series: &mut Series<'a>) -> Vec<Pair<'a>> {
        let mut pairs = pairs(series.executables);
        let path = series.options.via.resolve(self.experiment.path);
        progress(&format!("{} {} {}: over {path}", self.flavour.name(), self.row.id, self.way.name()));
        for number in 1..=series.options.runs {
            for pair in &mut pairs {
                let Ok(numbers) = &mut pair.numbers else { continue };
                let what = format!(
                    "{} {} {} {number} {} to {}",
                    self.flavour.name(),
                    self.row.id,
                    self.way.name(),
                    pair.client.program.name(),
                    pair.server.program.name()
                );
                match self.number(series, pair.client, pair.server, &what).await {
                    Ok(number) => numbers.push(number),
                    Err(error) => {
                        progress(&format!("{what} FAILED: {error:#}"));
                        pair.numbers = Err(error);
                    }
                }
            }
        }
        pairs
    }

    async fn number(
        &self,
        series: &mut Series<'_>,
        client: &Executable,
        server: &Executable,
        what: &str,
    ) -> Result<f64> {
        let run = Run {
            server,
            client,
            job: series.options.job(self.experiment.job),
            extra: &[],
            flavour: self.flavour,
            path: series.options.via.resolve(self.experiment.path),
            deadline: self.experiment.deadline,
        };
        let sample = series.undisturbed(&run, what).await?;
        let number = (self.value)(&sample).context("the result lacks what the row shows")?;
        progress(&format!("{what}: {} {}", digits(number), self.row.unit));
        Ok(number)
    }

    fn line(&self, pair: &Pair<'_>) -> Line {
        let spread = pair.numbers.as_ref().ok().and_then(|numbers| Spread::of(numbers));
        Line {
            peer_matrix: self.row.id,
            flavour: self.flavour.name(),
            direction: self.way.name(),
            client: pair.client.program.name(),
            server: pair.server.program.name(),
            unit: self.row.unit,
            median: spread.map(|spread| spread.median),
            lowest: spread.map(|spread| spread.lowest),
            highest: spread.map(|spread| spread.highest),
            error: pair.numbers.as_ref().err().map(|error| format!("{error:#}")),
        }
    }
}

/// The same transfer in a direction of choice.
fn turned(experiment: &Experiment, way: Way) -> Experiment {
    let job = match experiment.job {
        Job::Transfer { bytes, buffer, streams, .. } => Job::Transfer { way, bytes, buffer, streams },
        other => other,
    };
    Experiment { job, ..experiment.clone() }
}

/// Every stack with itself, to compare with, and Bowline with every other one both ways.
fn pairs(executables: &[Executable]) -> Vec<Pair<'_>> {
    let stacks = || executables.iter().filter(|one| one.program != Program::Limit);
    let both = stacks().flat_map(|client| stacks().map(move |server| (client, server)));
    both.filter(|(client, server)| {
        client.program == server.program || [client.program, server.program].contains(&Program::Bowline)
    })
    .map(|(client, server)| Pair { client, server, numbers: Ok(Vec::new()) })
    .collect()
}

fn print(lines: &[Line], as_json: bool) -> Result<()> {
    let mut out = io::stdout().lock();
    if as_json {
        for line in lines {
            writeln!(out, "{}", serde_json::to_string(line)?)?;
        }
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["flavour", "row", "direction", "client", "server", "median", "spread", "unit"]);
    for line in lines {
        let [median, lowest, highest] = [line.median, line.lowest, line.highest]
            .map(|number| number.map_or_else(|| "FAILED".to_owned(), digits));
        let spread = format!("{lowest}–{highest}");
        table.add_row([
            line.flavour,
            line.peer_matrix,
            line.direction,
            line.client,
            line.server,
            &median,
            &spread,
            line.unit,
        ]);
    }
    writeln!(out, "{table}")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bowline_meets_everybody_on_both_sides() {
        let executables = Program::ALL.map(|program| Executable { program, path: program.name().into() });
        let met: Vec<String> = pairs(&executables)
            .iter()
            .map(|pair| format!("{}>{}", pair.client.program.name(), pair.server.program.name()))
            .collect();
        assert_eq!(
            met,
            [
                "Bowline>Bowline",
                "Bowline>rust-libp2p",
                "Bowline>go-libp2p",
                "rust-libp2p>Bowline",
                "rust-libp2p>rust-libp2p",
                "go-libp2p>Bowline",
                "go-libp2p>go-libp2p"
            ]
        );
    }

    #[test]
    fn the_other_direction_is_the_same_transfer() {
        let group = Group::new("cold-16m", Way::Download, Flavour::Multi).unwrap();
        assert_eq!(group.experiment.job.words()[..3], ["download", "--bytes", "16777216"]);
    }
}
