//! Statements in a row, without waiting for the answer of one before the next is sent.
//!
//! A connection sends what a future asks for when the future is polled first. So futures that are polled first in the order in which they stand
//! are statements in that order, and all of them cost one round trip.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use deadpool_postgres::ClientWrapper;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row, Statement};

/// What a statement comes to: its rows, or none for one that has none.
pub(super) type Rows = Result<Vec<Row>, Error>;

type Pending<'c> = Pin<Box<dyn Future<Output = Rows> + Send + 'c>>;

/// A parameter of a statement.
pub(super) type Param = Box<dyn ToSql + Send + Sync>;

/// Statements of one connection that are sent together.
pub(super) struct Pipeline<'c> {
    client: &'c ClientWrapper,
    pending: Vec<Pending<'c>>,
}

impl<'c> Pipeline<'c> {
    /// None yet.
    pub(super) fn of(client: &'c ClientWrapper) -> Self {
        Self { client, pending: Vec::new() }
    }

    /// Adds words that have no parameters and no rows, perhaps several in one message. Returns the place of what they come to.
    pub(super) fn words(&mut self, words: &'static str) -> usize {
        let client = self.client;
        self.pending.push(Box::pin(async move { client.batch_execute(words).await.map(|()| Vec::new()) }));
        self.pending.len() - 1
    }

    /// Adds a statement. Returns the place of what it comes to.
    pub(super) fn ask(&mut self, statement: Statement, params: Vec<Param>) -> usize {
        let client = self.client;
        self.pending.push(Box::pin(async move {
            let params: Vec<&(dyn ToSql + Sync)> =
                params.iter().map(|param| &**param as &(dyn ToSql + Sync)).collect();
            client.query(&statement, &params).await
        }));
        self.pending.len() - 1
    }

    /// Sends all, and waits for what each comes to.
    pub(super) async fn sent(self) -> Vec<Rows> {
        self.sent_with(|_| ()).await
    }

    /// The same; `done` is told of each as its answer comes.
    pub(super) async fn sent_with(self, mut done: impl FnMut(usize)) -> Vec<Rows> {
        let mut pending: Vec<Option<Pending<'c>>> = self.pending.into_iter().map(Some).collect();
        let mut rows: Vec<Option<Rows>> = pending.iter().map(|_| None).collect();
        let mut left = pending.len();
        poll_fn(|context| {
            for (at, slot) in pending.iter_mut().enumerate() {
                let Some(future) = slot else { continue };
                if let Poll::Ready(answer) = future.as_mut().poll(context) {
                    rows[at] = Some(answer);
                    *slot = None;
                    left -= 1;
                    done(at);
                }
            }
            if left == 0 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        rows.into_iter().flatten().collect()
    }
}

/// The first error among answers, and its place.
pub(super) fn first_error(answers: &mut Vec<Rows>) -> Option<(usize, Error)> {
    let at = answers.iter().position(Result::is_err)?;
    answers.swap_remove(at).err().map(|error| (at, error))
}

/// A parameter.
pub(super) fn param(value: impl ToSql + Send + Sync + 'static) -> Param {
    Box::new(value)
}
