//! Reservations: units held until a deadline, and what becomes of them (promise P9).
//!
//! **Exact without anybody's help.** Whoever is about to look at a level, or to change it, first asks whether the deadline of any
//! reservation has come ([`Local::is_due`]: one load where there is none). Only if so, it looks at those of the levels it is about
//! to touch, and expires what is due: one change of all levels of the reservation, recorded as that. So from the deadline on nobody sees a unit
//! held, whether or not the sweeper ([`sweeper`](super::sweeper)) has come round; and before it nobody looks.
//!
//! **Once.** A reservation is *begun* before anything of it is changed ([`Hold::begin`]), and finished by the hand-off of that change
//! ([`Settling`]). Who meets one that somebody else has begun waits until it is known what became of it, a bounded time. A commit that
//! began before the deadline is let finish.
//!
//! The order of a deed is that of any other: what is due, the permit, the change with its hand-off, the witness, the answer.

use std::sync::Arc;
use std::time::Duration;

use super::Local;
use crate::journal::control::random;
use crate::journal::holds::{Begun, Hold, Holds, Opening, Settlement, Way};
use crate::journal::keys::Claim;
use crate::journal::lanes::{Of, Permit};
use crate::journal::record::RecordKind;
use crate::journal::stored::Stored;
use crate::said::Said;
use crate::stock::{
    Applied, Changed, EntryRefusal, HandOff, Reservation, ReservationId, ReservationState, StockKey, Term,
    Transaction,
};
use crate::store::of_reservations::{finished_before, giving_back, held, shipped};
use crate::store::{
    NotDone, ReservationPage, ReservationQuery, ReservationRefused, Transition, WasApplied, Why,
};
use crate::strategy::{Rejected, Strategy as _, TransactRefused, TransactRejected};

/// How a reservation is settled, and what is said about it.
struct Going {
    way: Way,
    kind: RecordKind,
    said: Said,
    claim: Option<Claim>,
}

/// What came of a command about a reservation.
type Judged = Result<Reservation, ReservationRefused>;

/// How long somebody waits for another who is making or settling the same reservation.
const UNDER_WAY_MAX: Duration = Duration::from_secs(5);

impl Local {
    /// Whether the deadline of any reservation has come: then what is due of a level is to be expired before it is looked at or changed.
    #[inline]
    pub(super) fn is_due(&self) -> bool {
        let shared = self.0.books.shared();
        shared.holds.is_due(|| shared.clock.now_ms())
    }

    /// Expires what is due of those levels.
    pub(super) async fn settle_due_of_all<'k>(
        &self,
        keys: impl Iterator<Item = &'k StockKey> + Send,
    ) -> Result<(), NotDone> {
        if !self.is_due() {
            return Ok(());
        }
        // Apart, so that the future of what nearly every transaction is has no room for it.
        let due = async {
            for key in keys {
                self.expire_due_of(key).await?;
            }
            Ok(())
        };
        Box::pin(due).await
    }

    /// Whether any of these levels has units that are held by a reservation whose deadline has come.
    pub(super) fn is_any_due(&self, keys: &[StockKey]) -> bool {
        let is_due = |key| self.holds().due_of(key, self.now_ms()).is_some();
        self.is_due() && keys.iter().any(is_due)
    }

    /// Expires what is due of that level.
    pub(super) async fn expire_due_of(&self, key: &StockKey) -> Result<(), NotDone> {
        let now_ms = self.now_ms();
        while let Some(hold) = self.holds().due_of(key, now_ms) {
            self.expire(&hold, now_ms).await?;
        }
        Ok(())
    }

    /// Sees to it that a reservation whose deadline has come holds nothing any more. Whoever else is at it is let finish.
    pub(super) async fn expire(&self, hold: &Arc<Hold>, now_ms: u64) -> Result<(), NotDone> {
        loop {
            match hold.begin(self.holds(), now_ms, true) {
                Begun::Mine(settlement) => {
                    // Not witnessed: whoever shows a level after it waits for that version, which comes after this one.
                    let going = Going {
                        way: Way::Expire,
                        kind: RecordKind::Expired,
                        said: Said::default(),
                        claim: None,
                    };
                    return self.give_back(settlement, going).await.map(drop);
                }
                Begun::UnderWay => self.wait_for(hold).await?,
                // It was settled or extended meanwhile.
                Begun::NotDue | Begun::Due | Begun::Finished => return Ok(()),
            }
        }
    }

    /// Holds units of several levels, all or none. What is returned has been witnessed.
    pub(super) async fn reserve(
        &self,
        transaction: &Arc<Transaction>,
        ttl: Duration,
        said: Said,
        claim: Option<Claim>,
    ) -> Result<Judged, NotDone> {
        self.settle_due_of_all(transaction.entries().iter().map(|entry| &entry.key)).await?;
        let permit = self.0.books.permit(RecordKind::Reserved, said, claim).await?;
        let (term, lines) = (self.term_from_now(ttl), held(transaction));
        let opening = self.holds().open(term, lines, self.0.books.reservations_max());
        let opening = opening.ok_or_else(|| NotDone::no(self.full()))?;
        let hold = Arc::clone(opening.hold());
        let hand_off = Making { permit, term, opening };
        let made = self.together(transaction, hand_off).await;
        Ok(match self.told_of(transaction, made).await? {
            Ok(_) => {
                let (lines, committed) = (hold.lines().to_vec(), Vec::new());
                Ok(Reservation { term, state: ReservationState::Pending, lines, committed })
            }
            Err(refused) => Err(ReservationRefused::Levels(refused)),
        })
    }

    /// Does that with a reservation, unless something else was done before. What is returned has been witnessed.
    pub(super) async fn settle(
        &self,
        id: ReservationId,
        transition: &Transition,
        said: Said,
        claim: Option<Claim>,
    ) -> Result<Judged, NotDone> {
        let Some(hold) = self.holds().get(id) else { return Ok(Err(ReservationRefused::NotFound)) };
        loop {
            match hold.begin(self.holds(), self.now_ms(), false) {
                Begun::Mine(settlement) => {
                    return self.begun(settlement, transition, said, claim).await;
                }
                Begun::UnderWay => self.wait_for(&hold).await?,
                Begun::Due | Begun::NotDue => self.expire(&hold, self.now_ms()).await?,
                Begun::Finished => {
                    self.0.books.witness_all(WasApplied::No).await?;
                    let reservation = hold.reservation().ok_or(ReservationRefused::NotFound);
                    return Ok(reservation.and_then(|reservation| finished_before(reservation, transition)));
                }
            }
        }
    }

    /// It is pending, and ours to do something with.
    async fn begun(
        &self,
        settlement: Settlement,
        transition: &Transition,
        said: Said,
        claim: Option<Claim>,
    ) -> Result<Judged, NotDone> {
        let hold = Arc::clone(settlement.hold());
        let (way, kind) = match transition {
            Transition::Extend(ttl) => return self.extend(settlement, *ttl, said, claim).await,
            Transition::Release => (Way::Release, RecordKind::Released),
            Transition::Commit(lines) => match shipped(hold.lines(), lines.as_deref()) {
                Ok(shipped) => (Way::Commit(shipped), RecordKind::Committed),
                Err(refused) => return Ok(Err(refused)),
            },
        };
        let seen = self.give_back(settlement, Going { way, kind, said, claim }).await?;
        let seen = seen.iter().map(|(key, version)| (key, *version));
        self.0.books.witness_levels(seen, WasApplied::Unknown).await?;
        // It stays as it is from here on.
        hold.reservation().map(Ok).ok_or_else(|| NotDone::unknown(Why::Damaged(GONE.to_owned())))
    }

    /// Gives the units back that way. Returns the versions of the levels after it, which are not witnessed.
    async fn give_back(&self, settlement: Settlement, going: Going) -> Result<Vec<(StockKey, u64)>, NotDone> {
        let Going { way, kind, said, claim } = going;
        let hold = Arc::clone(settlement.hold());
        let shipped = if let Way::Commit(shipped) = &way { Some(&shipped[..]) } else { None };
        let transaction = Arc::new(giving_back(hold.lines(), shipped));
        let permit = self.0.books.permit(kind, said, claim).await?;
        let (term, steady_ms) = (hold.term(), self.0.books.shared().clock.steady_ms());
        let hand_off = Settling { permit, term, settlement, way, steady_ms };
        match self.together(&transaction, hand_off).await {
            Ok(applied) => {
                let entries = transaction.entries().iter().zip(&applied);
                Ok(entries.map(|(entry, made)| (entry.key.clone(), made.after.version())).collect())
            }
            Err(TransactRejected::Contention(_)) => Err(NotDone::no(Why::Contention)),
            // The units of a pending reservation are in its levels, and nothing else takes them away.
            Err(TransactRejected::Refused(refused)) => {
                tracing::error!(reservation = %hold.id(), ?refused, "the levels do not hold what a reservation says");
                Err(NotDone::no(Why::Damaged(format!(
                    "the levels of reservation {} do not hold its units",
                    hold.id()
                ))))
            }
        }
    }

    /// [`Strategy::transact`](crate::strategy::Strategy::transact). What is of one level, as most reservations are, is one change of it, which
    /// says the same and costs a fraction.
    async fn together(
        &self,
        transaction: &Arc<Transaction>,
        hand_off: impl HandOff,
    ) -> Result<Vec<Applied>, TransactRejected> {
        let [entry] = transaction.entries() else {
            return self.0.stock.transact(transaction, hand_off).await;
        };
        match self.0.stock.apply(&entry.key, entry.change, hand_off).await {
            Ok(applied) => Ok(vec![applied]),
            Err(Rejected::Contention(contention)) => Err(contention.into()),
            Err(Rejected::Refused(refusal)) => {
                let refusals = vec![EntryRefusal { entry: 0, refusal }];
                Err(TransactRefused { refusals, found: vec![refusal.found] }.into())
            }
        }
    }

    async fn extend(
        &self,
        settlement: Settlement,
        ttl: Duration,
        said: Said,
        claim: Option<Claim>,
    ) -> Result<Judged, NotDone> {
        let hold = Arc::clone(settlement.hold());
        let permit = self.0.books.permit(RecordKind::Extended, said, claim).await?;
        let (before, wanted) = (hold.term(), self.term_from_now(ttl));
        // Never for less than was promised.
        let term = if wanted.expires_ms > before.expires_ms {
            Term { expires_ms: wanted.expires_ms, expires_date_ms: wanted.expires_date_ms, ..before }
        } else {
            before
        };
        let lines = hold.lines().to_vec();
        let stored = Stored::Extended(term, lines.clone());
        let told = settlement.extended(term, || permit.store(&stored));
        self.0.books.told(told, WasApplied::Unknown).await?;
        Ok(Ok(Reservation { term, state: ReservationState::Pending, lines, committed: Vec::new() }))
    }

    /// The reservation of that name, as it is, witnessed.
    pub(super) async fn reservation_named(&self, id: ReservationId) -> Result<Option<Reservation>, NotDone> {
        let Some(hold) = self.holds().get(id) else { return Ok(None) };
        self.settled_as_of_now(&hold).await?;
        let reservation = hold.reservation();
        self.0.books.witness_all(WasApplied::No).await?;
        Ok(reservation)
    }

    /// A page of reservations, each as it is when it is read, witnessed together.
    pub(super) async fn page_of_reservations(
        &self,
        query: ReservationQuery,
    ) -> Result<ReservationPage, NotDone> {
        let page = self.holds().page(query.state, self.now_ms(), query.after, query.limit);
        let mut reservations = Vec::with_capacity(page.kept.len());
        for hold in page.kept {
            self.settled_as_of_now(&hold).await?;
            reservations
                .extend(hold.reservation().filter(|it| query.state.is_none_or(|state| state == it.state)));
        }
        self.0.books.witness_all(WasApplied::No).await?;
        Ok(ReservationPage { reservations, next: page.next })
    }

    /// Expires all that is due, as fast as can be: for a start, which nobody else waits beside.
    pub(super) async fn expire_all_due(&self) -> Result<(), NotDone> {
        const AT_ONCE: usize = 64;
        while self.expire_some_due(AT_ONCE).await? {
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Expires some of what is due, `count` at most; whether there was any.
    pub(super) async fn expire_some_due(&self, count: usize) -> Result<bool, NotDone> {
        let now_ms = self.now_ms();
        let due = self.holds().due(now_ms, count);
        let some = !due.is_empty();
        // One that cannot be ended does not keep the others from it.
        let mut failed = None;
        for hold in due {
            failed = self.expire(&hold, now_ms).await.err().or(failed);
        }
        failed.map_or(Ok(some), Err)
    }

    /// Waits for who is at it, and expires it if that is due: from here on it is as it is now.
    async fn settled_as_of_now(&self, hold: &Arc<Hold>) -> Result<(), NotDone> {
        let now_ms = self.now_ms();
        if hold.term().expires_ms <= now_ms {
            return self.expire(hold, now_ms).await;
        }
        while hold.is_under_way() {
            self.wait_for(hold).await?;
        }
        Ok(())
    }

    /// Waits until something may have become of a reservation that somebody else is at.
    async fn wait_for(&self, hold: &Arc<Hold>) -> Result<(), NotDone> {
        let known = self.holds().until_known(hold);
        tokio::time::timeout(UNDER_WAY_MAX, known).await.map_err(|_| NotDone::no(Why::Contention))
    }

    fn term_from_now(&self, ttl: Duration) -> Term {
        let clock = &self.0.books.shared().clock;
        let (date_ms, ttl_ms) = (clock.date_ms(), u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
        Term {
            id: ReservationId::new(date_ms, u128::from(random()) << 64 | u128::from(random())),
            expires_date_ms: date_ms.saturating_add(ttl_ms),
            expires_ms: clock.now_ms().saturating_add(ttl_ms),
        }
    }

    fn full(&self) -> Why {
        let next_ms = self.holds().earliest_ms().unwrap_or(0).saturating_sub(self.now_ms());
        Why::ReservationsFull { retry_after: Duration::from_millis(next_ms) }
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.0.books.shared().clock.now_ms()
    }

    pub(super) fn holds(&self) -> &Arc<Holds> {
        &self.0.books.shared().holds
    }
}

const GONE: &str = "a reservation is gone that was settled just now";

/// The hand-off of a reservation that is made: who applied it has recorded it, and so it is pending.
struct Making {
    permit: Permit,
    term: Term,
    opening: Opening,
}

impl HandOff for Making {
    fn hand_over<'a, C>(self, changes: C)
    where
        C: ExactSizeIterator<Item = Changed<'a>> + Clone,
    {
        let of = Of::Reservation(self.term);
        self.opening.made(|| self.permit.hand_over_of(&of, changes));
    }
}

/// The hand-off of a reservation that is settled.
struct Settling {
    permit: Permit,
    term: Term,
    settlement: Settlement,
    way: Way,
    steady_ms: u64,
}

impl HandOff for Settling {
    fn hand_over<'a, C>(self, changes: C)
    where
        C: ExactSizeIterator<Item = Changed<'a>> + Clone,
    {
        let of = Of::Reservation(self.term);
        self.settlement.settled(self.way, self.steady_ms, || self.permit.hand_over_of(&of, changes));
    }
}
