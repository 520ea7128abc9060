//! The CPU time that a process has used, as the kernel tells it.

use std::fs;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use nix::time::ClockId;
use nix::unistd::Pid;

/// User and system time of a process so far; `None` when it is gone, or where that cannot be asked.
///
/// Of its CPU-time clock (`clock_getcpuclockid(3)`), to the nanosecond: the ticks of `/proc` are 10 ms, which of a measurement
/// of a third of a second are 3 %. Where there is no such clock, of `/proc`.
pub fn cpu_time(pid: u32) -> Option<Duration> {
    clocked(pid).or_else(|| ticked(pid))
}

fn clocked(pid: u32) -> Option<Duration> {
    let pid = Pid::from_raw(i32::try_from(pid).ok()?);
    Some(ClockId::pid_cpu_clock_id(pid).ok()?.now().ok()?.into())
}

/// Fields 14 and 15 of `/proc/PID/stat` (proc(5)), in clock ticks.
fn ticked(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let ticks = cpu_ticks(&stat)?;
    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok()??;
    Some(Duration::from_millis(ticks.saturating_mul(1_000) / u64::try_from(per_second).ok()?.max(1)))
}

/// User and system time of this process so far, to the microsecond: getrusage(2).
pub fn own_cpu_time() -> Option<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let micros = (usage.user_time() + usage.system_time()).num_microseconds();
    u64::try_from(micros).ok().map(Duration::from_micros)
}

fn cpu_ticks(stat: &str) -> Option<u64> {
    // The name in field 2 may hold spaces and parentheses: what follows its last parenthesis is field 3.
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_ascii_whitespace().skip(14 - 3);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_after_the_name() {
        let stat = "42 (a) (b c) S 1 42 42 0 -1 4194560 1 2 3 4 250 50 7 8 20 0 4 0 99";
        assert_eq!(cpu_ticks(stat), Some(300));
    }

    #[test]
    fn this_process_has_a_cpu_time_and_a_missing_one_has_none() {
        assert!(cpu_time(std::process::id()).is_some());
        assert_eq!(cpu_time(u32::MAX), None);
        let before = own_cpu_time().unwrap();
        // As many roundings as it takes to be seen.
        let mut sum = 0.5_f64;
        while own_cpu_time().unwrap() == before {
            sum = (sum + 1.0).sqrt();
        }
        assert!(own_cpu_time().unwrap() > before && sum > 0.0);
        assert_eq!((clocked(u32::MAX), ticked(u32::MAX)), (None, None));
    }

    /// Both count the same, one of them in steps of 10 ms; the clock is read in between, so it lies between.
    #[test]
    fn the_clock_and_the_ticks_agree() {
        let own = std::process::id();
        let (before, clock, after) = (ticked(own).unwrap(), clocked(own).unwrap(), ticked(own).unwrap());
        let tick = Duration::from_millis(20);
        assert!(clock + tick >= before && clock <= after + tick, "{before:?} {clock:?} {after:?}");
    }
}
