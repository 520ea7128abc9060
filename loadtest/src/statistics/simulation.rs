//! What the statistics promise, simulated: seeded, so that every run of the tests sees the same numbers.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Exp1, StandardNormal, StudentT};

use super::LEVEL;
use super::contrast::Contrast;
use super::interval::{of_difference, of_median};
use super::judgement::{Better, Finding, Rules};
use super::permutation::{exchange_least, sign_flip, sign_flip_least, signed_rank};
use super::power::Noise;

type Rng = Xoshiro256PlusPlus;

/// Draws one value.
type Draw = fn(&mut Rng) -> f64;

const SIMULATIONS: u32 = 1_000;

/// Noise with a median of 0: what rounds on a busy machine look like, and worse.
const NOISES: [(&str, Draw); 5] = [
    ("normal", |rng| StandardNormal.sample(rng)),
    ("heavy tails", |rng| StudentT::new(3.0).expect("3 degrees").sample(rng)),
    ("one in ten five times as far", outliers),
    ("Laplace", |rng| {
        let (one, other): (f64, f64) = (Exp1.sample(rng), Exp1.sample(rng));
        one - other
    }),
    ("skewed", |rng| {
        let value: f64 = Exp1.sample(rng);
        value - std::f64::consts::LN_2
    }),
];

fn outliers(rng: &mut Rng) -> f64 {
    let value: f64 = StandardNormal.sample(rng);
    if rng.random_range(0..10) == 0 { 5.0 * value } else { value }
}

/// Rules with no margin, and with a seed of their own: a thousand comparisons must not share one bad draw of resamples.
fn rules(rng: &mut Rng) -> Rules {
    Rules { margin: 0.0, resamples: 200, seed: rng.random() }
}

fn draw(noise: Draw, count: usize, rng: &mut Rng) -> Vec<f64> {
    (0..count).map(|_| noise(rng)).collect()
}

fn share(of: impl Fn(&mut Rng) -> bool, seed: u64) -> f64 {
    let mut rng = Rng::seed_from_u64(seed);
    f64::from((0..SIMULATIONS).map(|_| u32::from(of(&mut rng))).sum::<u32>()) / f64::from(SIMULATIONS)
}

/// 95 % are claimed. Of 1 000 simulations, the share has a standard error of 0.7 %.
#[test]
fn the_interval_of_a_median_holds_it_as_often_as_it_says() {
    for (name, noise) in NOISES {
        for rounds in [6, 7, 8, 10, 12, 20] {
            let holds = |rng: &mut Rng| {
                let seed = rng.random();
                of_median(&draw(noise, rounds, rng), 800, seed).expect("enough").contains(0.0)
            };
            let coverage = share(holds, rounds as u64);
            assert!((0.935..0.995).contains(&coverage), "{name}, {rounds} rounds: {coverage}");
        }
    }
}

#[test]
fn the_interval_of_a_difference_holds_it_as_often_as_it_says() {
    for (name, noise) in NOISES {
        for (left, right) in [(6, 6), (6, 12), (10, 10), (12, 20)] {
            let holds = |rng: &mut Rng| {
                let (baseline, candidate) = (draw(noise, left, rng), draw(noise, right, rng));
                of_difference(&baseline, &candidate, 800, rng.random()).expect("enough").contains(0.0)
            };
            let coverage = share(holds, (left * right) as u64);
            assert!((0.935..0.999).contains(&coverage), "{name}, {left} and {right} rounds: {coverage}");
        }
    }
}

/// Rounds of a baseline, its copy and candidates that are all the same but for noise, against the baseline of the same round.
fn nothing_differs(noise: Draw, spread: f64, rounds: usize, others: usize, rng: &mut Rng) -> Vec<Contrast> {
    let baseline = draw(noise, rounds, rng);
    let contrast =
        |rng: &mut Rng| Contrast::Paired(baseline.iter().map(|base| spread * (noise(rng) - base)).collect());
    (0..others).map(|_| contrast(rng)).collect()
}

/// Of 1 000 comparisons of seven candidates that do not differ, in two gated figures each, at most 5 % fail, whatever the gate.
#[test]
fn the_gate_seldom_fires_where_nothing_differs() {
    for (name, noise) in [NOISES[0], NOISES[2], NOISES[4]] {
        for (gate, spread, rounds) in [(0.0, 0.02, 9), (0.1, 0.2, 12)] {
            let fires = |rng: &mut Rng| {
                [Better::Lower, Better::Higher].into_iter().any(|better| {
                    let mut contrasts = nothing_differs(noise, spread, rounds, 8, rng);
                    let control = contrasts.pop().expect("the copy");
                    let judgement = rules(rng).judge(better, &contrasts, Some(&control));
                    judgement.candidates.iter().flatten().any(|judged| judgement.breaks(gate, judged))
                })
            };
            let failed = share(fires, 5);
            assert!(failed <= 0.05, "{name}, gate {gate}, spread {spread}, {rounds} rounds: {failed}");
        }
    }
}

/// The words, too: any of seven that do not differ is called different in at most 5 % of 1 000 comparisons.
#[test]
fn differences_are_seldom_claimed_where_there_are_none() {
    for (name, noise) in NOISES {
        let claims = |rng: &mut Rng| {
            let contrasts = nothing_differs(noise, 0.05, 12, 7, rng);
            let judgement = rules(rng).judge(Better::Lower, &contrasts, None);
            judgement
                .candidates
                .iter()
                .flatten()
                .any(|judged| matches!(judged.finding, Finding::Slower | Finding::Faster))
        };
        let claimed = share(claims, 9);
        assert!(claimed <= 0.05, "{name}: {claimed}");
    }
}

/// At the minimal detectable effect, it is detected in 80 % of the cases or a few more, within the error of 1 000 simulations
/// (1.3 %).
#[test]
fn the_minimal_detectable_effect_is_detected_as_often_as_it_says() {
    for (rounds, others) in [(6, 1), (7, 1), (8, 1), (12, 1), (7, 3), (8, 6), (9, 7), (10, 7), (12, 7)] {
        let noise = Noise {
            standard_error: (2.0 / rounds as f64).sqrt(),
            degrees: rounds as f64 - 1.0,
            degrees_least: rounds as f64 - 1.0,
            signs: Some(rounds),
            p_least: sign_flip_least(rounds),
        };
        let effect = noise.minimal_detectable(others).expect("enough rounds");
        let detects = |rng: &mut Rng| {
            let mut contrasts = nothing_differs(NOISES[0].1, 1.0, rounds, others, rng);
            let Some(Contrast::Paired(first)) = contrasts.first_mut() else { unreachable!("paired") };
            for ratio in first {
                *ratio += effect;
            }
            let judgement = rules(rng).judge(Better::Lower, &contrasts, None);
            judgement.candidates[0].as_ref().is_some_and(|judged| judged.finding == Finding::Slower)
        };
        let power = share(detects, 3);
        println!("{rounds} rounds, {others}: effect {effect:.3} power {power}");
        assert!((0.78..0.93).contains(&power), "{rounds} rounds, {others} candidates: {power}");
    }
}

/// On noise with outliers a test on ranks detects more than one on the values does: here, 1.3 standard deviations of the rounds that
/// were not disturbed.
#[test]
fn ranks_keep_outliers_from_drowning_the_rest() {
    let detects = |test: fn(&[f64], u64) -> f64| {
        let detects = |rng: &mut Rng| {
            let ratios: Vec<f64> = draw(outliers, 12, rng).iter().map(|value| value + 1.3).collect();
            test(&ratios, 0) <= LEVEL
        };
        share(detects, 3)
    };
    let (on_ranks, on_values) = (detects(signed_rank), detects(sign_flip));
    println!("on ranks {on_ranks}, on values {on_values}");
    assert!(on_ranks > on_values + 0.05, "{on_ranks} and {on_values}");
}

/// The same of sides that ran apart.
#[test]
fn the_minimal_detectable_effect_of_sides_apart_is_detected_as_often_as_it_says() {
    for (left, right, others) in [(6, 6, 1), (6, 8, 3), (8, 8, 7), (7, 7, 3)] {
        let noise = Noise {
            standard_error: (1.0 / left as f64 + 1.0 / right as f64).sqrt(),
            degrees: (left + right) as f64 - 2.0,
            degrees_least: left.min(right) as f64 - 1.0,
            signs: None,
            p_least: exchange_least(left, right),
        };
        let effect = noise.minimal_detectable(others).expect("enough rounds");
        let detects = |rng: &mut Rng| {
            let side = |rng: &mut Rng, shift: f64| Contrast::Unpaired {
                baseline: draw(NOISES[0].1, left, rng),
                candidate: draw(NOISES[0].1, right, rng).iter().map(|value| value + shift).collect(),
            };
            let mut contrasts = vec![side(rng, effect)];
            contrasts.extend((1..others).map(|_| side(rng, 0.0)));
            let judgement = rules(rng).judge(Better::Lower, &contrasts, None);
            judgement.candidates[0].as_ref().is_some_and(|judged| judged.finding == Finding::Slower)
        };
        let power = share(detects, 3);
        println!("{left}+{right} rounds, {others}: effect {effect:.3} power {power}");
        assert!((0.78..0.93).contains(&power), "{left} and {right} rounds, {others} candidates: {power}");
    }
}
