//! How far a command is, on standard error: a bar or a line on a terminal, nothing elsewhere or without the feature `progress`.

/// A bar, if anybody can see one.
#[derive(Debug)]
pub(super) struct Progress {
    #[cfg(feature = "progress")]
    bar: Option<indicatif::ProgressBar>,
}

#[cfg(feature = "progress")]
impl Progress {
    /// At nothing of nothing.
    pub(super) fn new() -> Self {
        use std::io::IsTerminal as _;

        use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("verifying {wide_bar} {bytes}/{total_bytes} {eta}");
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
            if let Ok(style) = style { bar.with_style(style) } else { bar }
        });
        Self { bar }
    }

    /// That many bytes of so many.
    pub(super) fn at(&self, bytes: u64, bytes_total: u64) {
        if let Some(bar) = &self.bar {
            bar.set_length(bytes_total);
            bar.set_position(bytes);
        }
    }

    /// Takes it off the screen.
    pub(super) fn end(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(not(feature = "progress"))]
#[expect(clippy::unused_self, reason = "the shape of the one that shows something")]
impl Progress {
    pub(super) fn new() -> Self {
        Self {}
    }

    pub(super) fn at(&self, _bytes: u64, _bytes_total: u64) {}

    pub(super) fn end(self) {}
}

/// What was counted so far, if anybody can see it.
#[derive(Debug, Clone)]
pub(super) struct Counted {
    #[cfg(feature = "progress")]
    bar: Option<indicatif::ProgressBar>,
}

#[cfg(feature = "progress")]
impl Counted {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        use std::io::IsTerminal as _;

        use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

        let bar = || {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            match ProgressStyle::with_template("moving {spinner} {msg}") {
                Ok(style) => bar.with_style(style),
                Err(_) => bar,
            }
        };
        Self { bar: std::io::stderr().is_terminal().then(bar) }
    }

    /// So much.
    pub(super) fn at(&self, counted: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(counted.to_owned());
            bar.tick();
        }
    }

    /// Takes it off the screen.
    pub(super) fn end(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(not(feature = "progress"))]
#[expect(clippy::unused_self, reason = "the shape of the one that shows something")]
impl Counted {
    pub(super) fn new() -> Self {
        Self {}
    }

    pub(super) fn at(&self, _counted: &str) {}

    pub(super) fn end(self) {}
}
