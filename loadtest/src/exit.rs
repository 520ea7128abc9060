//! The exit codes, and which one wins when several apply. Nothing here prints.

/// How a command ended. The numbers are a promise to scripts and pipelines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything asked for was done, and the proof is complete and clean.
    Ok = 0,
    /// The run could not be done: no server, no file, a port in use.
    CouldNotRun = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// A threshold such as `--max-p99` was missed.
    ThresholdMissed = 3,
    /// The server broke a promise: an update was lost, a refusal was wrong, a final count is off.
    Violation = 4,
    /// The run proves nothing: no contended write, only errors, a search bound was hit, the racy control got away.
    Inconclusive = 5,
    /// Slower than the baseline it was compared with.
    Regression = 6,
    /// Stopped by Ctrl-C or SIGTERM; what had been recorded until then was verified all the same.
    Interrupted = 130,
}

impl Exit {
    /// The code that stands for several findings: a violation beats everything, because it stays true whatever
    /// else went wrong.
    pub fn worst(findings: impl IntoIterator<Item = Self>) -> Self {
        findings.into_iter().max_by_key(|exit| exit.weight()).unwrap_or(Self::Ok)
    }

    /// The number for the shell.
    pub const fn code(self) -> u8 {
        self as u8
    }

    const fn weight(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Regression => 1,
            Self::ThresholdMissed => 2,
            Self::Inconclusive => 3,
            Self::Usage => 4,
            Self::CouldNotRun => 5,
            Self::Interrupted => 6,
            Self::Violation => 7,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn a_violation_wins_over_everything_else() {
        let all = [
            Exit::Interrupted,
            Exit::Violation,
            Exit::Inconclusive,
            Exit::CouldNotRun,
            Exit::ThresholdMissed,
            Exit::Ok,
        ];
        assert_eq!(Exit::worst(all), Exit::Violation);
    }

    #[test]
    fn an_interrupt_wins_over_a_missed_threshold_and_nothing_means_ok() {
        assert_eq!(Exit::worst([Exit::ThresholdMissed, Exit::Interrupted]), Exit::Interrupted);
        assert_eq!(Exit::worst([]), Exit::Ok);
    }
}
