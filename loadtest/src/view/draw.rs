//! How a [`Picture`] is laid out. What there is no room for is left out from the middle: the trails first.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::line;
use ratatui::text::{Line, Span};
use ratatui::widgets::{LineGauge, Paragraph, Sparkline};

use super::picture::Picture;
use super::words::{self, Said, Tone};

/// From this height on there are blank lines and a second trail.
const ROOMY: u16 = 20;
/// The most lines of a trail.
const TRAIL_ROWS_MAX: u16 = 14;
/// Where text begins after its label.
const LABEL: u16 = 12;
/// From this width on the trails say what their height is.
const WIDE: u16 = 80;

/// Whether there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint {
    /// Without them, what matters is bold.
    pub colours: bool,
}

impl Paint {
    fn colour(self, colour: Color) -> Style {
        if self.colours { Style::new().fg(colour) } else { Style::new() }
    }

    fn tone(self, tone: Tone) -> Style {
        match tone {
            Tone::Plain => Style::new(),
            // Dim, not grey: some terminals have a grey that cannot be told from their background.
            Tone::Faint => Style::new().add_modifier(Modifier::DIM),
            Tone::Doubt => self.colour(Color::Yellow),
            Tone::Bad => self.colour(Color::Red).add_modifier(Modifier::BOLD),
        }
    }
}

/// Draws it, with what was remarked meanwhile.
pub fn draw(frame: &mut Frame<'_>, picture: &Picture, remarks: &[String], paint: Paint) {
    let area = frame.area();
    let places = Places::of(area);
    let (look, trail) = (&picture.look, paint.colour(Color::Cyan));
    header(frame, places.header, picture, paint);
    stage(frame, places.stage, picture, paint);
    labelled(frame, places.throughput, "Throughput", &plain(words::throughput(picture)), paint);
    spark(frame, places.throughput_trail, &picture.throughput, trail);
    labelled(frame, places.now, "Latency", &plain(words::times(&picture.now, "now")), paint);
    labelled(frame, places.so_far, "", &plain(words::times(&picture.so_far, "so far")), paint);
    spark(frame, places.p99_trail, &picture.p99_us, paint.colour(Color::Magenta));
    if area.width >= WIDE {
        right(frame, places.throughput, words::peak(picture), paint);
        if places.p99_trail.height > 0 {
            right(frame, places.now, words::peak_p99(picture), paint);
        }
    }
    labelled(frame, places.answers, "Answers", &words::answers(look.stage.as_ref()), paint);
    labelled(frame, places.contention, "Contention", &words::contention(&look.contention), paint);
    let [first, second] = words::verdict(picture);
    labelled(frame, places.verdict, "Verdict", &first, paint);
    labelled(frame, places.reason, "", &second, paint);
    let (text, tone) = words::footer(look.stopping, remarks);
    frame.render_widget(Line::styled(text, paint.tone(tone)), places.footer);
}

/// Where everything is.
struct Places {
    header: Rect,
    stage: Rect,
    throughput: Rect,
    throughput_trail: Rect,
    now: Rect,
    so_far: Rect,
    p99_trail: Rect,
    answers: Rect,
    contention: Rect,
    verdict: Rect,
    reason: Rect,
    footer: Rect,
}

impl Places {
    fn of(area: Rect) -> Self {
        let is_roomy = area.height >= ROOMY;
        let blank = Constraint::Length(u16::from(is_roomy));
        let row = Constraint::Length(1);
        // Ten lines, and three between them; the trails share the rest.
        let rest = area.height.saturating_sub(if is_roomy { 13 } else { 10 });
        let (first, second) = if is_roomy { (rest.div_ceil(2), rest / 2) } else { (rest, 0) };
        let trail = |rows: u16| Constraint::Length(rows.min(TRAIL_ROWS_MAX));
        let rows =
            [row, row, blank, row, trail(first), blank, row, row, trail(second), blank, row, row, row, row];
        let [top, footer] = Layout::vertical([Constraint::Fill(1), row]).areas(area);
        let [
            header,
            stage,
            _,
            throughput,
            throughput_trail,
            _,
            now,
            so_far,
            p99_trail,
            _,
            answers,
            contention,
            verdict,
            reason,
        ] = Layout::vertical(rows).areas(top);
        Self {
            header,
            stage,
            throughput,
            throughput_trail,
            now,
            so_far,
            p99_trail,
            answers,
            contention,
            verdict,
            reason,
            footer,
        }
    }
}

fn plain(text: String) -> Said {
    (text, Tone::Plain)
}

fn header(frame: &mut Frame<'_>, place: Rect, picture: &Picture, paint: Paint) {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let elapsed = picture.look.stage.as_ref().map(|stage| words::seconds(stage.elapsed)).unwrap_or_default();
    let width = u16::try_from(elapsed.len()).unwrap_or(0);
    let [left, right] =
        Layout::horizontal([Constraint::Fill(1), Constraint::Length(width)]).spacing(1).areas(place);
    frame.render_widget(Line::styled(picture.look.title.as_str(), bold), left);
    frame.render_widget(Line::styled(elapsed, paint.tone(Tone::Faint)), right);
}

/// The name of the stage, and how far it is where that is known.
fn stage(frame: &mut Frame<'_>, place: Rect, picture: &Picture, paint: Paint) {
    let name = words::stage(picture);
    let Some((ratio, left)) = words::progress(picture) else {
        return frame.render_widget(Line::raw(name), place);
    };
    let end = format!("{:>3.0}%, {} left", ratio * 100.0, words::seconds(left));
    let width = u16::try_from(end.len()).unwrap_or(0);
    let [bar, right] =
        Layout::horizontal([Constraint::Fill(1), Constraint::Length(width)]).spacing(1).areas(place);
    let gauge = LineGauge::default().label(name).ratio(ratio).filled_symbol(line::THICK_HORIZONTAL);
    frame.render_widget(gauge.filled_style(paint.colour(Color::Cyan)).unfilled_symbol("·"), bar);
    frame.render_widget(Line::raw(end), right);
}

fn labelled(frame: &mut Frame<'_>, place: Rect, label: &str, (text, tone): &Said, paint: Paint) {
    let label = format!("{label:<width$}", width = usize::from(LABEL));
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let line = Line::from(vec![Span::styled(label, bold), Span::styled(text.as_str(), paint.tone(*tone))]);
    frame.render_widget(Paragraph::new(line), place);
}

fn right(frame: &mut Frame<'_>, place: Rect, text: String, paint: Paint) {
    frame.render_widget(Line::styled(text, paint.tone(Tone::Faint)).right_aligned(), place);
}

/// The end of a trail, as much as there is room for.
fn spark(frame: &mut Frame<'_>, place: Rect, trail: &[u64], style: Style) {
    let first = trail.len().saturating_sub(usize::from(place.width));
    frame.render_widget(Sparkline::default().data(&trail[first..]).style(style), place);
}
