//! Correction for many comparisons: S. Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian
//! Journal of Statistics 6 (1979). Whatever depends on whatever, the chance that *any* true "no difference" is called one
//! stays below the level.

/// Adjusts p-values for how many there are: one that is at most the level afterwards may be called a difference. In the
/// order given; the least is multiplied by the number of all, the next by one less, and none falls below one before it.
pub fn adjust(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut least = 0.0_f64;
    for (before, index) in order.into_iter().enumerate() {
        least = least.max(p_values[index] * (p_values.len() - before) as f64).min(1.0);
        adjusted[index] = least;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: 0.01 x 4, 0.02 x 3, 0.03 x 2, 0.04 x 1, none below the one before it.
    #[test]
    fn the_correction_is_that_of_the_paper() {
        let adjusted = adjust(&[0.04, 0.01, 0.03, 0.02]);
        for (actual, expected) in adjusted.iter().zip([0.06, 0.04, 0.06, 0.06]) {
            assert!((actual - expected).abs() < 1e-12, "{adjusted:?}");
        }
        assert_eq!(adjust(&[0.6, 0.7]), [1.0, 1.0]);
        assert_eq!(adjust(&[0.03]), [0.03]);
        assert!(adjust(&[]).is_empty());
    }
}
