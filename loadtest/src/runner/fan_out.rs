//! A list of calls, each made once, by as many clients at once as there are: opening, reading back, cleaning up, and
//! the windows of a replay.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::JoinSet;

use super::joined;
use super::session::{Class, Exchange, Fate, Session};
use crate::client::Call;

/// How often a call that certainly did nothing is made again before it is given up.
const ATTEMPTS_MAX: u32 = 5;

/// Makes every call, each by whichever session is free; answers each call's exchange, by index.
pub async fn fan_out(sessions: &mut Vec<Session>, calls: Arc<[Call]>) -> Vec<Option<Exchange>> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut exchanges = vec![None; calls.len()];
    let mut tasks = JoinSet::new();
    for session in sessions.drain(..) {
        let (calls, next) = (Arc::clone(&calls), Arc::clone(&next));
        match session.home().cloned() {
            Some(home) => tasks.spawn(home.run(move || work(session, calls, next))),
            None => tasks.spawn(work(session, calls, next)),
        };
    }
    while let Some(done) = tasks.join_next().await {
        let (session, made) = joined(done);
        sessions.push(session);
        for (index, exchange) in made {
            exchanges[index] = Some(exchange);
        }
    }
    sessions.sort_unstable_by_key(Session::id);
    exchanges
}

/// Makes every call until it is answered, a bounded number of times; answers each call's last exchange, by index.
///
/// Only for calls that may be repeated: a read, a create or delete that may find its work already done, and anything
/// that certainly did nothing. Whatever may have taken effect is left as it is.
pub async fn insist(sessions: &mut Vec<Session>, calls: Arc<[Call]>) -> Vec<Option<Exchange>> {
    let mut exchanges = fan_out(sessions, Arc::clone(&calls)).await;
    for _ in 1..ATTEMPTS_MAX {
        let open: Vec<usize> =
            (0..calls.len()).filter(|&index| may_repeat(&calls[index], exchanges[index])).collect();
        if open.is_empty() {
            break;
        }
        let again: Arc<[Call]> = open.iter().map(|&index| calls[index].clone()).collect();
        for (index, exchange) in open.into_iter().zip(fan_out(sessions, again).await) {
            exchanges[index] = exchange;
        }
    }
    exchanges
}

/// Whether a call got the answer it was made for.
pub fn is_answered(exchange: Option<&Exchange>) -> bool {
    exchange.is_some_and(|exchange| matches!(exchange.class, Class::Done | Class::Refused))
}

fn may_repeat(call: &Call, exchange: Option<Exchange>) -> bool {
    match exchange {
        Some(exchange) if is_answered(Some(&exchange)) => false,
        Some(exchange) => exchange.fate == Fate::NotApplied || is_repeatable(call),
        None => is_repeatable(call),
    }
}

const fn is_repeatable(call: &Call) -> bool {
    matches!(call, Call::Read(_) | Call::Create { .. } | Call::Delete(_))
}

async fn work(
    mut session: Session,
    calls: Arc<[Call]>,
    next: Arc<AtomicUsize>,
) -> (Session, Vec<(usize, Exchange)>) {
    let mut made = Vec::new();
    loop {
        // Relaxed: the number is all that is shared.
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some(call) = calls.get(index) else { return (session, made) };
        made.push((index, session.perform(call.clone()).await));
    }
}
