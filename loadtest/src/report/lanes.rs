//! A violation as a picture: a lane for each client, a bar for each operation from its sending to its answer, and what it did beside
//! it. The text says all of it, too; here it is seen who overlapped whom.

use std::collections::BTreeMap;

use history::Violation;
use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::{Cartesian2d, PathElement, Rectangle, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{BLACK, Color, TextStyle, WHITE};

use super::charts::{Area, COLOURS, FONT, Failed, WIDTH, draw, draw_mesh};
use super::document::{Bar, Chart, Lane};

/// The height of a bar with what is around it, and of what is above and below all of them.
const BAR_HEIGHT: u32 = 24;
const AROUND: u32 = 96;
/// Where the bars begin, from the left.
const NAMES_WIDTH: u32 = 90;
const MARGIN: u32 = 12;
/// The least that a bar is wide: what took no time is to be seen as well.
const BAR_WIDTH_MIN: i32 = 3;
const TEXT_SIZE: u32 = 12;
/// As much as a character of that size takes, on average and with a little to spare.
const CHARACTER_WIDTH: f64 = 6.6;
/// Longer ones are cut off: more than this has no room beside a bar in the middle.
const CHARACTERS_MAX: usize = 56;

/// The picture of a violation; none of a single operation, which overlaps nobody.
pub fn of(violation: &Violation) -> Option<Chart> {
    let start_ns = violation.bars.iter().map(|bar| bar.sent_ns).min()?;
    if violation.bars.len() < 2 {
        return None;
    }
    let micros = |ns: u64| ns.saturating_sub(start_ns) as f64 / 1e3;
    let mut lanes: BTreeMap<u32, Vec<Bar>> = BTreeMap::new();
    for bar in &violation.bars {
        let role = if bar.is_culprit { "culprit, " } else { "" };
        lanes.entry(bar.client).or_default().push(Bar {
            from: micros(bar.sent_ns),
            to: micros(bar.answered_ns),
            text: format!("{role}record {}: {}", bar.record, bar.what),
            marked: bar.is_culprit,
            open: bar.is_unknown,
        });
    }
    let lane = |(client, bars)| Lane { name: format!("client {client}"), bars };
    Some(Chart::Lanes {
        title: format!("{}: who asked what when", violation.kind),
        x: format!("us from {:.6} ms on", start_ns as f64 / 1e6),
        lanes: lanes.into_iter().map(lane).collect(),
    })
}

/// The chart as an `<svg>` element; nothing where there is nothing to draw.
pub(super) fn svg(title: &str, x: &str, lanes: &[Lane]) -> Option<String> {
    let bars = || lanes.iter().flat_map(|lane| &lane.bars);
    let count = u32::try_from(bars().count()).ok().filter(|count| *count > 0)?;
    let end = bars().map(|bar| bar.to).filter(|to| to.is_finite()).fold(0.0, f64::max);
    draw((WIDTH, count * BAR_HEIGHT + AROUND), |area| {
        let mut chart = ChartBuilder::on(area);
        chart.margin(MARGIN).caption(title, (FONT, 18));
        chart.x_label_area_size(44).y_label_area_size(NAMES_WIDTH);
        // A little room, so that what ends last is seen to end.
        let across = 0.0..(end * 1.02).max(1e-3);
        fill(area, chart.build_cartesian_2d(across, 0.0..f64::from(count))?, x, lanes)
    })
}

fn fill<'a>(
    area: &Area<'a>,
    mut chart: ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>,
    x: &str,
    lanes: &[Lane],
) -> Result<(), Failed> {
    draw_mesh(&mut chart, x)?;
    let (right, rows) = (chart.x_range().end, chart.y_range().end);
    let mut below = rows;
    for lane in lanes {
        let top = below;
        for bar in &lane.bars {
            below -= 1.0;
            let left_top = chart.backend_coord(&(bar.from, below + 0.85));
            let right_bottom = chart.backend_coord(&(bar.to, below + 0.15));
            place(area, bar, left_top, right_bottom)?;
        }
        chart.draw_series([PathElement::new([(0.0, below), (right, below)], BLACK.mix(0.25))])?;
        let (_, middle) = chart.backend_coord(&(0.0, f64::midpoint(top, below)));
        let beside = i32::try_from(MARGIN)?;
        area.draw_text(&lane.name, &(FONT, 13).into(), (beside, middle - 7))?;
    }
    Ok(())
}

/// Draws a bar, and its text where there is room: behind it, else before it, else in it.
fn place(area: &Area<'_>, bar: &Bar, left_top: (i32, i32), right_bottom: (i32, i32)) -> Result<(), Failed> {
    let ((left, top), (right, bottom)) = (left_top, right_bottom);
    let right = right.max(left + BAR_WIDTH_MIN);
    let colour = if bar.marked { COLOURS[1] } else { COLOURS[5] };
    area.draw(&Rectangle::new([(left, top), (right, bottom)], colour.mix(0.9).filled()))?;
    if bar.open {
        // Its end is when its client gave up, not when it was over.
        area.draw(&Rectangle::new([(left, top + 3), (right, bottom - 3)], WHITE.filled()))?;
    }
    area.draw(&Rectangle::new([(left, top), (right, bottom)], BLACK.mix(0.6)))?;
    let text = cut(&bar.text);
    #[expect(clippy::cast_possible_truncation, reason = "a few hundred pixels")]
    let width = (text.chars().count() as f64 * CHARACTER_WIDTH).ceil() as i32;
    let (first, last) = (i32::try_from(NAMES_WIDTH + MARGIN)?, i32::try_from(WIDTH - MARGIN)?);
    let (x, end) = if right + 5 + width <= last {
        (right + 5, HPos::Left)
    } else if left - 5 - width >= first {
        (left - 5, HPos::Right)
    } else {
        (left + 5, HPos::Left)
    };
    let style = TextStyle::from((FONT, TEXT_SIZE)).pos(Pos::new(end, VPos::Top));
    let y = i32::midpoint(top, bottom) - i32::try_from(TEXT_SIZE / 2)?;
    area.draw_text(&text, &style, (x, y))?;
    Ok(())
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(CHARACTERS_MAX) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use history::{Bar as Operation, Kind};

    use super::*;

    fn violation(bars: Vec<Operation>) -> Violation {
        Violation {
            kind: Kind::LostUpdate,
            key: None,
            headline: String::new(),
            explanation: Vec::new(),
            culprits: Vec::new(),
            timeline: Vec::new(),
            bars,
        }
    }

    fn operation(client: u32, sent_ns: u64, is_culprit: bool) -> Operation {
        Operation {
            record: usize::try_from(sent_ns).unwrap(),
            client,
            sent_ns,
            answered_ns: sent_ns + 500,
            what: "-3 -> <version> 2".to_owned(),
            is_culprit,
            is_unknown: !is_culprit,
        }
    }

    #[test]
    fn each_client_has_a_lane_and_each_operation_its_bar() {
        let bars = vec![operation(7, 2_000, true), operation(3, 2_500, true), operation(7, 4_000, false)];
        let Some(Chart::Lanes { title, x, lanes }) = of(&violation(bars)) else { panic!("a picture") };
        assert_eq!(title, "LOST UPDATE: who asked what when");
        assert_eq!(x, "us from 0.002000 ms on");
        let told: Vec<_> = lanes.iter().map(|lane| (lane.name.as_str(), lane.bars.len())).collect();
        assert_eq!(told, [("client 3", 1), ("client 7", 2)]);
        let first = &lanes[1].bars[0];
        assert_eq!((first.from, first.to, first.marked, first.open), (0.0, 0.5, true, false));
        assert_eq!(first.text, "culprit, record 2000: -3 -> <version> 2");
        let svg = svg(&title, &x, &lanes).expect("it can be drawn");
        assert!(
            svg.contains("client 7") && svg.contains("culprit, record 2500: -3 -&gt; &lt;version&gt; 2"),
            "{svg}"
        );
        // Three bars with their outlines, and one that is open.
        assert!(svg.matches("<rect").count() >= 7, "{svg}");
        assert_eq!(of(&violation(vec![operation(1, 1, true)])), None);
        assert_eq!(super::svg("", "", &[]), None);
    }

    /// What would leave the picture on the right stands before its bar.
    #[test]
    fn texts_stay_within_the_picture_and_lines_are_their_own() {
        let bars = (0..24).map(|at| operation(at % 5, u64::from(at) * 400, at % 2 == 0)).collect();
        let Some(Chart::Lanes { title, x, lanes }) = of(&violation(bars)) else { panic!("a picture") };
        let svg = svg(&title, &x, &lanes).expect("it can be drawn");
        let number = |element: &str, name: &str| -> f64 {
            let (_, rest) = element.split_once(&format!(" {name}=\"")).expect("it has one");
            rest.split('"').next().unwrap().parse().unwrap()
        };
        let (mut heights, mut before) = (Vec::new(), 0);
        for element in svg.split("<text").skip(1).filter(|element| element.contains("record ")) {
            let text = element.split('>').nth(1).unwrap().split('<').next().unwrap().trim();
            let text = text.replace("&gt;", ">").replace("&lt;", "<");
            let (x, y) = (number(element, "x"), number(element, "y"));
            let width = text.chars().count() as f64 * CHARACTER_WIDTH;
            let is_before = element.contains("text-anchor=\"end\"");
            let (from, to) = if is_before { (x - width, x) } else { (x, x + width) };
            assert!(from >= f64::from(NAMES_WIDTH) && to <= f64::from(WIDTH), "{from}..{to}: {text}");
            before += usize::from(is_before);
            heights.push(y);
        }
        assert_eq!(heights.len(), 24);
        assert!((1..24).contains(&before), "{before}");
        assert!(
            heights.windows(2).all(|pair| (pair[1] - pair[0]).abs() > f64::from(TEXT_SIZE)),
            "{heights:?}"
        );
    }
}
