//! The terminal while a view is on it: the alternate screen of standard error, without a cursor and without an echo of keys.
//!
//! Keys still make signals, so Ctrl-C does what it always does; but not those that would stop or kill the process where it
//! stands, with the terminal as it is. It is given back when the view is closed, when the program ends, and on a panic.

use std::io::{BufWriter, Stderr, Write, stderr};
use std::sync::Once;
use std::time::Duration;

use console::Term;
use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr};
use nix::unistd::{getpgrp, tcgetpgrp};
use parking_lot::Mutex;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen};
use ratatui::layout::Rect;
use ratatui::{Frame, Terminal, TerminalOptions, Viewport};

/// The least that a view fits on, in columns and rows.
pub const LEAST: (u16, u16) = (60, 12);

/// The longest that who gives the terminal back waits for a picture that is being drawn: it may be drawn onto a terminal that
/// does not move.
const WAIT_MAX: Duration = Duration::from_millis(500);

/// The view's hold of the terminal; there is one terminal, so there is one.
static SCREEN: Mutex<Option<Screen>> = parking_lot::const_mutex(None);

struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Stderr>>>,
    size: (u16, u16),
    /// As the terminal was.
    modes: Termios,
    /// What was to be printed meanwhile.
    held: Vec<String>,
}

/// The columns and rows of standard error.
fn size() -> Option<(u16, u16)> {
    Term::stderr().size_checked().map(|(rows, columns)| (columns, rows))
}

/// Whether a terminal cannot place a cursor, as far as it says.
pub fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|kind| kind.is_empty() || kind == "dumb")
}

/// Whether standard error is a terminal with room for a view, and it is for this process to draw on it: one in the background
/// would be stopped.
pub fn is_fit() -> bool {
    let has_room = size().is_some_and(|(columns, rows)| columns >= LEAST.0 && rows >= LEAST.1);
    has_room && !is_dumb() && tcgetpgrp(stderr()).is_ok_and(|group| group == getpgrp())
}

/// Takes the terminal; whether that could be done.
pub(super) fn open() -> bool {
    let mut screen = SCREEN.lock();
    if screen.is_some() {
        return false;
    }
    let Some(opened) = Screen::open() else { return false };
    *screen = Some(opened);
    drop(screen);
    on_panic();
    true
}

/// Draws what is made of the frame and of what is held; whether there is still anything to draw on.
pub(super) fn draw(render: impl FnOnce(&mut Frame<'_>, &[String])) -> bool {
    let mut screen = SCREEN.lock();
    let Some(Screen { terminal, size: known, held, .. }) = &mut *screen else { return false };
    if let Some((columns, rows)) = size().filter(|size| size != known) {
        *known = (columns, rows);
        // A fixed viewport follows its terminal only when it is told to.
        let _ = terminal.resize(Rect::new(0, 0, columns, rows));
    }
    // What cannot be drawn is drawn the next time, or never: the run goes on.
    let _ = terminal.draw(|frame| render(frame, held));
    true
}

/// Keeps a remark until the terminal is given back; whether it has to wait.
pub fn hold(text: &str) -> bool {
    let mut screen = SCREEN.lock();
    let Some(Screen { held, .. }) = &mut *screen else { return false };
    held.push(text.to_owned());
    true
}

/// Gives the terminal back, as it was, and tells what was held. May be called at any time, and more than once.
pub fn close() {
    let taken = SCREEN.try_lock_for(WAIT_MAX).and_then(|mut screen| screen.take());
    if let Some(screen) = taken {
        screen.close();
    }
}

impl Screen {
    fn open() -> Option<Self> {
        let size = size()?;
        let modes = tcgetattr(stderr()).ok()?;
        let mut quiet = modes.clone();
        quiet.local_flags.remove(LocalFlags::ECHO);
        // Ctrl-Z and Ctrl-\ would leave a shell on a screen that is not its own.
        for key in [SpecialCharacterIndices::VSUSP, SpecialCharacterIndices::VQUIT] {
            quiet.control_chars[key as usize] = nix::libc::_POSIX_VDISABLE;
        }
        let backend = CrosstermBackend::new(BufWriter::new(stderr()));
        let viewport = Viewport::Fixed(Rect::new(0, 0, size.0, size.1));
        let terminal = Terminal::with_options(backend, TerminalOptions { viewport }).ok()?;
        tcsetattr(stderr(), SetArg::TCSANOW, &quiet).ok()?;
        if execute!(stderr(), EnterAlternateScreen, Hide).is_err() {
            give_back(&modes);
            return None;
        }
        Some(Self { terminal, size, modes, held: Vec::new() })
    }

    fn close(self) {
        give_back(&self.modes);
        for text in self.held {
            let _ = writeln!(stderr(), "loadtest: {text}");
        }
    }
}

fn give_back(modes: &Termios) {
    let _ = execute!(stderr(), Show, LeaveAlternateScreen);
    let _ = tcsetattr(stderr(), SetArg::TCSANOW, modes);
}

/// What a panic says is to be read on the screen that stays.
fn on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            close();
            before(panic);
        }));
    });
}
