//! A distribution as the percentile text that HdrHistogram's tools plot (`.hgrm`): value in milliseconds, percentile, count so far,
//! 1/(1-percentile). Source of the format: `outputPercentileDistribution` of HdrHistogram.

use std::fmt::Write;

use super::document::Spectrum;

/// Steps for each halving of what is left to 100 %.
const TICKS: f64 = 5.0;

/// The file.
pub fn hgrm(spectrum: &Spectrum) -> String {
    let mut out =
        format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    let total = spectrum.total();
    let (mut seen, mut share, mut squares) = (0_u64, 0.0_f64, 0.0);
    for &(value, count) in &spectrum.counts {
        seen += count;
        squares += (value as f64 / 1e6).powi(2) * count as f64;
        let reached = seen as f64 / total as f64;
        // Writing to a String cannot fail.
        while share <= reached && share < 1.0 && seen < total {
            let _ = writeln!(
                out,
                "{:>12.3} {share:>14.12} {seen:>10} {:>14.2}",
                value as f64 / 1e6,
                1.0 / (1.0 - share)
            );
            share += (1.0 - share) / (2.0 * TICKS);
        }
    }
    let most = spectrum.counts.last().map_or(0.0, |(value, _)| *value as f64 / 1e6);
    if total > 0 {
        let _ = writeln!(out, "{most:>12.3} {:>14.12} {total:>10}", 1.0);
    }
    let mean = spectrum.counts.iter().map(|(value, count)| *value as f64 / 1e6 * *count as f64).sum::<f64>()
        / total.max(1) as f64;
    let deviation = (squares / total.max(1) as f64 - mean.powi(2)).max(0.0).sqrt();
    let _ = writeln!(out, "#[Mean    = {mean:>12.3}, StdDeviation   = {deviation:>12.3}]");
    let _ = writeln!(out, "#[Max     = {most:>12.3}, Total count    = {total:>12}]");
    let _ = writeln!(out, "#[Buckets = {:>12}, SubBuckets     = {:>12}]", spectrum.counts.len(), 1);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_ascend_to_all() {
        let counts: Vec<(u64, u64)> = (1..=1_000).map(|ms| (ms * 1_000_000, 1)).collect();
        let text = hgrm(&Spectrum { name: "all".into(), counts });
        let rows: Vec<Vec<f64>> = text
            .lines()
            .skip(2)
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split_whitespace().map(|cell| cell.parse().unwrap()).collect())
            .collect();
        assert!(rows.is_sorted_by(|a, b| a[0] <= b[0] && a[1] <= b[1] && a[2] <= b[2]), "{text}");
        assert_eq!(rows.last().unwrap()[..], [1_000.0, 1.0, 1_000.0]);
        for row in &rows {
            // The value at a percentile is the least that this share does not exceed.
            assert!((row[0] - (row[1] * 1_000.0).ceil().max(1.0)).abs() <= 1.0, "{row:?}");
        }
        assert!(text.contains("#[Mean    =      500.500"), "{text}");
        assert!(
            hgrm(&Spectrum { name: String::new(), counts: Vec::new() })
                .contains("Total count    =            0")
        );
    }
}
