//! Median, spread and slope: all the statistics that a table of this kind needs.

use std::fmt;

/// The same figure, taken several times.
#[derive(Debug, Clone, Default)]
pub(crate) struct Series(Vec<f64>);

impl Series {
    /// None yet.
    pub(crate) const fn new() -> Series {
        Series(Vec::new())
    }

    /// Adds one.
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
        self.0.sort_unstable_by(f64::total_cmp);
    }

    /// The middle one; NaN of none.
    pub(crate) fn median(&self) -> f64 {
        match (self.0.get(self.0.len().saturating_sub(1) / 2), self.0.get(self.0.len() / 2)) {
            (Some(below), Some(above)) => (below + above) / 2.0,
            _ => f64::NAN,
        }
    }
}

impl FromIterator<f64> for Series {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Series {
        let mut series = Series::default();
        values.into_iter().for_each(|value| series.push(value));
        series
    }
}

/// The median and, in brackets, the smallest and the largest: `1.21 (1.19-1.30)`.
impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(low), Some(high)) = (self.0.first(), self.0.last()) else { return f.write_str("-") };
        let digits = f.precision().unwrap_or(2);
        let middle = self.median();
        if self.0.len() == 1 {
            return write!(f, "{middle:.digits$}");
        }
        write!(f, "{middle:.digits$} ({low:.digits$}-{high:.digits$})")
    }
}

/// The exponent of growth: the slope of log(y) over log(x) by least squares.
pub(crate) fn exponent(points: &[(f64, f64)]) -> f64 {
    let logs: Vec<_> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    let count = logs.len() as f64;
    let mean = |pick: fn(&(f64, f64)) -> f64| logs.iter().map(pick).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let covariance: f64 = logs.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    covariance / logs.iter().map(|point| (point.0 - x).powi(2)).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_tells_its_middle_and_its_ends() {
        let series: Series = [3.0, 1.0, 2.0].into_iter().collect();
        assert_eq!(series.to_string(), "2.00 (1.00-3.00)");
        assert_eq!(format!("{series:.1}"), "2.0 (1.0-3.0)");
        let even: Series = [4.0, 1.0, 2.0, 3.0].into_iter().collect();
        assert_eq!(even.median(), 2.5);
        assert_eq!(Series::default().to_string(), "-");
    }

    #[test]
    fn what_doubles_with_its_cause_has_exponent_one() {
        let linear: Vec<_> = [1e3, 1e4, 1e5].map(|n| (n, 7.0 * n)).into();
        assert!((exponent(&linear) - 1.0).abs() < 1e-9);
        let quadratic: Vec<_> = [1e3, 1e4, 1e5].map(|n| (n, n * n)).into();
        assert!((exponent(&quadratic) - 2.0).abs() < 1e-9);
    }
}
