//! Medians, spreads and ratios of rounds.

/// The middle of several rounds' figures, and their extremes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
    /// How many there are.
    pub count: usize,
}

impl Spread {
    /// Of figures, those that are no numbers left out; `None` if none are left.
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = figures.into_iter().filter(|it| it.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let middle = sorted.len() / 2;
        let median = match sorted.len() % 2 {
            0 => (sorted[middle - 1] + sorted[middle]) / 2.0,
            _ => sorted[middle],
        };
        Some(Self {
            median,
            min,
            max,
            count: sorted.len(),
        })
    }
}

/// The median of the ratios of two targets' figures, each formed within one round: on a shared machine only what ran side by
/// side may be compared. Each figure comes with its round.
pub fn ratio(figures: &[(u32, f64)], to: &[(u32, f64)]) -> Option<f64> {
    let ratios = figures.iter().filter_map(|(round, figure)| {
        let (_, first) = to.iter().find(|(other, _)| other == round)?;
        (*first > 0.0).then(|| figure / first)
    });
    Some(Spread::of(ratios)?.median)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle_or_between_the_two_in_it() {
        let median = |figures: &[f64]| Spread::of(figures.iter().copied()).map(|it| it.median);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[f64::NAN, 1.0]), Some(1.0));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn ratios_are_formed_within_their_round() {
        // The machine was twice as slow in the second round, and the third was not measured for one of them.
        let first = [(1, 100.0), (2, 200.0), (3, 100.0)];
        let second = [(1, 50.0), (2, 100.0)];
        assert_eq!(ratio(&second, &first), Some(0.5));
        assert_eq!(ratio(&[], &first), None);
    }
}
