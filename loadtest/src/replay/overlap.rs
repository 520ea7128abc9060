//! How much of a replay was really concurrent.

/// From the sending of a request to the end of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// Sent, in nanoseconds.
    pub sent_ns: u64,
    /// Answered.
    pub answered_ns: u64,
}

/// How much overlapped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Overlap {
    /// Requests that were in flight together with at least one other.
    pub overlapped: u64,
    /// The most in flight at one moment.
    pub in_flight_max: u64,
}

/// Measures the overlap of all intervals, in O(n log n).
pub fn overlap(mut intervals: Vec<Interval>) -> Overlap {
    intervals.sort_unstable_by_key(|interval| interval.sent_ns);
    let mut overlapped = 0;
    let mut latest_before = None;
    for (index, interval) in intervals.iter().enumerate() {
        let with_earlier = latest_before.is_some_and(|latest| interval.sent_ns < latest);
        let with_later = intervals.get(index + 1).is_some_and(|next| next.sent_ns < interval.answered_ns);
        overlapped += u64::from(with_earlier || with_later);
        latest_before = latest_before.max(Some(interval.answered_ns));
    }
    Overlap { overlapped, in_flight_max: in_flight_max(&intervals) }
}

fn in_flight_max(by_sent: &[Interval]) -> u64 {
    let mut answers: Vec<u64> = by_sent.iter().map(|interval| interval.answered_ns).collect();
    answers.sort_unstable();
    let (mut answered, mut most) = (0, 0);
    for (sent, interval) in by_sent.iter().enumerate() {
        while answers.get(answered).is_some_and(|answer| *answer <= interval.sent_ns) {
            answered += 1;
        }
        most = most.max(sent + 1 - answered);
    }
    most as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(intervals: &[(u64, u64)]) -> Overlap {
        overlap(intervals.iter().map(|&(sent_ns, answered_ns)| Interval { sent_ns, answered_ns }).collect())
    }

    #[test]
    fn one_after_another_is_no_overlap() {
        assert_eq!(of(&[(0, 1), (1, 2), (2, 3)]), Overlap { overlapped: 0, in_flight_max: 1 });
    }

    #[test]
    fn a_long_one_overlaps_all_within_it() {
        assert_eq!(of(&[(0, 10), (1, 2), (3, 4), (11, 12)]), Overlap { overlapped: 3, in_flight_max: 2 });
    }

    #[test]
    fn three_at_once() {
        assert_eq!(of(&[(0, 5), (1, 6), (2, 7)]), Overlap { overlapped: 3, in_flight_max: 3 });
        assert_eq!(of(&[]), Overlap::default());
    }
}
