//! The view as it is drawn, character by character, for given states and sizes of terminal.

use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};

use super::draw::{Paint, draw};
use super::picture::{Figures, Picture};
use crate::progress::board::{Contention, Look, StageLook};
use crate::progress::books::{Lost, SoFar};
use crate::progress::gauge::{Gauge, Shown};
use crate::runner::session::Class;
use crate::schedule::Limit;

/// A run that is two thirds through.
fn picture() -> Picture {
    let gauge = Gauge::default();
    for (count, class) in [(12_345, Class::Done), (678, Class::Refused)] {
        (0..count).for_each(|_| gauge.add(class, 2_000_000));
    }
    let stage = StageLook {
        name: "measuring",
        number: 3,
        elapsed: Duration::from_secs(20),
        limit: Some(Limit::For(Duration::from_secs(30))),
        offered_per_s: None,
        shown: Shown::of([&gauge].into_iter()),
        steps: 0,
    };
    let told = [("acquisitions", 81_200.0), ("contended", 2_517.2), ("retries", 0.0), ("wait_ns", 2.5e6)];
    let so_far = SoFar { recorded: 14_102, levels: 200, ..SoFar::default() };
    let look = Look {
        title: "loadtest run http://127.0.0.1:8080".to_owned(),
        prefix: String::new(),
        stage: Some(stage),
        so_far,
        lost: None,
        contention: Contention::Told(told.map(|(name, value)| (name.to_owned(), value)).into()),
        stopping: false,
    };
    Picture {
        look,
        now: Figures { per_s: 702.4, times_ns: Some([2_100_000, 8_310_000, 12_100_000]) },
        so_far: Figures { per_s: 651.2, times_ns: Some([2_020_000, 9_100_000, 131_000_000]) },
        throughput: (0..160).map(|at| 600 + at).collect(),
        p99_us: (0..160).map(|at| 9_000 - 50 * at).collect(),
        trail: Duration::from_secs(20),
    }
}

fn drawn(picture: &Picture, (columns, rows): (u16, u16), colours: bool, remarks: &[String]) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).expect("it cannot fail");
    terminal.draw(|frame| draw(frame, picture, remarks, Paint { colours })).expect("it cannot fail");
    terminal.backend().buffer().clone()
}

/// Line by line, without what is blank at their ends.
fn lines(buffer: &Buffer) -> Vec<String> {
    let width = usize::from(buffer.area.width);
    let line = |cells: &[ratatui::buffer::Cell]| {
        cells.iter().map(ratatui::buffer::Cell::symbol).collect::<String>().trim_end().to_owned()
    };
    buffer.content.chunks(width).map(line).collect()
}

fn shown(picture: &Picture, size: (u16, u16)) -> Vec<String> {
    lines(&drawn(picture, size, true, &[]))
}

/// The least terminal has no blank lines and no second trail; a wide one has higher trails, but no higher than need be.
#[test]
fn terminals_of_every_size_are_filled_as_they_should_be() {
    for size in [(60, 12), (80, 24), (200, 50)] {
        let name = format!("{}/src/view/expected/{}x{}.txt", env!("CARGO_MANIFEST_DIR"), size.0, size.1);
        let expected = std::fs::read_to_string(&name).expect("it is beside this file");
        let lines = shown(&picture(), size);
        assert_eq!(lines.len(), usize::from(size.1));
        assert_eq!(lines.join("\n") + "\n", expected, "{name}");
    }
}

#[test]
fn an_open_loop_shows_what_is_offered_beside_what_is_achieved() {
    let mut picture = picture();
    picture.look.stage.as_mut().expect("a stage").offered_per_s = Some(3_000.0);
    assert_eq!(shown(&picture, (60, 12))[2], "Throughput  3000/s offered, 702/s achieved, 651/s so far");
}

/// Nothing is consistent before it was checked, whatever the books say.
#[test]
fn no_verdict_is_given_before_it_is_there_but_a_lost_update_is_told_at_once() {
    let mut picture = picture();
    let verdict = |picture: &Picture| {
        let lines = shown(picture, (60, 12));
        assert!(!lines.join("\n").to_lowercase().contains("consistent"), "{lines:?}");
        [lines[9].clone(), lines[10].clone()]
    };
    assert!(verdict(&picture)[0].ends_with("judged at the end"));
    picture.look.so_far.unknown = 12;
    picture.look.so_far.breaches = 3;
    let [first, second] = verdict(&picture);
    assert_eq!(first, "Verdict     none yet: 14 102 operations (12 unknown), judged");
    assert_eq!(second, "            3 answers broke the contract: holes in the proof");
    picture.look.so_far.breaches = 0;
    picture.look.so_far.untold = 3;
    assert_eq!(verdict(&picture)[1], "            answers tell no versions: nothing known so far");
    picture.look.so_far.lost = Some(Lost { level: 7, changes: 105, version: 104 });
    picture.look.lost = Some("lt-1-sku-3@main".to_owned());
    let [first, second] = verdict(&picture);
    assert_eq!(first, "Verdict     LOST UPDATE on lt-1-sku-3@main");
    assert_eq!(second, "            105 changes acknowledged, highest version 104");
    // Where nothing is watched, nothing is said to fit.
    picture.look.so_far = SoFar::default();
    assert_eq!(verdict(&picture), ["Verdict     none yet: judged at the end", ""]);
}

#[test]
fn what_is_not_known_is_said_to_be_so() {
    let mut picture = picture();
    picture.look.contention = Contention::NotTold;
    picture.look.stage.as_mut().expect("a stage").limit = None;
    picture.now.times_ns = None;
    let lines = shown(&picture, (60, 12));
    assert_eq!(lines[1], "measuring");
    assert_eq!(lines[5], "Latency     none now");
    assert_eq!(lines[8], "Contention  not told by the server");
}

#[test]
fn a_run_that_stops_says_so_and_so_does_a_remark() {
    let mut picture = picture();
    let remark = ["something is odd".to_owned()];
    let last = |picture: &Picture| lines(&drawn(picture, (80, 24), true, &remark))[23].clone();
    assert_eq!(last(&picture), "1 noted, told at the end: something is odd");
    picture.look.stopping = true;
    assert_eq!(last(&picture), "Stopping: drains, judges, reports. Ctrl-C again: at once");
}

#[test]
fn without_colours_it_says_the_same_and_what_is_bad_is_bold() {
    let mut picture = picture();
    picture.look.so_far.lost = Some(Lost { level: 7, changes: 105, version: 104 });
    picture.look.lost = Some("lt-1@main".to_owned());
    for size in [(60, 12), (80, 24), (200, 50)] {
        let (with, without) = (drawn(&picture, size, true, &[]), drawn(&picture, size, false, &[]));
        assert_eq!(lines(&with), lines(&without));
        assert!(with.content.iter().any(|cell| cell.fg == Color::Red), "{size:?}");
        assert!(
            without.content.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset),
            "{size:?}"
        );
        let place = lines(&without).iter().position(|line| line.contains("LOST UPDATE")).expect("it is told");
        let at = usize::from(size.0) * place + 12;
        assert_eq!(without.content[at].symbol(), "L");
        assert!(without.content[at].modifier.contains(Modifier::BOLD), "{size:?}");
    }
}

/// A terminal that was made smaller while a view is on it has a poor view, and the run goes on.
#[test]
fn no_size_is_too_small_to_draw_on() {
    for size in [(1, 1), (3, 40), (59, 11), (200, 2)] {
        drawn(&picture(), size, true, &["remark".to_owned()]);
    }
}
