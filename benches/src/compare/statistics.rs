//! Medians, spreads and ratios.

use crate::compare::rows::Better;

/// What several runs of one thing gave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) lowest: f64,
    pub(crate) median: f64,
    pub(crate) highest: f64,
}

impl Spread {
    /// Of at least one number.
    pub(crate) fn of(numbers: &[f64]) -> Option<Self> {
        let mut sorted = numbers.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let upper = *sorted.get(middle)?;
        let median =
            if sorted.len().is_multiple_of(2) { f64::midpoint(sorted[middle - 1], upper) } else { upper };
        Some(Self { lowest: sorted[0], median, highest: sorted[sorted.len() - 1] })
    }
}

/// How many times as good as `theirs` ours is: above 1 is better for us, whichever way the unit improves.
///
/// Nothing where the ratio is no number that says something.
pub(crate) fn ratio(better: Better, ours: Option<f64>, theirs: Option<f64>) -> Option<f64> {
    let ratio = match better {
        Better::Higher => ours? / theirs?,
        Better::Lower => theirs? / ours?,
    };
    (ratio.is_finite() && ratio >= 0.0).then_some(ratio)
}

/// The better one of those that there are.
pub(crate) fn best(better: Better, of: impl IntoIterator<Item = Option<f64>>) -> Option<f64> {
    of.into_iter().flatten().reduce(|one, other| match better {
        Better::Higher => one.max(other),
        Better::Lower => one.min(other),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_does_not_move_with_one_bad_run() {
        let spread = Spread::of(&[300.0, 10.0, 310.0]).unwrap();
        assert_eq!((spread.lowest, spread.median, spread.highest), (10.0, 300.0, 310.0));
        assert_eq!(Spread::of(&[1.0, 3.0]).unwrap().median, 2.0);
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn above_one_is_better_for_us_in_every_unit() {
        assert_eq!(ratio(Better::Higher, Some(900.0), Some(600.0)), Some(1.5));
        assert_eq!(ratio(Better::Lower, Some(40.0), Some(60.0)), Some(1.5));
        assert_eq!(ratio(Better::Lower, None, Some(60.0)), None);
        assert_eq!(ratio(Better::Higher, Some(1.0), None), None);
        assert_eq!(ratio(Better::Higher, Some(1.0), Some(0.0)), None);
    }

    #[test]
    fn the_best_is_the_better_of_those_there_are() {
        assert_eq!(best(Better::Higher, [Some(1.0), Some(2.0)]), Some(2.0));
        assert_eq!(best(Better::Lower, [Some(1.0), Some(2.0)]), Some(1.0));
        assert_eq!(best(Better::Lower, [None, Some(2.0)]), Some(2.0));
        assert_eq!(best(Better::Lower, [None, None]), None);
    }
}
