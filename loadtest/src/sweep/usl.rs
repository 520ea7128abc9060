//! The Universal Scalability Law, fitted to throughput against concurrency.
//!
//! `X(N) = λN / (1 + σ(N-1) + κN(N-1))` (N. J. Gunther, "A General Theory of Computational Scalability Based on Rational
//! Functions", 2008): λ is the throughput of one, σ the share of the work that is done one at a time (contention), κ
//! the cost of each pair of workers keeping up with each other (coherence).
//!
//! Nonlinear least squares on the throughputs as they are, unweighted: Levenberg and Marquardt's method, started from the
//! law's linear form `N/X = (1 + σ(N-1) + κN(N-1))/λ`. σ and κ are not below zero: where the data would have it
//! otherwise, the best fit with the coefficient at zero is taken. Standard errors are those of the usual linearisation,
//! the root of the diagonal of `s²(JᵀJ)⁻¹`.

use serde::Serialize;

/// Fewer numbers of workers than this say nothing of three coefficients.
pub const CONCURRENCIES_MIN: usize = 4;

/// Steps of the iteration; it converges in a handful.
const STEPS_MAX: usize = 200;

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// N, the workers.
    pub concurrency: f64,
    /// X, what they did in a second.
    pub throughput: f64,
}

/// A coefficient and how well the data know it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Coefficient {
    /// The estimate.
    pub value: f64,
    /// Its standard error; absent where it has none, at its bound or with no measurement to spare.
    pub standard_error: Option<f64>,
    /// Whether the data can say: the standard error is smaller than the estimate.
    pub is_identified: bool,
}

/// A fitted law.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Fit {
    /// λ: the throughput of one worker.
    pub lambda: Coefficient,
    /// σ: contention.
    pub sigma: Coefficient,
    /// κ: coherence.
    pub kappa: Coefficient,
    /// The root of the mean square of what the law does not explain, in percent of the mean throughput.
    pub residual_percent: f64,
    /// The number of workers beyond which more of them do less: `√((1-σ)/κ)`, where σ and κ are known.
    pub peak_concurrency: Option<f64>,
}

type Vector = [f64; 3];
type Matrix = [Vector; 3];

/// Fits the law; `None` where the data cannot say: fewer than [`CONCURRENCIES_MIN`] different concurrencies, or
/// throughputs that are no positive numbers.
pub fn fit(points: &[Point]) -> Option<Fit> {
    let mut different: Vec<f64> = points.iter().map(|point| point.concurrency).collect();
    different.sort_unstable_by(f64::total_cmp);
    different.dedup();
    let is_usable = |point: &Point| point.throughput.is_finite() && point.throughput > 0.0;
    if different.len() < CONCURRENCIES_MIN || !points.iter().all(is_usable) {
        return None;
    }
    let start = linearised(points);
    // All three; then with one or both of σ and κ at zero. The first whose result is allowed and best wins.
    let free_sets = [[true, true, true], [true, true, false], [true, false, true], [true, false, false]];
    let fits = free_sets.map(|free| (free, descend(points, start, free)));
    let is_allowed = |at: &Vector| at[0] > 0.0 && at[1] >= 0.0 && at[2] >= 0.0;
    let cost = |at: &Vector| squares(points, at);
    let (free, at) = fits
        .into_iter()
        .filter(|(_, at)| is_allowed(at))
        .min_by(|(_, a), (_, b)| cost(a).total_cmp(&cost(b)))?;
    Some(describe(points, free, at))
}

/// The law.
pub fn law(at: &Vector, n: f64) -> f64 {
    at[0] * n / denominator(at, n)
}

impl Fit {
    /// The throughput that the fitted law gives `n` workers.
    pub fn at(&self, n: f64) -> f64 {
        law(&[self.lambda.value, self.sigma.value, self.kappa.value], n)
    }
}

fn denominator(at: &Vector, n: f64) -> f64 {
    1.0 + at[1] * (n - 1.0) + at[2] * n * (n - 1.0)
}

fn gradient(at: &Vector, n: f64) -> Vector {
    let d = denominator(at, n);
    let common = -at[0] * n * (n - 1.0) / (d * d);
    [n / d, common, common * n]
}

/// The sum of the squared residuals; infinite where the law has a pole among the data.
fn squares(points: &[Point], at: &Vector) -> f64 {
    if points.iter().any(|point| denominator(at, point.concurrency) <= 0.0) {
        return f64::INFINITY;
    }
    points.iter().map(|point| (point.throughput - law(at, point.concurrency)).powi(2)).sum()
}

/// Where to start: the linear form, weighted so that its residuals count as those of the throughput do.
fn linearised(points: &[Point]) -> Vector {
    let (mut normal, mut right) = (Matrix::default(), Vector::default());
    for &Point { concurrency: n, throughput: x } in points {
        let (row, y, weight) = ([1.0, n - 1.0, n * (n - 1.0)], n / x, (x * x / n).powi(2));
        accumulate(&mut normal, &mut right, &row, y, weight);
    }
    let fallback = points.iter().map(|point| point.throughput / point.concurrency).fold(0.0, f64::max);
    match solve(normal, right) {
        Some([a, b, c]) if a > 0.0 => [1.0 / a, (b / a).max(0.0), (c / a).max(0.0)],
        _ => [fallback, 0.1, 0.0],
    }
}

/// Levenberg and Marquardt from `start`, with the coefficients that are not `free` held at zero.
fn descend(points: &[Point], start: Vector, free: [bool; 3]) -> Vector {
    let held = |at: Vector| std::array::from_fn(|i| if free[i] { at[i] } else { 0.0 });
    let mut at: Vector = held(start);
    let (mut cost, mut damping) = (squares(points, &at), 1e-3);
    for _ in 0..STEPS_MAX {
        let (mut normal, right) = normal_equations(points, &at, free);
        for (i, row) in normal.iter_mut().enumerate() {
            row[i] *= 1.0 + damping;
        }
        let Some(step) = solve(normal, right) else { break };
        let next: Vector = held(std::array::from_fn(|i| at[i] + step[i]));
        let next_cost = squares(points, &next);
        if next_cost < cost {
            let gained = (cost - next_cost) / cost;
            (at, cost, damping) = (next, next_cost, (damping / 10.0).max(1e-12));
            if gained < 1e-14 {
                break;
            }
        } else {
            damping *= 10.0;
            if damping > 1e12 {
                break;
            }
        }
    }
    at
}

/// `JᵀJ` and `Jᵀr`; the rows of coefficients that are not free are those of the identity.
fn normal_equations(points: &[Point], at: &Vector, free: [bool; 3]) -> (Matrix, Vector) {
    let (mut normal, mut right) = (Matrix::default(), Vector::default());
    for &Point { concurrency: n, throughput: x } in points {
        let gradient = gradient(at, n);
        let row = std::array::from_fn(|i| if free[i] { gradient[i] } else { 0.0 });
        accumulate(&mut normal, &mut right, &row, x - law(at, n), 1.0);
    }
    for i in 0..3 {
        if !free[i] {
            normal[i][i] = 1.0;
        }
    }
    (normal, right)
}

fn accumulate(normal: &mut Matrix, right: &mut Vector, row: &Vector, y: f64, weight: f64) {
    for i in 0..3 {
        for j in 0..3 {
            normal[i][j] += weight * row[i] * row[j];
        }
        right[i] += weight * row[i] * y;
    }
}

fn describe(points: &[Point], free: [bool; 3], at: Vector) -> Fit {
    let count = points.len() as f64;
    let spare = points.len().saturating_sub(free.iter().filter(|free| **free).count());
    let rest = squares(points, &at);
    let variance = (spare > 0).then(|| rest / spare as f64);
    let (normal, _) = normal_equations(points, &at, free);
    let coefficient = |i: usize| {
        let unit = std::array::from_fn(|j| f64::from(u8::from(i == j)));
        let inverse = solve(normal, unit).map(|column| column[i]);
        let standard_error = variance
            .zip(inverse)
            .filter(|_| free[i])
            .map(|(variance, inverse)| (variance * inverse).sqrt())
            .filter(|error| error.is_finite());
        let is_identified = standard_error.is_some_and(|error| error < at[i]);
        Coefficient { value: at[i], standard_error, is_identified }
    };
    let (lambda, sigma, kappa) = (coefficient(0), coefficient(1), coefficient(2));
    let knows_peak = kappa.is_identified && sigma.value < 1.0;
    let mean = points.iter().map(|point| point.throughput).sum::<f64>() / count;
    Fit {
        lambda,
        sigma,
        kappa,
        residual_percent: (rest / count).sqrt() * 100.0 / mean,
        peak_concurrency: knows_peak.then(|| ((1.0 - sigma.value) / kappa.value).sqrt()),
    }
}

/// Solves a symmetric system by elimination, scaled by its diagonal first, since the coefficients differ by many orders
/// of magnitude; `None` if it is singular.
fn solve(matrix: Matrix, right: Vector) -> Option<Vector> {
    let scale: Vector = std::array::from_fn(|i| matrix[i][i].sqrt().recip());
    if scale.iter().any(|scale| !scale.is_finite()) {
        return None;
    }
    let mut rows: [[f64; 4]; 3] = std::array::from_fn(|i| {
        std::array::from_fn(|j| if j < 3 { matrix[i][j] * scale[i] * scale[j] } else { right[i] * scale[i] })
    });
    for column in 0..3 {
        let pivot = (column..3).max_by(|a, b| rows[*a][column].abs().total_cmp(&rows[*b][column].abs()))?;
        rows.swap(column, pivot);
        let pivot_row = rows[column];
        if pivot_row[column].abs() < 1e-12 {
            return None;
        }
        for row in (0..3).filter(|row| *row != column) {
            let factor = rows[row][column] / pivot_row[column];
            for (cell, above) in rows[row].iter_mut().zip(pivot_row) {
                *cell -= factor * above;
            }
        }
    }
    Some(std::array::from_fn(|i| rows[i][3] / rows[i][i] * scale[i]))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::Xoshiro256PlusPlus;
    use rand_distr::{Distribution, Normal};

    use super::*;

    const WORKERS: [f64; 6] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0];

    fn points(at: Vector, noise: f64, seed: u64) -> Vec<Point> {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let noise = Normal::new(0.0, noise).unwrap();
        let mut point = |n: f64| Point { concurrency: n, throughput: law(&at, n) + noise.sample(&mut rng) };
        WORKERS.iter().flat_map(|n| [*n; 3]).map(&mut point).collect()
    }

    #[test]
    fn exact_data_give_their_coefficients_back() {
        for at in [[1e6, 0.05, 0.001], [3e7, 0.9, 0.05], [120.0, 0.3, 0.0], [5e5, 0.0, 0.0], [1e6, 0.0, 0.01]]
        {
            let fit = fit(&points(at, 0.0, 1)).unwrap();
            for (found, wanted) in [fit.lambda, fit.sigma, fit.kappa].into_iter().zip(at) {
                let close = (found.value - wanted).abs() <= 1e-6 * wanted.max(1e-3);
                assert!(close, "{wanted}: {fit:?}");
            }
            assert!(fit.residual_percent < 1e-4, "{fit:?}");
        }
    }

    /// Of many noisy repetitions some 95% are within two standard errors of the truth, for each coefficient.
    #[test]
    fn standard_errors_are_what_they_say() {
        let at = [1e6, 0.08, 0.002];
        let runs = 400;
        let mut within = [0; 3];
        for seed in 0..runs {
            let fit = fit(&points(at, 5e4, seed)).unwrap();
            for (i, found) in [fit.lambda, fit.sigma, fit.kappa].into_iter().enumerate() {
                let error = found.standard_error.unwrap_or(f64::INFINITY);
                within[i] += u32::from((found.value - at[i]).abs() <= 2.0 * error);
            }
        }
        assert!(within.iter().all(|count| (360..=396).contains(count)), "{within:?} of {runs}");
    }

    #[test]
    fn the_peak_is_where_the_law_has_it() {
        let fit = fit(&points([1e6, 0.19, 0.01], 0.0, 1)).unwrap();
        assert!((fit.peak_concurrency.unwrap() - 9.0).abs() < 1e-3, "{fit:?}");
        assert!(fit.at(9.0) > fit.at(7.0) && fit.at(9.0) > fit.at(11.0));
    }

    #[test]
    fn what_the_data_cannot_say_is_not_said() {
        let few: Vec<Point> =
            points([1e6, 0.1, 0.0], 0.0, 1).into_iter().filter(|point| point.concurrency < 5.0).collect();
        assert_eq!(fit(&few), None);
        let dead: Vec<Point> = WORKERS.map(|n| Point { concurrency: n, throughput: 0.0 }).into();
        assert_eq!(fit(&dead), None);
        // A coherence cost far below the noise: it comes out at zero, or with an error larger than itself.
        let noisy = fit(&points([1e6, 0.5, 1e-7], 8e4, 3)).unwrap();
        assert!(!noisy.kappa.is_identified && noisy.peak_concurrency.is_none(), "{noisy:?}");
        assert!(noisy.lambda.is_identified && noisy.sigma.is_identified, "{noisy:?}");
    }

    #[test]
    fn superlinear_data_end_at_the_bound() {
        let faster: Vec<Point> =
            WORKERS.map(|n| Point { concurrency: n, throughput: 1e5 * n.powf(1.2) }).into();
        let fit = fit(&faster).unwrap();
        assert!(fit.sigma.value >= 0.0 && fit.kappa.value >= 0.0, "{fit:?}");
        assert_eq!(fit.sigma.standard_error, None);
    }
}
