//! A line chart as SVG: panels side by side, each with axes, ticks, measured points with their spread, fitted curves and a
//! legend. It knows nothing of what is drawn.
//!
//! Series differ in colour (the palette of Okabe and Ito, which colour-blind readers can tell apart), in the shape of their
//! points and in the dashes of their curves, so that a copy in grey can be read, too.

use std::fmt::Write;

/// A chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// The headline.
    pub title: String,
    /// Lines below it: where, how, from which seed.
    pub subtitles: Vec<String>,
    /// From left to right.
    pub panels: Vec<Panel>,
    /// Lines at the foot: how to read it.
    pub notes: Vec<String>,
}

/// One pair of axes. The horizontal one is logarithmic. The vertical one starts at zero, unless what is drawn differs so much
/// ([`LINEAR_RATIO_MAX`]) that the least of it would lie on the ground: then it is logarithmic, too.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// Its headline.
    pub title: String,
    /// What runs to the right.
    pub x_label: String,
    /// What runs upwards.
    pub y_label: String,
    /// A place on the horizontal axis to point out, and what it is.
    pub landmark: Option<(f64, String)>,
    /// What is drawn.
    pub series: Vec<Series>,
}

/// One line and its points.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// What it is.
    pub name: String,
    /// What the legend says of it.
    pub note: String,
    /// Measured, ascending.
    pub points: Vec<Point>,
    /// The curve through them, ascending; empty draws straight lines from point to point.
    pub curve: Vec<(f64, f64)>,
}

/// A measured point: a middle and the range around it.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "the coordinates, and the range of y")]
pub struct Point {
    pub x: f64,
    pub y: f64,
    pub y_min: f64,
    pub y_max: f64,
}

/// Blue, vermilion, green, purple, orange, sky blue, black, grey.
const COLOURS: [&str; 8] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#7f7f7f"];
const DASHES: [&str; 4] = ["", "7 3", "2 3", "10 3 2 3"];
const SHAPES: usize = 6;

const MARGIN: f64 = 24.0;
const AXIS_LEFT: f64 = 62.0;
const PLOT_WIDTH: f64 = 500.0;
const PLOT_HEIGHT: f64 = 340.0;
const PANEL_GAP: f64 = 40.0;
/// Up to this ratio of the highest to the lowest point a linear axis shows both.
const LINEAR_RATIO_MAX: f64 = 20.0;
/// How far the points of neighbouring series at one place stand apart.
const ASIDE: f64 = 7.0;
const LINE: f64 = 19.0;
const LEGEND_LINE: f64 = 36.0;
/// From the plot's lower edge to the legend: ticks and the axis' label.
const AXIS_BELOW: f64 = 62.0;

impl Chart {
    /// The SVG document.
    pub fn svg(&self) -> String {
        let panels = self.panels.len().max(1) as f64;
        let width = 2.0 * MARGIN + panels * (AXIS_LEFT + PLOT_WIDTH) + (panels - 1.0) * PANEL_GAP;
        let legends = self.panels.iter().map(|panel| panel.series.len()).max().unwrap_or(0);
        let top = MARGIN + 30.0 + LINE * self.subtitles.len() as f64 + 44.0;
        let legend_top = top + PLOT_HEIGHT + AXIS_BELOW;
        let notes_top = legend_top + LEGEND_LINE * legends as f64 + 14.0;
        let height = notes_top + LINE * self.notes.len() as f64 + MARGIN / 2.0;
        let mut svg = Svg::default();
        svg.line(&format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 \
             {width:.0} {height:.0}\" font-family=\"DejaVu Sans, Verdana, Arial, sans-serif\" font-size=\"13\">"
        ));
        svg.line(&format!("<title>{}</title>", escape(&self.title)));
        svg.line("<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>");
        svg.text((MARGIN, MARGIN + 16.0), "font-size=\"20\" font-weight=\"bold\"", &self.title);
        for (number, subtitle) in self.subtitles.iter().enumerate() {
            let y = MARGIN + 40.0 + LINE * number as f64;
            svg.text((MARGIN, y), "fill=\"#444444\"", subtitle);
        }
        for (number, panel) in self.panels.iter().enumerate() {
            let left = MARGIN + AXIS_LEFT + number as f64 * (AXIS_LEFT + PLOT_WIDTH + PANEL_GAP);
            Frame::new(panel, left, top).draw(panel, legend_top, &mut svg);
        }
        for (number, note) in self.notes.iter().enumerate() {
            let y = notes_top + LINE * number as f64;
            svg.text((MARGIN, y), "fill=\"#444444\" font-size=\"12\"", note);
        }
        svg.line("</svg>");
        svg.0
    }
}

/// Where a panel lies, and how its numbers become places.
struct Frame {
    left: f64,
    top: f64,
    x_range: (f64, f64),
    vertical: Vertical,
    unit: (f64, &'static str),
}

/// The vertical axis.
enum Vertical {
    /// From zero to `most`, with a tick at each `step`.
    Linear { most: f64, step: f64 },
    /// From `least` to `most`, with ticks at 1, 2 and 5 times each power of ten.
    Logarithmic { least: f64, most: f64 },
}

impl Vertical {
    /// The axis that shows everything from `lowest` (infinite where there is nothing) to `highest`.
    fn new(lowest: f64, highest: f64) -> Self {
        if lowest > 0.0 && highest > lowest * LINEAR_RATIO_MAX {
            return Self::Logarithmic {
                least: nice_below(lowest),
                most: skip_the_quarter(nice_step(highest)),
            };
        }
        let step = nice_step(highest / 5.0);
        Self::Linear { most: (highest / step).ceil() * step, step }
    }

    fn is_logarithmic(&self) -> bool {
        matches!(self, Self::Logarithmic { .. })
    }

    fn most(&self) -> f64 {
        match *self {
            Self::Linear { most, .. } | Self::Logarithmic { most, .. } => most,
        }
    }

    /// Which part of the way up it is; what lies below the axis is put on it.
    fn share(&self, y: f64) -> f64 {
        match *self {
            Self::Linear { most, .. } => y.max(0.0) / most,
            Self::Logarithmic { least, most } => (y.max(least) / least).ln() / (most / least).ln(),
        }
    }

    fn ticks(&self) -> Vec<f64> {
        match *self {
            Self::Linear { most, step } => {
                let next = |tick: &f64| Some(tick + step);
                std::iter::successors(Some(0.0), next).take_while(|tick| *tick <= most * 1.001).collect()
            }
            Self::Logarithmic { least, most } => {
                let next = |tick: &f64| Some(skip_the_quarter(nice_step(tick * 1.01)));
                std::iter::successors(Some(least), next).take_while(|tick| *tick <= most * 1.001).collect()
            }
        }
    }
}

impl Frame {
    fn new(panel: &Panel, left: f64, top: f64) -> Self {
        let points = || panel.series.iter().flat_map(|series| &series.points);
        let x_min = points().map(|point| point.x).fold(f64::INFINITY, f64::min);
        let x_max = points().map(|point| point.x).fold(1.0, f64::max);
        let curves = panel.series.iter().flat_map(|series| &series.curve).map(|(_, y)| *y);
        let highest = points().map(|point| point.y_max).chain(curves).fold(0.0, f64::max).max(1e-9);
        let lowest = points().map(|point| point.y_min).fold(f64::INFINITY, f64::min);
        let vertical = Vertical::new(lowest, highest);
        let unit = match vertical.most() {
            // Decades apart no one unit suits: each tick names its own.
            _ if vertical.is_logarithmic() => (1.0, ""),
            large if large >= 2e6 => (1e6, "million "),
            middle if middle >= 2e3 => (1e3, "thousand "),
            _ => (1.0, ""),
        };
        let x_range = if x_min < x_max { (x_min, x_max) } else { (x_max / 2.0, x_max * 2.0) };
        Self { left, top, x_range, vertical, unit }
    }

    fn x(&self, x: f64) -> f64 {
        let (least, most) = self.x_range;
        // A little air at both ends, so that no point lies on the frame.
        let share = (x / least).log2() / (most / least).log2();
        self.left + PLOT_WIDTH * (0.03 + 0.94 * share)
    }

    fn y(&self, y: f64) -> f64 {
        self.top + PLOT_HEIGHT * (1.0 - self.vertical.share(y))
    }

    fn draw(&self, panel: &Panel, legend_top: f64, svg: &mut Svg) {
        let middle = self.left + PLOT_WIDTH / 2.0;
        svg.text((self.left, self.top - 22.0), "font-size=\"15\" font-weight=\"bold\"", &panel.title);
        self.axes(panel, svg);
        let below = self.top + PLOT_HEIGHT;
        svg.text((middle, below + 42.0), "text-anchor=\"middle\"", &panel.x_label);
        let (x, y) = (self.left - 48.0, self.top + PLOT_HEIGHT / 2.0);
        let turned = format!("text-anchor=\"middle\" transform=\"rotate(-90 {x:.1} {y:.1})\"");
        let scale =
            if self.vertical.is_logarithmic() { " (k: thousand, M: million), logarithmic" } else { "" };
        svg.text((x, y), &turned, &format!("{}{}{scale}", self.unit.1, panel.y_label));
        for (number, series) in panel.series.iter().enumerate() {
            // Points of several series at one place are set apart a little, so that each can be seen.
            let aside = ASIDE * (number as f64 - (panel.series.len() as f64 - 1.0) / 2.0);
            self.series(number, series, aside, svg);
            self.legend(number, series, legend_top + LEGEND_LINE * number as f64, svg);
        }
    }

    fn axes(&self, panel: &Panel, svg: &mut Svg) {
        let (right, below) = (self.left + PLOT_WIDTH, self.top + PLOT_HEIGHT);
        for tick in self.vertical.ticks() {
            let y = self.y(tick);
            svg.stroke((self.left, y), (right, y), "#e3e3e3", 1.0);
            let label =
                if self.vertical.is_logarithmic() { abbreviated(tick) } else { rounded(tick / self.unit.0) };
            svg.text((self.left - 8.0, y + 4.5), "text-anchor=\"end\"", &label);
        }
        let mut ticks: Vec<f64> =
            panel.series.iter().flat_map(|series| &series.points).map(|point| point.x).collect();
        ticks.sort_unstable_by(f64::total_cmp);
        ticks.dedup();
        let mut last_label = f64::NEG_INFINITY;
        for tick in ticks {
            let x = self.x(tick);
            svg.stroke((x, below), (x, below + 5.0), "#333333", 1.0);
            // Numbers that would run into each other are left out; the tick stays.
            if x - last_label >= 24.0 {
                svg.text((x, below + 20.0), "text-anchor=\"middle\"", &format!("{tick}"));
                last_label = x;
            }
        }
        if let Some((place, what)) = &panel.landmark {
            let (x, (least, most)) = (self.x(*place), self.x_range);
            if (least..=most).contains(place) {
                svg.stroke((x, self.top), (x, below), "#9a9a9a", 1.0);
                svg.text((x + 5.0, self.top - 3.0), "fill=\"#666666\" font-size=\"12\"", what);
            }
        }
        svg.stroke((self.left, self.top), (self.left, below), "#333333", 1.2);
        svg.stroke((self.left, below), (right, below), "#333333", 1.2);
    }

    fn series(&self, number: usize, series: &Series, aside: f64, svg: &mut Svg) {
        let colour = COLOURS[number % COLOURS.len()];
        let is_fitted = !series.curve.is_empty();
        let straight: Vec<(f64, f64)> = series.points.iter().map(|point| (point.x, point.y)).collect();
        let path = if is_fitted { &series.curve } else { &straight };
        let places: Vec<String> =
            path.iter().map(|(x, y)| format!("{:.1},{:.1}", self.x(*x), self.y(*y))).collect();
        let (width, dashes) = if is_fitted { (2.2, DASHES[number % DASHES.len()]) } else { (1.0, "1 3") };
        svg.line(&format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" \
             stroke-dasharray=\"{dashes}\"/>",
            places.join(" ")
        ));
        for point in &series.points {
            let x = self.x(point.x) + aside;
            let (low, high) = (self.y(point.y_min), self.y(point.y_max));
            svg.stroke((x, low), (x, high), colour, 1.2);
            for end in [low, high] {
                svg.stroke((x - 3.0, end), (x + 3.0, end), colour, 1.2);
            }
            svg.mark(number, (x, self.y(point.y)), colour);
        }
    }

    fn legend(&self, number: usize, series: &Series, y: f64, svg: &mut Svg) {
        let colour = COLOURS[number % COLOURS.len()];
        let dashes = if series.curve.is_empty() { "1 3" } else { DASHES[number % DASHES.len()] };
        svg.line(&format!(
            "<line x1=\"{:.1}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" stroke=\"{colour}\" stroke-width=\"2.2\" \
             stroke-dasharray=\"{dashes}\"/>",
            self.left,
            self.left + 40.0
        ));
        svg.mark(number, (self.left + 20.0, y), colour);
        svg.text((self.left + 50.0, y + 4.5), "font-weight=\"bold\"", &series.name);
        svg.text((self.left + 50.0, y + 20.0), "fill=\"#444444\" font-size=\"12\"", &series.note);
    }
}

/// A document under construction. Writing to a String cannot fail.
#[derive(Default)]
struct Svg(String);

impl Svg {
    fn line(&mut self, line: &str) {
        let _ = writeln!(self.0, "{line}");
    }

    fn text(&mut self, (x, y): (f64, f64), attributes: &str, text: &str) {
        self.line(&format!("<text x=\"{x:.1}\" y=\"{y:.1}\" {attributes}>{}</text>", escape(text)));
    }

    fn stroke(&mut self, from: (f64, f64), to: (f64, f64), colour: &str, width: f64) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.line(&format!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\" \
             stroke-width=\"{width}\"/>"
        ));
    }

    /// The point of a series, in its shape.
    fn mark(&mut self, number: usize, (x, y): (f64, f64), colour: &str) {
        let polygon = |corners: &[(f64, f64)]| {
            let corners: Vec<String> =
                corners.iter().map(|(dx, dy)| format!("{:.1},{:.1}", x + dx, y + dy)).collect();
            format!("<polygon points=\"{}\"", corners.join(" "))
        };
        let shape = match number % SHAPES {
            0 => format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\""),
            1 => polygon(&[(-4.5, -4.5), (4.5, -4.5), (4.5, 4.5), (-4.5, 4.5)]),
            2 => polygon(&[(0.0, -6.0), (5.5, 4.0), (-5.5, 4.0)]),
            3 => polygon(&[(0.0, -6.0), (6.0, 0.0), (0.0, 6.0), (-6.0, 0.0)]),
            4 => polygon(&[(0.0, 6.0), (5.5, -4.0), (-5.5, -4.0)]),
            _ => polygon(&[(-2.5, -5.5), (2.5, -5.5), (5.5, 0.0), (2.5, 5.5), (-2.5, 5.5), (-5.5, 0.0)]),
        };
        self.line(&format!("{shape} fill=\"{colour}\" stroke=\"#ffffff\" stroke-width=\"1\"/>"));
    }
}

/// The next of 1, 2, 2.5, 5 times a power of ten.
fn nice_step(rough: f64) -> f64 {
    let power = 10_f64.powf(rough.log10().floor());
    let factors = [1.0, 2.0, 2.5, 5.0, 10.0];
    factors.into_iter().find(|factor| factor * power >= rough * 0.999).unwrap_or(10.0) * power
}

/// The last of 1, 2, 5 times a power of ten up to there.
fn nice_below(rough: f64) -> f64 {
    let power = 10_f64.powf(rough.log10().floor());
    let factors = [5.0, 2.0, 1.0];
    factors.into_iter().find(|factor| factor * power <= rough * 1.001).unwrap_or(1.0) * power
}

/// Of the steps of [`nice_step`], 2.5 is for counting on from zero only.
fn skip_the_quarter(step: f64) -> f64 {
    if (nice_below(step) / step - 0.8).abs() < 1e-3 { step * 2.0 } else { step }
}

/// A round number in thousands or millions, where it is that large.
fn abbreviated(number: f64) -> String {
    match number {
        large if large >= 1e6 => format!("{} M", rounded(large / 1e6)),
        middle if middle >= 1e3 => format!("{} k", rounded(middle / 1e3)),
        small => rounded(small),
    }
}

/// Three decimals are more than a tick needs, and hide what binary fractions leave over.
fn rounded(number: f64) -> String {
    ((number * 1e3).round() / 1e3).to_string()
}

/// Text as XML wants it.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            // XML 1.0 has no way to write other control characters.
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(name: &str) -> Chart {
        let point = |x: f64, y: f64| Point { x, y, y_min: y * 0.9, y_max: y * 1.1 };
        let series = |name: &str, curve: Vec<(f64, f64)>| Series {
            name: name.to_owned(),
            note: "σ < 1 & κ > 0".to_owned(),
            points: vec![point(1.0, 1e6), point(2.0, 1.9e6), point(4.0, 3.1e6)],
            curve,
        };
        let panel = Panel {
            title: "in this process".to_owned(),
            x_label: "threads".to_owned(),
            y_label: "operations/s".to_owned(),
            landmark: Some((2.0, "2 <cores>".to_owned())),
            series: vec![series(name, vec![(1.0, 1e6), (4.0, 3e6)]), series("b", Vec::new())],
        };
        Chart {
            title: name.to_owned(),
            subtitles: vec!["a machine".to_owned()],
            panels: vec![panel.clone(), panel],
            notes: vec!["a note".to_owned()],
        }
    }

    /// Every element is closed, in order, and no attribute or text breaks out.
    fn assert_well_formed(svg: &str) {
        let mut open = Vec::new();
        let mut rest = svg;
        while let Some(start) = rest.find('<') {
            assert!(!rest[..start].contains('>'), "a stray > in {:?}", &rest[..start]);
            let end = start + rest[start..].find('>').expect("a tag ends");
            let tag = &rest[start + 1..end];
            assert!(tag.matches('"').count().is_multiple_of(2) && !tag.contains('<'), "{tag}");
            let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
            match (tag.starts_with('/'), tag.ends_with('/')) {
                (true, _) => assert_eq!(open.pop(), Some(name), "closed in order"),
                (false, false) => open.push(name),
                (false, true) => {}
            }
            rest = &rest[end + 1..];
        }
        assert_eq!(open, [""; 0], "all is closed");
    }

    #[test]
    fn the_document_is_well_formed_whatever_the_names() {
        for name in ["plain", "<b> & \"co\" 'x' ]]> \u{1}"] {
            let svg = chart(name).svg();
            assert_well_formed(&svg);
            assert!(svg.starts_with("<svg xmlns=") && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
        let svg = chart("<b>").svg();
        assert!(svg.contains("&lt;b&gt;") && svg.contains("σ &lt; 1 &amp; κ &gt; 0"), "{svg}");
    }

    #[test]
    fn nothing_to_draw_is_still_a_document() {
        let empty = Panel {
            title: String::new(),
            x_label: String::new(),
            y_label: String::new(),
            landmark: None,
            series: Vec::new(),
        };
        let chart = Chart { panels: vec![empty], ..chart("empty") };
        assert_well_formed(&chart.svg());
    }

    /// What is thirty times less is not drawn on the ground.
    #[test]
    fn far_apart_is_drawn_to_a_logarithmic_scale() {
        let near = Vertical::new(1e6, 3.1e6);
        assert_eq!(near.ticks(), [0.0, 1e6, 2e6, 3e6, 4e6]);
        assert!((near.share(2e6) - 0.5).abs() < 1e-9);
        let far = Vertical::new(0.12e6, 4.2e6);
        let ticks: Vec<f64> = far.ticks().iter().map(|tick| (tick / 1e3).round()).collect();
        assert_eq!(ticks, [100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0]);
        let labels = [500.0, 2_000.0, 50_000.0, 1e6].map(abbreviated);
        assert_eq!(labels, ["500", "2 k", "50 k", "1 M"]);
        let places = [far.share(0.0), far.share(0.1e6), far.share(5e6)];
        assert!(
            places.iter().zip([0.0, 0.0, 1.0]).all(|(place, is)| (place - is).abs() < 1e-9),
            "{places:?}"
        );
    }

    #[test]
    fn steps_are_round() {
        for (rough, step) in [(0.9, 1.0), (1.1, 2.0), (2.2, 2.5), (3.0, 5.0), (700.0, 1_000.0)] {
            assert!((nice_step(rough) - step).abs() < 1e-9, "{rough}");
        }
    }
}
