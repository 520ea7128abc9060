//! The lines of a batch, each on its own: as many requests in one body, each answered on its own.

use std::sync::Arc;

use axum::http::HeaderValue;
use axum::response::Response;
use serde_json::value::RawValue;

use super::answer;
use crate::http::dto::{BatchWriter, LineProblem, LineResult, StockLevel, WrongLine};
use crate::http::problem::{Problem, ProblemKind};
use crate::said::Said;
use crate::stock::StockKey;
use crate::store::{
    Answered, AnyStore, Command, Deed, EachLine, Idempotency, LineOutcome, Outcome, Store as _, WrittenAnswer,
};

/// A line: what it asks, or what is wrong with it.
pub(super) type Line = Result<EachLine, WrongLine>;

/// Carries out each line that is one, and answers line by line.
pub(super) async fn each_alone(
    store: &AnyStore,
    lines: Vec<Line>,
    idempotency: Option<Box<Idempotency>>,
    said: Said,
) -> Result<Response, Problem> {
    let count = lines.len();
    let (mut asked, mut wrong) = (Vec::with_capacity(count), Vec::new());
    for (index, line) in lines.into_iter().enumerate() {
        match line {
            Ok(line) => asked.push(line),
            Err(line) => wrong.push((index, line)),
        }
    }
    let asked: Arc<[EachLine]> = asked.into();
    let (outcomes, replayed) = carry_out(store, &asked, idempotency, said).await?;
    let mut batch = BatchWriter::new(count);
    let (mut judged, mut wrong) = (asked.iter().zip(outcomes), wrong.into_iter().peekable());
    for index in 0..count {
        if let Some((_, line)) = wrong.next_if(|(at, _)| *at == index) {
            push_wrong(&mut batch, line);
        } else if let Some((line, outcome)) = judged.next() {
            push(&mut batch, index, &line.key, outcome)?;
        }
    }
    let response = answer::typed(batch.finish(), HeaderValue::from_static("application/json"));
    Ok(answer::marked(response, replayed))
}

async fn carry_out(
    store: &AnyStore,
    lines: &Arc<[EachLine]>,
    idempotency: Option<Box<Idempotency>>,
    said: Said,
) -> Result<(Vec<LineOutcome>, bool), Problem> {
    if lines.is_empty() {
        return Ok((Vec::new(), false));
    }
    let deed = Deed::Each { lines: Arc::clone(lines) };
    taken(store.execute(Command { deed, idempotency, said }).await?, lines.len())
}

/// What became of so many lines, and whether that is told again.
fn taken(
    Answered { outcome, replayed }: Answered,
    lines: usize,
) -> Result<(Vec<LineOutcome>, bool), Problem> {
    match outcome {
        Outcome::Each(outcomes) if outcomes.len() == lines => Ok((outcomes, replayed)),
        // The same body, of which an earlier version of the service read fewer lines as well formed.
        Outcome::Each(_) if replayed => Err(read_otherwise()),
        _ => Err(Problem::unexpected()),
    }
}

fn read_otherwise() -> Problem {
    let detail = "the request was carried out under this key by an earlier version of the service, which refused lines that are \
                  well formed now, such as a delta of 3.0; what it did stands, and nothing more was done";
    Problem::new(ProblemKind::IdempotencyKeyReused, detail)
}

/// `index` is that of the line in the request.
fn push(batch: &mut BatchWriter, index: usize, key: &StockKey, outcome: LineOutcome) -> Result<(), Problem> {
    let (sku, location) = (Some(key.sku()), Some(key.location()));
    let (status, level, problem) = match outcome {
        LineOutcome::Judged(Ok(applied)) => (200, Some(StockLevel::new(key, applied.after)), None),
        LineOutcome::Judged(Err(refusal)) => told(Problem::refused(refusal, key, &format!("/lines/{index}"))),
        LineOutcome::NotDone(not_done) => told(not_done.into()),
        LineOutcome::Written(answer) => (answer.status, None, Some(written(answer)?)),
    };
    batch.push(&LineResult { sku, location, status, level, problem });
    Ok(())
}

fn push_wrong(batch: &mut BatchWriter, line: WrongLine) {
    let (status, level, problem) = told(*line.problem);
    let (sku, location) = (line.sku.as_deref(), line.location.as_deref());
    batch.push(&LineResult { sku, location, status, level, problem });
}

fn told(problem: Problem) -> (u16, Option<StockLevel<'static>>, Option<LineProblem>) {
    (problem.status().as_u16(), None, Some(LineProblem::Told(Box::new(problem))))
}

fn written(answer: WrittenAnswer) -> Result<LineProblem, Problem> {
    let problem = String::from_utf8(answer.body).ok().and_then(|text| RawValue::from_string(text).ok());
    problem.map(LineProblem::Written).ok_or_else(Problem::unexpected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{NotDone, WasApplied, Why};

    /// P5: whoever repeats a request after an upgrade is told what it was, not that the service is broken.
    #[test]
    fn a_body_that_an_earlier_version_read_otherwise_is_told() {
        let ask = |replayed, lines| {
            let line = LineOutcome::NotDone(NotDone { why: Why::Contention, applied: WasApplied::No });
            taken(Answered { outcome: Outcome::Each(vec![line]), replayed }, lines)
                .map(|(outcomes, _)| outcomes.len())
                .map_err(|problem| problem.kind())
        };
        assert_eq!((ask(true, 1), ask(false, 1)), (Ok(1), Ok(1)));
        assert_eq!(ask(true, 2), Err(ProblemKind::IdempotencyKeyReused));
        assert_eq!(ask(false, 2), Err(ProblemKind::InternalError));
    }
}
