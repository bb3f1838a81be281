//! What each row has to reach.

use crate::compare::{
    options::{Flavour, Program},
    report::Outcome,
    rows::{Better, ROUND_TRIP},
};

/// What an answer beside bulk transfers may take on top of two round trips.
const FAIR_MS: f64 = 10.0;
/// The clock of a slow path is right to a few milliseconds, which a count of round trips must not turn into one more.
const PART_OF_A_ROUND_TRIP: f64 = 0.25;
const MEBIBYTES_AT_ONCE_SECONDS: f64 = 0.42;
const IDLE_KIB: f64 = 10.0;
const CRATES: f64 = 120.0;

/// A goal beside what was reached.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Verdict {
    /// The goal in words.
    pub(crate) goal: String,
    /// Nothing when something that the goal compares with was not measured.
    pub(crate) met: Option<bool>,
}

/// A bound in the row's own unit, and how it is meant.
struct Bound {
    words: String,
    at: Option<f64>,
}

/// What a row's goal says about it; nothing for a row without one.
///
/// `all` are the rows of the same run. `fast_handshake`: Bowline was built with the faster provider.
pub(crate) fn judge(outcome: &Outcome, all: &[Outcome], fast_handshake: bool) -> Option<Verdict> {
    let bound = bound(outcome, all, fast_handshake)?;
    let ours = outcome.median(Program::Bowline);
    let met = ours.zip(bound.at).map(|(ours, bound)| match outcome.row.better {
        Better::Higher => ours >= bound,
        Better::Lower => ours <= bound,
    });
    Some(Verdict { goal: bound.words, met })
}

fn bound(outcome: &Outcome, all: &[Outcome], fast_handshake: bool) -> Option<Bound> {
    let limit = outcome.median(Program::Limit);
    let of_best = |factor: f64| (format!("≥ {factor} × the best"), outcome.best().map(|best| factor * best));
    let (words, at) = match outcome.row.id {
        "upload" | "download" => transfer(outcome),
        "cpu-send" | "cpu-recv" => ("≤ 1.2 × the limit".to_owned(), limit.map(|limit| 1.2 * limit)),
        "upload-1k" => of_best(4.0),
        "streams-16" | "streams-64" => {
            let single = all.iter().find(|one| one.row.id == "upload" && one.flavour == outcome.flavour);
            let single = single.and_then(|single| single.median(Program::Bowline));
            ("≥ 85 % of our upload".to_owned(), single.map(|single| 0.85 * single))
        }
        "fair-request" | "fair-request-down" => (format!("≤ {FAIR_MS} ms"), Some(FAIR_MS)),
        "fair-request-slow" | "fair-request-slow-down" => {
            let bound = 2.0 * ROUND_TRIP.as_secs_f64() * 1e3 + FAIR_MS;
            (format!("≤ {bound} ms"), Some(bound))
        }
        "ping" => ("≤ the limit + 10 µs".to_owned(), limit.map(|limit| limit + 10.0)),
        "connect-1" | "connect-16" => of_best(if fast_handshake { 2.5 } else { 1.6 }),
        "open-1" => of_best(1.8),
        "open-64" => of_best(4.0),
        "idle-memory" => (format!("≤ {IDLE_KIB} KiB"), Some(IDLE_KIB)),
        "cold-16m" => (format!("≤ {MEBIBYTES_AT_ONCE_SECONDS} s"), Some(MEBIBYTES_AT_ONCE_SECONDS)),
        "link-256m" => ("≥ 97 % of the limit".to_owned(), limit.map(|limit| 0.97 * limit)),
        "rtt-dial" => ("≤ 3".to_owned(), Some(3.0 + PART_OF_A_ROUND_TRIP)),
        "rtt-stream" => ("≤ 1".to_owned(), Some(1.0 + PART_OF_A_ROUND_TRIP)),
        "build" => {
            let theirs = outcome.median(Program::RustLibp2p);
            ("≤ 60 % of rust-libp2p".to_owned(), theirs.map(|theirs| 0.6 * theirs))
        }
        "build-crates" => (format!("≤ {CRATES}"), Some(CRATES)),
        _ => return None,
    };
    Some(Bound { words, at })
}

fn transfer(outcome: &Outcome) -> (String, Option<f64>) {
    let limit = outcome.median(Program::Limit);
    if outcome.flavour == Some(Flavour::OneThread) {
        return ("≥ 90 % of the limit".to_owned(), limit.map(|limit| 0.9 * limit));
    }
    let bound = limit.zip(outcome.best()).map(|(limit, best)| (0.8 * limit).min(1.8 * best));
    ("≥ 1.8 × the best or 80 % of the limit".to_owned(), bound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::rows;

    fn outcome(id: &str, flavour: Flavour, numbers: [Option<f64>; 4]) -> Outcome {
        let row = rows::find(id).unwrap();
        let mut outcome = Outcome::new(row, Some(flavour));
        for (program, number) in Program::ALL.into_iter().zip(numbers) {
            outcome.numbers.insert(program, number.into_iter().collect());
        }
        outcome
    }

    fn met(id: &str, flavour: Flavour, numbers: [Option<f64>; 4]) -> Option<bool> {
        judge(&outcome(id, flavour, numbers), &[], false).unwrap().met
    }

    #[test]
    fn one_thread_is_measured_by_the_pipe() {
        let near = [Some(900.0), Some(500.0), Some(1_900.0), Some(1_000.0)];
        assert_eq!(met("upload", Flavour::OneThread, near), Some(true));
        assert_eq!(met("upload", Flavour::OneThread, [Some(899.0), None, None, Some(1_000.0)]), Some(false));
        assert_eq!(met("upload", Flavour::OneThread, [Some(899.0), Some(1.0), None, None]), None);
    }

    #[test]
    fn many_threads_reach_the_lesser_of_two_bounds() {
        let others = |ours| [Some(ours), Some(500.0), Some(550.0), Some(1_200.0)];
        // 1.8 × 550 = 990 is more than 80 % of 1,200 = 960.
        assert_eq!(met("download", Flavour::Multi, others(960.0)), Some(true));
        assert_eq!(met("download", Flavour::Multi, others(959.0)), Some(false));
        let slow = [Some(721.0), Some(400.0), Some(300.0), Some(1_200.0)];
        assert_eq!(met("download", Flavour::Multi, slow), Some(true));
    }

    #[test]
    fn streams_are_measured_by_our_single_stream() {
        let single = outcome("upload", Flavour::Multi, [Some(1_000.0), None, None, None]);
        let other = outcome("upload", Flavour::OneThread, [Some(9_000.0), None, None, None]);
        let many = outcome("streams-64", Flavour::Multi, [Some(850.0), None, None, None]);
        let all = [other, single, many.clone()];
        assert_eq!(judge(&many, &all, false).unwrap().met, Some(true));
        assert_eq!(judge(&many, &[], false).unwrap().met, None);
    }

    #[test]
    fn less_is_better_where_it_is() {
        assert_eq!(met("ping", Flavour::Multi, [Some(41.0), None, None, Some(31.0)]), Some(true));
        assert_eq!(met("ping", Flavour::Multi, [Some(41.1), None, None, Some(31.0)]), Some(false));
        assert_eq!(met("cpu-send", Flavour::Multi, [Some(0.96), None, None, Some(0.8)]), Some(true));
        assert_eq!(met("rtt-dial", Flavour::Multi, [Some(3.04), None, None, None]), Some(true));
        assert_eq!(met("rtt-dial", Flavour::Multi, [Some(4.02), None, None, None]), Some(false));
    }

    #[test]
    fn the_faster_provider_has_to_be_faster() {
        let connects = outcome("connect-1", Flavour::Multi, [Some(1_200.0), Some(600.0), Some(300.0), None]);
        assert_eq!(judge(&connects, &[], false).unwrap().met, Some(true));
        assert_eq!(judge(&connects, &[], true).unwrap().met, Some(false));
    }

    #[test]
    fn rows_without_a_goal_have_none() {
        assert_eq!(judge(&outcome("duplex", Flavour::Multi, [Some(1.0); 4]), &[], false), None);
    }
}
