//! Charts as SVG, drawn by plotters.
//!
//! Series differ in colour (the palette of Okabe and Ito, which colour-blind readers can tell apart); axes are linear from zero, or
//! logarithmic where equal distances are to be equal factors.

use std::ops::Range;

use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::Shift;
use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::drawing::DrawingArea;
use plotters::prelude::{
    Cartesian2d, Circle, ErrorBar, IntoDrawingArea, IntoLogRange, LineSeries, PathElement, RGBColor,
    SVGBackend, SeriesLabelPosition, Text,
};
use plotters::style::{BLACK, Color, WHITE};

use super::document::{Axis, Chart, Document, Interval, Point, Series};
use super::lanes;

/// Blue, vermilion, green, purple, orange, sky blue, black, grey.
pub(super) const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    BLACK,
    RGBColor(127, 127, 127),
];

pub(super) const WIDTH: u32 = 860;
const HEIGHT: u32 = 420;
/// The height of a line of text above charts that stand side by side.
const ABOUT_HEIGHT: u32 = 22;
/// Up to this ratio of the largest to the least, intervals are drawn on a linear axis.
const LINEAR_RATIO_MAX: f64 = 8.0;
/// Lines of more points than this have no dots.
const DOTS_MAX: usize = 40;
pub(super) const FONT: &str = "sans-serif";
/// The height of one interval, and of what is above and below them all.
const INTERVAL_HEIGHT: usize = 36;
const INTERVALS_AROUND: usize = 96;

/// What plotters says when it cannot draw: a range that is none, for instance. Into memory nothing else can fail.
pub(super) type Failed = Box<dyn std::error::Error>;
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// The chart as an `<svg>` element; nothing where there is nothing to draw.
pub fn svg(chart: &Chart) -> Option<String> {
    match chart {
        Chart::Lines { title, x, y, mark, series } => {
            let look = Look { x, y, mark: mark.as_ref(), x_text: &number };
            let scale = Scale::of(&look, series)?;
            draw((WIDTH, HEIGHT), |area| lines(area, title, &look, scale, series))
        }
        Chart::Intervals { title, x, reference, rows } => intervals(title, x, *reference, rows),
        Chart::Lanes { title, x, lanes } => lanes::svg(title, x, lanes),
    }
}

/// Charts of lines side by side, below lines of text that say what they are of.
pub fn side_by_side(about: &[String], charts: &[Chart]) -> Option<String> {
    let drawable: Vec<_> = charts
        .iter()
        .filter_map(|chart| {
            let Chart::Lines { title, x, y, mark, series } = chart else { return None };
            let look = Look { x, y, mark: mark.as_ref(), x_text: &number };
            Some((title, Scale::of(&look, series)?, look, series))
        })
        .collect();
    let columns = u32::try_from(drawable.len()).ok().filter(|columns| *columns > 0)?;
    let top = u32::try_from(about.len()).ok()? * ABOUT_HEIGHT + ABOUT_HEIGHT / 2;
    draw((columns * WIDTH, top + HEIGHT), |area| {
        for (line, text) in (0..).zip(about) {
            let y = i32::try_from(line * ABOUT_HEIGHT + ABOUT_HEIGHT / 2)?;
            area.draw_text(text, &(FONT, 14).into(), (16, y))?;
        }
        let (_, below) = area.split_vertically(top);
        let places = below.split_evenly((1, columns as usize));
        for (area, (title, scale, look, series)) in places.iter().zip(drawable) {
            lines(area, title, &look, scale, series)?;
        }
        Ok(())
    })
}

/// Distributions against the share of all that does not exceed them, its distance to 100 % on a logarithmic axis: the tail is what a
/// reader of latencies looks for (Tene's percentile spectrum).
pub fn spectra(document: &Document, title: &str, names: &[String]) -> Option<String> {
    let series: Vec<Series> = names
        .iter()
        .filter_map(|name| document.spectrum(name))
        .filter(|spectrum| !spectrum.counts.is_empty())
        .map(|spectrum| {
            let total = spectrum.total() as f64;
            let mut seen = 0;
            let points = spectrum.counts.iter().map(|&(value, count)| {
                // The share below the middle of the bucket: the last one is never all of them, which no logarithm shows.
                let share = (seen as f64 + count as f64 / 2.0) / total;
                seen += count;
                let y = value.max(1) as f64 / 1e6;
                Point { x: 1.0 / (1.0 - share), y, low: y, high: y }
            });
            Series { name: spectrum.name.clone(), points: points.collect(), curve: Vec::new() }
        })
        .collect();
    let x = Axis { label: "percentile".to_owned(), logarithmic: true };
    let y = Axis { label: "ms".to_owned(), logarithmic: true };
    let percentile = |value: f64| {
        // As many places as there are nines.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few places")]
        let places = (value.log10() - 2.0).clamp(0.0, 9.0).ceil() as usize;
        format!("{:.places$}%", 100.0 - 100.0 / value)
    };
    let look = Look { x: &x, y: &y, mark: None, x_text: &percentile };
    let scale = Scale::of(&look, &series)?;
    draw((WIDTH, HEIGHT), |area| lines(area, title, &look, scale, &series))
}

/// What axes are called, and how the numbers of the horizontal one are written.
struct Look<'a> {
    x: &'a Axis,
    y: &'a Axis,
    mark: Option<&'a (f64, String)>,
    x_text: &'a dyn Fn(f64) -> String,
}

/// What is to be seen of each axis.
struct Scale {
    across: Range<f64>,
    up: Range<f64>,
}

impl Scale {
    /// All that there is; nothing if there is none.
    fn of(look: &Look<'_>, series: &[Series]) -> Option<Self> {
        let points = || series.iter().flat_map(|series| &series.points);
        let curves = || series.iter().flat_map(|series| &series.curve);
        let across = range(points().map(|point| point.x), look.x.logarithmic)?;
        let heights = points().flat_map(|point| [point.low, point.high]).chain(curves().map(|(_, y)| *y));
        let mut up = range(heights, look.y.logarithmic)?;
        if series.len() > 1 {
            // Room for the legend above all that is drawn.
            up.end = if look.y.logarithmic { up.end * (up.end / up.start).powf(0.35) } else { up.end * 1.35 };
        }
        Some(Self { across, up })
    }
}

fn lines(
    area: &Area<'_>,
    title: &str,
    look: &Look<'_>,
    Scale { across, up }: Scale,
    series: &[Series],
) -> Result<(), Failed> {
    let mut chart = ChartBuilder::on(area);
    chart.margin(12).caption(title, (FONT, 18)).x_label_area_size(44).y_label_area_size(70);
    match (look.x.logarithmic, look.y.logarithmic) {
        (true, true) => fill(chart.build_cartesian_2d(across.log_scale(), up.log_scale())?, look, series),
        (true, false) => fill(chart.build_cartesian_2d(across.log_scale(), up)?, look, series),
        (false, true) => fill(chart.build_cartesian_2d(across, up.log_scale())?, look, series),
        (false, false) => fill(chart.build_cartesian_2d(across, up)?, look, series),
    }
}

fn fill<'a, X, Y>(
    mut chart: ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>,
    look: &Look<'_>,
    series: &[Series],
) -> Result<(), Failed>
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    chart
        .configure_mesh()
        .x_desc(look.x.label.as_str())
        .y_desc(look.y.label.as_str())
        .x_label_formatter(&|value| (look.x_text)(*value))
        .y_label_formatter(&|value| number(*value))
        .label_style((FONT, 13))
        .light_line_style(WHITE)
        .draw()?;
    if let Some((x, text)) = look.mark {
        let up = chart.y_range();
        chart.draw_series([PathElement::new([(*x, up.start), (*x, up.end)], BLACK.mix(0.4))])?;
        chart.draw_series([Text::new(format!(" {text}"), (*x, up.end), (FONT, 12))])?;
    }
    for (series, colour) in series.iter().zip(COLOURS.into_iter().cycle()) {
        let from_point_to_point = series.points.iter().map(|point| (point.x, point.y)).collect();
        let line: Vec<(f64, f64)> =
            if series.curve.is_empty() { from_point_to_point } else { series.curve.clone() };
        if series.points.len() <= DOTS_MAX {
            chart.draw_series(series.points.iter().map(|p| Circle::new((p.x, p.y), 3, colour.filled())))?;
        }
        chart
            .draw_series(LineSeries::new(line, colour.stroke_width(2)))?
            .label(series.name.as_str())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        let known = series.points.iter().filter(|point| point.low < point.high);
        chart.draw_series(
            known.map(|p| ErrorBar::new_vertical(p.x, p.low, p.y, p.high, colour.stroke_width(1), 7)),
        )?;
    }
    if series.len() > 1 {
        let legend = SeriesLabelPosition::UpperRight;
        let mut labels = chart.configure_series_labels();
        labels.position(legend).background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.3));
        labels.label_font((FONT, 13)).draw()?;
    }
    Ok(())
}

fn intervals(title: &str, x: &str, reference: f64, rows: &[Interval]) -> Option<String> {
    let ends = rows.iter().flat_map(|row| [row.low, row.high]).chain([reference]);
    let across = range(ends, true)?;
    let height = u32::try_from(rows.len() * INTERVAL_HEIGHT + INTERVALS_AROUND).unwrap_or(HEIGHT);
    draw((WIDTH, height), |area| {
        let mut chart = ChartBuilder::on(area);
        chart.margin(12).caption(title, (FONT, 18)).x_label_area_size(44).y_label_area_size(200);
        let down = 0.0..rows.len() as f64;
        // A logarithmic axis has a number at each power of ten: within one, that would be a single one.
        if across.end / across.start < LINEAR_RATIO_MAX {
            fill_intervals(chart.build_cartesian_2d(across, down)?, x, reference, rows)?;
        } else {
            fill_intervals(chart.build_cartesian_2d(across.log_scale(), down)?, x, reference, rows)?;
        }
        for (at, row) in rows.iter().enumerate() {
            let stripe = i32::try_from(at * INTERVAL_HEIGHT + 50).unwrap_or(i32::MAX);
            area.draw_text(&row.name, &(FONT, 14).into(), (12, stripe))?;
        }
        Ok(())
    })
}

/// Draws the axis of rows: their names stand in the chart, so there is none for them.
pub(super) fn draw_mesh<'a, X>(
    chart: &mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, RangedCoordf64>>,
    x: &str,
) -> Result<(), Failed>
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    chart
        .configure_mesh()
        .x_desc(x)
        .x_label_formatter(&|value| number(*value))
        .label_style((FONT, 13))
        .light_line_style(WHITE)
        .disable_y_mesh()
        .disable_y_axis()
        .draw()?;
    Ok(())
}

fn fill_intervals<'a, X>(
    mut chart: ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, RangedCoordf64>>,
    x: &str,
    reference: f64,
    rows: &[Interval],
) -> Result<(), Failed>
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let count = rows.len() as f64;
    draw_mesh(&mut chart, x)?;
    chart.draw_series([PathElement::new([(reference, 0.0), (reference, count)], BLACK.stroke_width(1))])?;
    for (at, (row, colour)) in rows.iter().zip(COLOURS.into_iter().cycle()).enumerate() {
        // From top to bottom, in the middle of its stripe.
        let (y, style) = (count - at as f64 - 0.5, colour.stroke_width(3));
        chart.draw_series([ErrorBar::new_horizontal(y, row.low, row.middle, row.high, style, 12)])?;
        chart.draw_series([Circle::new((row.middle, y), 5, colour.filled())])?;
    }
    Ok(())
}

/// Draws onto white; nothing if it cannot be drawn.
pub(super) fn draw(size: (u32, u32), onto: impl FnOnce(&Area<'_>) -> Result<(), Failed>) -> Option<String> {
    let mut svg = String::new();
    let drawn = {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&WHITE).map_err(Failed::from).and_then(|()| onto(&area)).and_then(|()| Ok(area.present()?))
    };
    drawn.ok().map(|()| svg)
}

/// From the least to the most of what is to be seen, with room around it; a linear one begins at zero.
fn range(values: impl Iterator<Item = f64>, logarithmic: bool) -> Option<Range<f64>> {
    let values = values.filter(|value| value.is_finite() && (!logarithmic || *value > 0.0));
    let (least, most) = values
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| (least.min(value), most.max(value)));
    if least > most {
        return None;
    }
    Some(if logarithmic { least / 1.15..most * 1.15 } else { 0.0..(most * 1.08).max(1e-9) })
}

/// A number of an axis: three digits, no more than needed, and thousands and millions by their letters.
pub(super) fn number(value: f64) -> String {
    let (value, letter) = match value.abs() {
        size if size >= 1e6 => (value / 1e6, " M"),
        size if size >= 1e4 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    if value == 0.0 {
        return "0".to_owned();
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a few places")]
    let places = (2.0 - value.abs().log10().floor()).clamp(0.0, 9.0) as usize;
    let text = format!("{value:.places$}");
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text.as_str() };
    format!("{text}{letter}")
}

#[cfg(test)]
mod tests {
    use super::super::document::Spectrum;
    use super::*;

    fn line(logarithmic: bool) -> Chart {
        let point = |x: f64, y| Point { x, y, low: y * 0.9, high: y * 1.1 };
        let series = |name: &str, factor| Series {
            name: name.to_owned(),
            points: (1..=8).map(|x| point(f64::from(x), f64::from(x) * factor)).collect(),
            curve: vec![(1.0, factor), (8.0, 8.0 * factor)],
        };
        let axis = |label: &str| Axis { label: label.to_owned(), logarithmic };
        let series = vec![series("<mutex>", 100.0), series("atomic", 250.0)];
        Chart::Lines {
            title: "Throughput & more".into(),
            x: axis("threads"),
            y: axis("1/s"),
            mark: Some((2.0, "2 <cores>".into())),
            series,
        }
    }

    #[test]
    fn a_chart_is_one_element_with_its_words_escaped() {
        let interval = |name: &str, middle: f64| Interval {
            name: name.into(),
            low: middle * 0.9,
            middle,
            high: middle * 1.2,
        };
        let rows = vec![interval("mutex <A/A>", 1.0), interval("atomic", 0.7)];
        let intervals = Chart::Intervals { title: "CPU".into(), x: "ratio".into(), reference: 1.0, rows };
        for chart in [line(false), line(true), intervals] {
            let svg = svg(&chart).expect("it can be drawn");
            assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
            assert!(!svg.contains("<mutex>") && !svg.contains("<A/A>"), "{svg}");
            assert!(svg.contains("atomic"), "{svg}");
        }
    }

    #[test]
    fn several_stand_side_by_side_below_what_they_are_of() {
        let both = side_by_side(&["Seed 7 <x>".into()], &[line(true), line(false)]).expect("it can be drawn");
        assert!(both.contains("Seed 7 &lt;x&gt;") && both.contains("2 &lt;cores&gt;"), "{both}");
        assert_eq!(both.matches("Throughput &amp; more").count(), 2);
        assert!(both.contains(&format!("width=\"{}\"", 2 * WIDTH)), "{both}");
        assert_eq!(side_by_side(&[], &[]), None);
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        let axis = || Axis { label: String::new(), logarithmic: true };
        let empty =
            Chart::Lines { title: String::new(), x: axis(), y: axis(), mark: None, series: Vec::new() };
        assert_eq!(svg(&empty), None);
        let zero = Point { x: 0.0, y: 0.0, low: 0.0, high: 0.0 };
        let series = vec![Series { name: String::new(), points: vec![zero], curve: Vec::new() }];
        assert_eq!(
            svg(&Chart::Lines { title: String::new(), x: axis(), y: axis(), mark: None, series }),
            None
        );
    }

    #[test]
    fn a_spectrum_is_drawn_by_its_percentiles() {
        let mut document = Document::new("t");
        let counts = (1..=1_000).map(|ms| (ms * 1_000_000, 1)).collect();
        document.spectra.push(Spectrum { name: "all".into(), counts });
        let svg = spectra(&document, "Latency", &["all".into(), "none".into()]).expect("it can be drawn");
        assert!(svg.contains("99%") && svg.contains("90%") && svg.contains("99.9%"), "{svg}");
        assert_eq!(spectra(&document, "Latency", &["none".into()]), None);
    }

    #[test]
    fn numbers_are_short() {
        let numbers = [
            (0.0, "0"),
            (1.0, "1"),
            (0.05, "0.05"),
            (12.34, "12.3"),
            (1234.5, "1234"),
            (99.9, "99.9"),
            (4e4, "40 k"),
            (2.5e7, "25 M"),
        ];
        for (value, text) in numbers {
            assert_eq!(number(value), text);
        }
    }
}
