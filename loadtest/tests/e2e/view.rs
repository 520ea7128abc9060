//! The live view, on a real terminal: what is on its screen while a run goes on, and what is left on it afterwards.

use std::io::{Read, Write};
use std::num::NonZero;
use std::process::Child;

use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{Termios, tcgetattr};
use nix::unistd::Pid;
use pty_process::blocking::{Command, Pty, open};
use vt100::Parser;

use super::fake::Fault;
use super::serve;

const ROWS: u16 = 24;

/// The program on a terminal that is its own, as one that a shell started in the foreground.
struct Session {
    pty: Pty,
    child: Child,
    terminal: Parser,
    modes: Termios,
}

impl Session {
    /// Starts a run of half a minute, which nobody waits for unless something is wrong.
    fn start(columns: u16, url: &str, kind: &str, more: &[&str]) -> Self {
        let (pty, pts) = open().expect("a terminal");
        pty.resize(pty_process::Size::new(ROWS, columns)).expect("of that size");
        let modes = tcgetattr(&pty).expect("modes");
        let child = Command::new(env!("CARGO_BIN_EXE_loadtest"))
            .args(["run", url, "--duration", "30s", "--warmup", "0s", "--skus", "3", "--ceiling", "none"])
            .args(["--concurrency", "8"])
            .args(more)
            .env("TERM", kind)
            .env_remove("NO_COLOR")
            .spawn(pts)
            .expect("the program runs");
        let size = |cells| NonZero::new(cells).expect("not none");
        Self { pty, child, terminal: Parser::new(size(ROWS), size(columns), 0), modes }
    }

    /// Reads until the screen is as it should be, or nothing more comes; what was read.
    fn read_until(&mut self, is_there: impl Fn(&vt100::Screen) -> bool) -> String {
        let (mut all, mut part) = (Vec::new(), [0; 4096]);
        while !is_there(self.terminal.screen()) {
            // It ends with an error when the last who writes has gone.
            let Ok(read @ 1..) = self.pty.read(&mut part) else { break };
            self.terminal.process(&part[..read]);
            all.extend_from_slice(&part[..read]);
        }
        String::from_utf8_lossy(&all).into_owned()
    }

    fn text(&self) -> String {
        self.terminal.screen().contents()
    }

    /// What the program writes from now on, and its exit code.
    fn end(mut self) -> (String, Option<i32>) {
        let rest = self.read_until(|_| false);
        let code = self.child.wait().expect("it ends").code();
        assert_eq!(tcgetattr(&self.pty).expect("modes"), self.modes, "the terminal is as it was");
        let screen = self.terminal.screen();
        assert!(!screen.alternate_screen() && !screen.hide_cursor(), "{}", screen.contents());
        // The report is on the screen that stays.
        let left = rest.rsplit("\u{1b}[?1049l").next().unwrap_or_default().to_owned();
        (console::strip_ansi_codes(&left).into_owned(), code)
    }
}

/// Requests are being answered and counted.
fn is_measuring(screen: &vt100::Screen) -> bool {
    let text = screen.contents();
    screen.alternate_screen()
        && text.contains("measuring")
        && text.contains("p99")
        && text.contains("refused")
}

#[test]
fn ctrl_c_in_the_view_drains_reports_and_gives_the_terminal_back() {
    let mut session = Session::start(80, &serve(Fault::None), "xterm-256color", &[]);
    session.read_until(is_measuring);
    let text = session.text();
    for wanted in
        ["loadtest run http://", "s left", "Throughput", "/s now", "Contention", "Ctrl-C: stop here"]
    {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
    assert!(text.contains("judged at the end") && !text.to_lowercase().contains("consistent"), "{text}");
    assert!(session.terminal.screen().hide_cursor());
    assert_ne!(tcgetattr(&session.pty).expect("modes"), session.modes, "keys are not echoed");
    session.pty.write_all(&[3]).expect("a key");
    let (report, code) = session.end();
    assert_eq!(code, Some(130), "{report}");
    assert!(report.starts_with("No headline: the run was interrupted"), "{report}");
    assert!(report.contains("CONSISTENT") && report.contains(" 0 of unknown outcome"), "{report}");
}

/// The check takes its time, and so does a server that hangs: whoever asks twice leaves at once.
#[test]
fn a_terminal_is_given_back_to_who_does_not_wait() {
    let mut session = Session::start(80, &serve(Fault::Silent), "xterm-256color", &["--timeout", "10m"]);
    session.read_until(|screen| screen.contents().contains("measuring"));
    let pid = Pid::from_raw(i32::try_from(session.child.id()).expect("an id"));
    kill(pid, Signal::SIGTERM).expect("it is there");
    session.read_until(|screen| screen.contents().contains("Stopping: "));
    session.pty.write_all(&[3]).expect("a key");
    assert_eq!(session.end().1, Some(130));
}

#[test]
fn a_lost_update_is_seen_while_the_run_goes_on() {
    let mut session =
        Session::start(100, &serve(Fault::LostUpdate), "xterm-256color", &["--mix", "adjust=1"]);
    session.read_until(|screen| screen.contents().contains("LOST UPDATE on lt-"));
    assert!(session.text().contains("changes acknowledged, highest version"), "{}", session.text());
    session.pty.write_all(&[3]).expect("a key");
    let (report, code) = session.end();
    assert_eq!(code, Some(4), "{report}");
}

#[test]
fn without_colours_the_view_has_none() {
    let mut session = Session::start(80, &serve(Fault::None), "xterm-256color", &["--color", "never"]);
    let drawn = session.read_until(is_measuring);
    assert!(is_measuring(session.terminal.screen()));
    // 38 is a colour of the foreground, 48 one of the background.
    assert!(!drawn.contains("\u{1b}[38") && !drawn.contains("\u{1b}[48"), "{drawn:?}");
    session.pty.write_all(&[3]).expect("a key");
    assert_eq!(session.end().1, Some(130));
}

/// A terminal that is too narrow has a bar, one that cannot place a cursor plain lines; so has any for which that is asked.
#[test]
fn a_poor_terminal_has_no_view() {
    let lines: &[&str] = &["--progress-every", "50ms"];
    let asked = [lines, &["--progress", "lines"]].concat();
    for (columns, kind, more) in [(59, "xterm", lines), (80, "dumb", lines), (80, "xterm", &asked)] {
        let mut session = Session::start(columns, &serve(Fault::None), kind, more);
        let written = session.read_until(|screen| screen.contents().contains("measuring"));
        assert!(!written.contains("\u{1b}[?1049h"), "{columns} {kind}: {written:?}");
        assert_eq!(columns == 80, written.contains("loadtest: measuring, "), "{written:?}");
        session.pty.write_all(&[3]).expect("a key");
        let (report, code) = session.end();
        assert_eq!(code, Some(130), "{report}");
        assert!(report.contains("No headline: the run was interrupted"), "{report}");
    }
}
