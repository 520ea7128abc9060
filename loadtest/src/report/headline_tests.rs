//! Each thing that stands against a headline, alone.

use history::Summary;

use super::*;
use crate::client::Kind;
use crate::measure::{Sample, Samples};
use crate::runner::session::Class;

fn sums(done: u64, more: &[(Class, u64)]) -> Sums {
    let mut samples = Samples::default();
    let sample = |class, micros: u64| Sample {
        kind: Kind::Adjust,
        class,
        response_ns: micros * 1_000,
        service_ns: micros * 1_000,
        lag_ns: None,
    };
    (0..done).for_each(|micros| samples.add(&sample(Class::Done, 100 + micros)));
    for (class, count) in more {
        (0..*count).for_each(|_| samples.add(&sample(*class, 1_000_000)));
    }
    samples.all()
}

fn verdict(summary: Summary) -> Verdict {
    Verdict { conclusion: Conclusion::Consistent, summary }
}

fn contended() -> Summary {
    Summary { contended_writes: 7, ..Summary::default() }
}

const KEPT: OpenLoop =
    OpenLoop { rate_per_s: Some(100.0), planned: 1_000, late: 10, late_ns_max: 2_000_000, not_sent: 0 };

fn judged(open_loop: Option<OpenLoop>, all: &Sums, verdict: &Verdict) -> Result<Headline, Vec<String>> {
    let open_loop = open_loop.as_ref();
    Evidence { open_loop, all, throughput_per_s: 123.0, verdict, ceiling_per_s: None, cut_short: None }
        .headline()
}

#[track_caller]
fn assert_against(open_loop: Option<OpenLoop>, all: &Sums, verdict: &Verdict, wanted: &str) {
    let why = judged(open_loop, all, verdict).expect_err("something stands against it");
    assert_eq!(why.len(), 1, "{why:?}");
    assert!(why[0].contains(wanted), "{wanted} in {why:?}");
    assert!(line(None, &why).starts_with("No headline: "));
}

#[test]
fn a_clean_run_has_one_and_a_closed_loop_shows_saturation_alone() {
    let (all, clean) = (sums(1_000, &[]), verdict(contended()));
    let closed = judged(None, &all, &clean).unwrap();
    assert_eq!((closed.shows, closed.p99_us), ("saturation", None));
    assert!(line(Some(&closed), &[]).contains("123 requests a second at saturation"));
    let open = judged(Some(KEPT), &all, &clean).unwrap();
    assert_eq!((open.shows, open.p99_9_us), ("latency", None));
    assert!(open.p99_us.is_some_and(|p99| (1_085.0..1_095.0).contains(&p99)), "{open:?}");
    let many = judged(Some(KEPT), &sums(10_000, &[]), &clean).unwrap();
    assert!(many.p99_9_us.is_some());
    assert!(line(Some(&many), &[]).contains("p99.9 "));
}

#[test]
fn load_that_was_not_as_offered_stands_against_it() {
    let (all, clean) = (sums(1_000, &[]), verdict(contended()));
    assert_against(Some(OpenLoop { not_sent: 1, ..KEPT }), &all, &clean, "1 of 1000 requests were dropped");
    assert_against(Some(OpenLoop { late: 11, ..KEPT }), &all, &clean, "the generator lagged: 11 of 1000");
}

#[test]
fn percentiles_that_were_not_measured_stand_against_it() {
    let clean = verdict(contended());
    assert_against(None, &sums(999, &[]), &clean, "999 samples are too few for the 99th");
    assert_against(None, &sums(5_000, &[(Class::Failed, 51)]), &clean, "51 of 5051 requests failed");
    let endless = crate::measure::latencies::EDGE_NS / 1_000;
    let mut samples = Samples::default();
    for number in 0..1_000 {
        let response_ns = if number < 980 { 1_000 } else { 2 * endless * 1_000 };
        let sample =
            Sample { kind: Kind::Read, class: Class::Done, response_ns, service_ns: 1_000, lag_ns: None };
        samples.add(&sample);
    }
    assert_against(None, &samples.all(), &clean, "the 99th percentile lies among");
}

#[test]
fn a_proof_that_is_none_stands_against_it() {
    let all = sums(1_000, &[]);
    assert_against(None, &all, &verdict(Summary::default()), "nothing contended");
    let unknown = Summary { unknown: 3, unknown_applied: 1, ..contended() };
    assert_against(None, &all, &verdict(unknown), "2 writes of unknown outcome leave room");
    let settled = Summary { unknown_repeated: 2, ..unknown };
    assert!(judged(None, &all, &verdict(settled)).is_ok());
    assert_against(
        None,
        &all,
        &verdict(Summary { levels_unread: 1, ..contended() }),
        "1 levels were not read",
    );
    let vacuous = Verdict { conclusion: Conclusion::Vacuous { why: Vec::new() }, summary: contended() };
    assert_against(None, &all, &vacuous, "the run proves nothing");
    let open = Verdict {
        conclusion: Conclusion::Indeterminate { why: String::new(), residual: history::Residual::default() },
        summary: contended(),
    };
    assert_against(None, &all, &open, "the proof has holes");
    let wrong = Conclusion::Violations { total: 1, by_kind: Vec::new(), listed: Vec::new() };
    assert_against(
        None,
        &all,
        &Verdict { conclusion: wrong, summary: contended() },
        "the answers were wrong",
    );
}

#[test]
fn a_run_that_was_cut_short_has_none() {
    let (all, clean) = (sums(1_000, &[]), verdict(contended()));
    let evidence = Evidence {
        open_loop: None,
        all: &all,
        throughput_per_s: 1.0,
        verdict: &clean,
        ceiling_per_s: None,
        cut_short: Some("the server died"),
    };
    assert_eq!(evidence.headline(), Err(vec!["the server died".to_owned()]));
}

#[test]
fn a_generator_near_its_ceiling_measures_itself() {
    let (all, clean) = (sums(1_000, &[]), verdict(contended()));
    let at = |ceiling| Evidence {
        open_loop: None,
        all: &all,
        throughput_per_s: 701.0,
        verdict: &clean,
        ceiling_per_s: Some(ceiling),
        cut_short: None,
    };
    let why = at(1_000.0).headline().expect_err("past 70%");
    assert_eq!(why, ["the generator was at 70% of its own ceiling of 1000 requests a second"]);
    assert!(at(1_002.0).headline().is_ok());
}
