//! The grammar of thresholds, and what is kept and missed at the bound.

use super::*;
use crate::measure::Sample;
use crate::runner::session::Class;

fn threshold(text: &str) -> Threshold {
    text.parse().expect(text)
}

fn error(text: &str) -> String {
    text.parse::<Threshold>().expect_err(text).to_string()
}

fn sample(kind: Kind, class: Class, micros: u64) -> Sample {
    Sample { kind, class, response_ns: micros * 1_000, service_ns: 0, lag_ns: None }
}

/// 1000 adjusts of 1 to 1000 us, of which ten failed, in a second.
fn samples() -> Samples {
    let mut samples = Samples::default();
    for micros in 1..=1_000 {
        let class = if micros % 100 == 0 { Class::Failed } else { Class::Done };
        samples.add(&sample(Kind::Adjust, class, micros));
    }
    samples
}

fn judged(text: &str, samples: &Samples, dropped: u64) -> Judged {
    threshold(text).judge(Measured { samples, elapsed: Duration::from_secs(1), dropped })
}

#[test]
fn every_metric_is_judged_by_its_own_figure() {
    let samples = samples();
    for kept in [
        "p50<510us",
        "p90 < 1ms",
        "p99<=0.995ms for adjust",
        "p99.9<1s",
        "max<1ms",
        "max<=999us",
        "errors<=1%",
        "errors<1.1%",
        "throughput>=990",
        "throughput>989/s for adjust",
    ] {
        assert!(judged(kept, &samples, 0).kept, "{kept}: {:?}", judged(kept, &samples, 0));
    }
    for missed in [
        "p50<490us",
        "p99<900us",
        "max<999us",
        "errors<1%",
        "errors<=0.9% for adjust",
        "throughput>990",
        "throughput>=991",
    ] {
        let judged = judged(missed, &samples, 0);
        assert!(!judged.kept && judged.why.is_none(), "{missed}: {judged:?}");
        assert!(judged.to_string().starts_with(&format!("Threshold {missed}: ")), "{judged}");
        assert!(judged.to_string().ends_with("MISSED"), "{judged}");
    }
}

#[test]
fn a_threshold_without_samples_is_missed() {
    for text in ["p99<1h for read", "max<1h for read", "errors<=100% for read", "throughput>=0 for read"] {
        let judged = judged(text, &samples(), 0);
        assert!(!judged.kept && judged.samples == 0, "{judged:?}");
        assert_eq!(judged.operation, Some("read"));
        assert!(judged.to_string().ends_with("MISSED (no samples)"), "{judged}");
    }
}

#[test]
fn times_that_nobody_could_measure_keep_no_bound() {
    let mut samples = samples();
    assert!(!judged("p50<1h", &samples, 1).kept);
    assert!(judged("errors<2%", &samples, 1).kept && judged("throughput>1", &samples, 1).kept);
    samples.add(&sample(Kind::Adjust, Class::TimedOut, 2_000));
    // One of 991 was given up: the longest is not known, the 99th percentile is.
    assert!(!judged("max<1h", &samples, 0).kept);
    assert!(judged("p99<1h", &samples, 0).kept);
}

#[test]
fn an_error_names_the_part_that_is_wrong() {
    for (text, wanted) in [
        ("p99", "`p99` compares nothing"),
        ("p98<1ms", "`p98` is no metric"),
        ("p99>1ms", "p99 has to be below its bound: `>` is the wrong way round"),
        ("throughput<=5", "throughput has to be above its bound: `<=` is the wrong way round"),
        ("p99<20", "`20` is no bound of p99: give a number and a unit"),
        ("p99<", "`` is no bound of p99"),
        ("errors<1", "`1` is no bound of errors: give a share"),
        ("errors<101%", "`101%` is no bound of errors"),
        ("throughput>x", "`x` is no bound of throughput"),
        ("p99<1ms for sale", "`sale` is no operation"),
        ("p99<1ms for", "`` is no operation"),
        ("p99<1ms for adjust read", "`adjust read` is no operation"),
        ("p99<1ms adjust", "`adjust` is no operation"),
    ] {
        assert!(error(text).starts_with(wanted), "{text}: {}", error(text));
    }
}

#[test]
fn the_old_options_are_shorthands() {
    let samples = samples();
    let measured = Measured { samples: &samples, elapsed: Duration::from_secs(1), dropped: 0 };
    assert!(Threshold::max_failed(1.0).judge(measured).kept);
    assert!(!Threshold::max_failed(0.9).judge(measured).kept);
    assert!(Threshold::min_throughput(990.0).judge(measured).kept);
    assert!(!Threshold::max_p99(Duration::from_micros(900)).judge(measured).kept);
    assert_eq!(Threshold::max_p99(Duration::ZERO).judge(measured).name, "max-p99 (us)");
}
