//! What a client will ask, drawn before the clock starts: drawing costs as much as recording an answer, and belongs to
//! neither the server nor the measurement.

use history::Seen;

use super::{Generator, heard};
use crate::client::Call;

/// The most steps of all clients together: a bound on memory.
const STEPS_MAX: usize = 1 << 16;

/// The least of one client, however many there are.
const STEPS_MIN: usize = 256;

/// The calls of one client, round and round.
#[derive(Debug)]
pub struct Tape {
    /// Each with what follows once it is answered: the second half of a count, or of a deletion.
    steps: Vec<(Call, Option<Call>)>,
    next: usize,
    follow_up: Option<Call>,
    opening_stock: u64,
}

/// How many steps the tape of each client has.
pub fn steps(clients: usize) -> usize {
    (STEPS_MAX / clients.max(1)).max(STEPS_MIN)
}

impl Tape {
    /// Draws this many steps, at least one.
    pub fn draw(mut generator: Generator, steps: usize) -> Self {
        let opening_stock = generator.opening_stock;
        let mut step = || (generator.next_call(), generator.follow_up.take());
        Self { steps: (0..steps.max(1)).map(|_| step()).collect(), next: 0, follow_up: None, opening_stock }
    }

    /// The next call.
    pub fn next_call(&mut self) -> Call {
        if let Some(call) = self.follow_up.take() {
            return call;
        }
        let (call, follow_up) = self.steps[self.next].clone();
        self.next = (self.next + 1) % self.steps.len();
        self.follow_up = follow_up;
        call
    }

    /// Tells the tape what a read answered: a count that started with a read goes on from what it saw.
    pub fn heard(&mut self, seen: &Seen) {
        heard(&mut self.follow_up, self.opening_stock, seen);
    }
}

#[cfg(test)]
mod tests {
    use history::Stock;

    use super::super::{Keys, Mix, Spec};
    use super::*;

    fn spec() -> Spec {
        Spec { skus: 20, keys: Keys::Zipf(1.0), mix: Mix::default(), opening_stock: 50, seed: 9 }
    }

    /// Whoever plays a tape asks what whoever draws asks, with the same answers in between, and then again.
    #[test]
    fn a_tape_asks_what_its_generator_would_have() {
        let (mut drawn, mut tape) = (spec().generator(1, 3), Tape::draw(spec().generator(1, 3), 300));
        let mut first = Vec::new();
        let mut version = 0;
        for _ in 0..300 {
            let call = drawn.next_call();
            assert_eq!(tape.next_call(), call);
            if let Call::Read(key) = call {
                version += 1;
                let stock = if version % 2 == 0 { Stock::Absent } else { Stock::Untold };
                let seen = Seen { key, version, stock };
                drawn.heard(&seen);
                tape.heard(&seen);
            }
            first.push(call);
        }
        assert!(first.iter().any(|call| matches!(call, Call::Count { if_version: Some(_), .. })));
        let mut again = Tape::draw(spec().generator(1, 3), 10);
        let round: Vec<Call> = (0..10).map(|index| again.steps[index].0.clone()).collect();
        let played = std::iter::from_fn(|| {
            again.follow_up = None;
            Some(again.next_call())
        });
        assert_eq!(played.take(20).collect::<Vec<_>>(), [&round[..], &round].concat());
    }
}
