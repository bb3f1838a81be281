//! Runs of several programs in turn, on a quiet machine.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};

use crate::compare::{
    builds,
    machine::wait_for_an_idle_second,
    measure::{Run, Sample},
    options::{Executable, Flavour, Options, Program},
    report::{Outcome, digits, progress},
    rows::{self, Experiment, LimitJob, Row, Source, Value},
};

/// A disturbed run is repeated so often, and then the least disturbed one counts.
const REPEATS: u32 = 5;

/// The samples of each program.
type Samples = BTreeMap<Program, Vec<Sample>>;

/// A comparison under way.
pub(crate) struct Series<'a> {
    pub(crate) options: &'a Options,
    pub(crate) executables: &'a [Executable],
    pub(crate) quiet: Quiet,
}

/// How quiet the machine was.
#[derive(Debug, Default)]
pub(crate) struct Quiet {
    runs: u32,
    repeated: u32,
    most_foreign: f64,
    most_stolen: f64,
    still_disturbed: BTreeSet<String>,
    /// Waiting for an idle second was given up.
    is_hopeless: bool,
}

impl Series<'_> {
    /// Measures every row that was asked for; one that fails is told and does not keep the others from going on.
    pub(crate) async fn rows(&mut self) -> Vec<Outcome> {
        let wanted = self.options.rows();
        let mut outcomes = Vec::new();
        for flavour in self.options.flavours() {
            for row in rows::ROWS {
                let Source::Runs { experiment, value } = &row.source else { continue };
                // Some rows look at the runs of another one.
                let fed: Vec<_> = wanted.iter().filter_map(|one| Some((*one, feeds(row, one)?))).collect();
                if fed.is_empty() {
                    continue;
                }
                let samples = self.take_turns(row, experiment, *value, flavour).await;
                if let Err(error) = &samples {
                    progress(&format!("{} {} FAILED: {error:#}", flavour.name(), row.id));
                }
                let outcome = |(row, value)| outcome(row, value, flavour, &samples);
                outcomes.extend(fed.into_iter().map(outcome));
            }
        }
        outcomes.extend(builds::rows(self.options, &wanted).await);
        // The builds, which have no flavour, come last.
        outcomes.sort_by_key(|one| (one.flavour.is_none(), one.flavour, position(one.row)));
        outcomes
    }

    /// A B C D A B C D …: what changes on the machine meanwhile changes for all of them.
    async fn take_turns(
        &mut self,
        row: &Row,
        experiment: &Experiment,
        value: Value,
        flavour: Flavour,
    ) -> Result<Samples> {
        let path = self.options.via.resolve(experiment.path);
        progress(&format!("{} {}: over {path}", flavour.name(), row.id));
        let mut samples = Samples::new();
        for number in 1..=self.options.runs {
            for executable in self.executables {
                let extra: &[&str] = match (executable.program, experiment.limit) {
                    (Program::Limit, LimitJob::Absent) => continue,
                    (Program::Limit, LimitJob::Plain) => &["--plain"],
                    _ => &[],
                };
                let run = Run {
                    server: executable,
                    client: executable,
                    job: self.options.job(experiment.job),
                    extra,
                    flavour,
                    path,
                    deadline: experiment.deadline,
                };
                let what = format!("{} {} {number} {}", flavour.name(), row.id, executable.program.name());
                let sample = self.undisturbed(&run, &what).await?;
                say(&what, row, value(&sample), &sample);
                samples.entry(executable.program).or_default().push(sample);
            }
        }
        Ok(samples)
    }

    /// Runs until nobody else disturbs.
    pub(crate) async fn undisturbed(&mut self, run: &Run<'_>, what: &str) -> Result<Sample> {
        let mut least: Option<Sample> = None;
        for _ in 0..=REPEATS {
            self.wait().await?;
            let sample = run.once().await?;
            if !sample.disturbed || self.options.smoke {
                return Ok(self.quiet.note(sample));
            }
            progress(&format!("{what}: {:.2} of a core was busy with something else", sample.foreign));
            self.quiet.repeated += 1;
            if least.as_ref().is_none_or(|least| sample.foreign < least.foreign) {
                least = Some(sample);
            }
        }
        progress(&format!("{what}: still disturbed; the least disturbed run counts"));
        self.quiet.still_disturbed.insert(what.to_owned());
        Ok(self.quiet.note(least.context("at least one run was tried")?))
    }

    /// Waits for an idle second, unless that was in vain before: once is enough.
    async fn wait(&mut self) -> Result<()> {
        if self.options.smoke {
            return Ok(());
        }
        ensure!(!self.quiet.is_hopeless, "the machine does not become idle");
        let idle = wait_for_an_idle_second().await;
        self.quiet.is_hopeless = idle.is_err();
        idle
    }
}

impl Quiet {
    fn note(&mut self, sample: Sample) -> Sample {
        self.runs += 1;
        self.most_foreign = self.most_foreign.max(sample.foreign);
        self.most_stolen = self.most_stolen.max(sample.stolen);
        sample
    }

    /// In words.
    pub(crate) fn notes(&self) -> Vec<String> {
        if self.runs == 0 {
            return Vec::new();
        }
        let mut notes = vec![format!(
            "{} runs, {} repeated because of foreign work; most foreign CPU in a run that counts: {:.2} of a core, \
             most stolen by the host: {:.2}",
            self.runs, self.repeated, self.most_foreign, self.most_stolen
        )];
        for run in &self.still_disturbed {
            notes.push(format!("disturbed each time: {run}"));
        }
        notes
    }
}

/// How `wanted` reads the runs of `row`; nothing when it does not.
fn feeds(row: &Row, wanted: &Row) -> Option<Value> {
    match &wanted.source {
        Source::Runs { value, .. } if wanted.id == row.id => Some(*value),
        Source::SameRunsAs { row: source, value } if *source == row.id => Some(*value),
        _ => None,
    }
}

fn outcome(row: &'static Row, value: Value, flavour: Flavour, samples: &Result<Samples>) -> Outcome {
    let numbers = match samples {
        Ok(samples) => read(samples, value),
        Err(error) => Err(format!("{error:#}")),
    };
    match numbers {
        Ok(numbers) => Outcome { numbers, ..Outcome::new(row, Some(flavour)) },
        Err(error) => Outcome::failed(row, Some(flavour), error),
    }
}

fn read(samples: &Samples, value: Value) -> Result<BTreeMap<Program, Vec<f64>>, String> {
    let number = |program: &Program, sample: &Sample| {
        let number = value(sample).filter(|number| number.is_finite());
        number.ok_or_else(|| format!("{}: its result lacks what the row shows", program.name()))
    };
    let numbers = |(program, samples): (&Program, &Vec<Sample>)| {
        let numbers: Result<_, _> = samples.iter().map(|sample| number(program, sample)).collect();
        Ok((*program, numbers?))
    };
    samples.iter().map(numbers).collect()
}

fn say(what: &str, row: &Row, number: Option<f64>, sample: &Sample) {
    let number = number.map_or_else(|| "–".to_owned(), digits);
    progress(&format!(
        "{what}: {number} {}; CPU {:.2} + {:.2} s, foreign {:.2}, stolen {:.2}",
        row.unit, sample.client_cpu_seconds, sample.server_cpu_seconds, sample.foreign, sample.stolen
    ));
}

fn position(row: &Row) -> usize {
    rows::ROWS.iter().position(|one| one.id == row.id).unwrap_or(rows::ROWS.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_the_same_runs_are_read_from_the_same_samples() {
        let (upload, send) = (rows::find("upload").unwrap(), rows::find("cpu-send").unwrap());
        assert!(feeds(upload, upload).is_some());
        assert!(feeds(upload, send).is_some());
        assert!(feeds(upload, rows::find("download").unwrap()).is_none());
        assert!(feeds(send, send).is_none());
    }

    #[test]
    fn a_result_that_lacks_its_number_fails_the_row() {
        let ping = rows::find("ping").unwrap();
        let value = feeds(ping, ping).unwrap();
        let mut sample = Sample::default();
        let failed =
            outcome(ping, value, Flavour::Multi, &Ok([(Program::GoLibp2p, vec![sample.clone()])].into()));
        assert!(failed.error.unwrap().contains("go-libp2p"));
        sample.result.p50_us = Some(38.0);
        let good = outcome(ping, value, Flavour::Multi, &Ok([(Program::GoLibp2p, vec![sample])].into()));
        assert_eq!((good.error.as_ref(), good.median(Program::GoLibp2p)), (None, Some(38.0)));
    }

    #[test]
    fn what_disturbed_is_told() {
        let mut quiet = Quiet::default();
        assert!(quiet.notes().is_empty());
        quiet.note(Sample { foreign: 0.5, ..Sample::default() });
        quiet.still_disturbed.insert("multi ping 1 Bowline".to_owned());
        let notes = quiet.notes();
        assert!(
            notes[0].contains("0.50 of a core") && notes[1].contains("multi ping 1 Bowline"),
            "{notes:?}"
        );
    }
}
