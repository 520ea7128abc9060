//! The counter against what it promises, with orders and stock of all kinds.

use proptest::prelude::*;

use super::*;
use crate::stock::{Location, OrderLine, OrderState, OrderTimes, Quantity, Sku};
use crate::store::{Discipline, Orders};

fn key(level: u8) -> StockKey {
    StockKey::new(&Sku::parse(&format!("s{level}")).unwrap(), &Location::DEFAULT)
}

fn order(number: u128, lines: &[(u8, u64)]) -> Arc<Order> {
    let line =
        |(level, units): &(u8, u64)| OrderLine { key: key(*level), quantity: Quantity::new(*units).unwrap() };
    Arc::new(Order {
        id: OrderId::from_bits(number),
        state: OrderState::Queued,
        lines: lines.iter().map(line).collect(),
        priority: 0,
        backorder: true,
        remark: None,
        actor: None,
        times: OrderTimes::default(),
        returned: Vec::new(),
        problem: None,
    })
}

fn rank(order: &Order, discipline: Discipline) -> Rank {
    Rank::of(order, &Orders { discipline, ..Orders::default() })
}

/// A shop with a counter: what the pipeline does with it, in one thread.
#[derive(Debug, Default)]
struct Shop {
    counter: Counter,
    units: HashMap<StockKey, u64>,
    /// Who sees to what, and whether it is over.
    at_work: Vec<Task>,
    orders: HashMap<OrderId, (Arc<Order>, Rank)>,
    waiting: BTreeSet<Rank>,
    done: Vec<OrderId>,
}

impl Shop {
    fn place(&mut self, number: u128, lines: &[(u8, u64)], discipline: Discipline) {
        let order = order(number, lines);
        let rank = rank(&order, discipline);
        self.orders.insert(order.id, (Arc::clone(&order), rank));
        self.counter.add(rank, order);
    }

    /// Somebody begins with what is next. From here on an order that is tried may take its units: also if one that is before it comes, and waits,
    /// in the meantime.
    fn begin(&mut self) {
        let Some(task) = self.counter.next() else { return };
        if task.what == What::Try {
            let (order, rank) = &self.orders[&task.id];
            self.assert_overtakes_nobody(order, *rank);
        }
        self.at_work.push(task);
    }

    /// One of those at work is done with what it does.
    fn end(&mut self, which: usize) {
        if self.at_work.is_empty() {
            return;
        }
        let task = self.at_work.remove(which % self.at_work.len());
        let (order, rank) = self.orders[&task.id].clone();
        if task.what == What::Try {
            let fits =
                |line: &OrderLine| self.units.get(&line.key).copied().unwrap_or(0) >= line.quantity.units();
            if order.lines.iter().all(fits) {
                for line in &order.lines {
                    *self.units.get_mut(&line.key).unwrap() -= line.quantity.units();
                }
                self.done.push(order.id);
                self.waiting.remove(&rank);
                self.counter.leave(rank);
                return;
            }
        }
        if self.counter.wait(rank) {
            self.waiting.insert(rank);
        }
    }

    /// Of those that wait, none that is before it wants units of the same level.
    fn assert_overtakes_nobody(&self, order: &Order, rank: Rank) {
        for before in self.waiting.range(..rank) {
            let (waits, _) = self.orders.values().find(|(_, rank)| rank == before).unwrap();
            assert!(!shares_level(waits, order), "{} is to take what {} waits for", order.id, waits.id);
        }
    }

    fn free(&mut self, level: u8, units: u64) {
        *self.units.entry(key(level)).or_default() += units;
        self.counter.freed(&key(level));
    }

    fn work_off(&mut self) {
        loop {
            self.begin();
            if self.at_work.is_empty() {
                return;
            }
            self.end(0);
        }
    }

    /// Nobody is at work: whoever is left waits for units that are not there, or for one before it.
    fn assert_nobody_waits_in_vain(&self) {
        assert_eq!(self.waiting.len() + self.done.len(), self.orders.len(), "nobody is lost");
        for (order, rank) in self.orders.values().filter(|(order, _)| !self.done.contains(&order.id)) {
            let held_up = self.orders.values().any(|(other, before)| {
                before < rank && !self.done.contains(&other.id) && shares_level(other, order)
            });
            let short = order
                .lines
                .iter()
                .any(|line| self.units.get(&line.key).copied().unwrap_or(0) < line.quantity.units());
            assert!(held_up || short, "{} could go", order.id);
        }
        assert!(
            self.counter.ready.is_empty()
                && self.counter.blocked.is_empty()
                && self.counter.queued.is_empty()
        );
    }
}

#[derive(Debug, Clone)]
enum Step {
    Place(Vec<(u8, u64)>),
    Begin,
    End(usize),
    Free(u8, u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    let lines = prop::collection::btree_map(0..4_u8, 1..4_u64, 1..4);
    prop_oneof![
        3 => lines.prop_map(|lines| Step::Place(lines.into_iter().collect())),
        4 => Just(Step::Begin),
        4 => any::<usize>().prop_map(Step::End),
        3 => (0..4_u8, 1..4_u64).prop_map(|(level, units)| Step::Free(level, units)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    /// Whatever comes in whatever order, and however many see to orders at once: nobody takes what one before it waits for, nobody is lost, and
    /// in the end nobody waits for what is there.
    #[test]
    fn nobody_is_overtaken_and_nobody_waits_in_vain(
        steps in prop::collection::vec(any_step(), 1..80),
        discipline in prop::sample::select(&Discipline::ALL[..]),
    ) {
        let mut shop = Shop::default();
        for (at, step) in steps.into_iter().enumerate() {
            match step {
                Step::Place(lines) => shop.place(at as u128, &lines, discipline),
                Step::Begin => shop.begin(),
                Step::End(which) => shop.end(which),
                Step::Free(level, units) => shop.free(level, units),
            }
        }
        while !shop.at_work.is_empty() {
            shop.end(0);
        }
        shop.work_off();
        shop.assert_nobody_waits_in_vain();
        for level in 0..4 {
            shop.free(level, 1_000);
        }
        shop.work_off();
        prop_assert_eq!(shop.done.len(), shop.orders.len(), "with enough for all, all go");
        prop_assert!(shop.counter.there.is_empty() && shop.counter.lines.is_empty());
    }
}

/// One worker, one level: who is first is said by the discipline alone.
#[test]
fn the_discipline_says_who_is_first() {
    for (discipline, expected) in [(Discipline::Fifo, [1, 2, 3]), (Discipline::Lifo, [3, 2, 1])] {
        let mut shop = Shop::default();
        for number in 1..=3 {
            shop.place(number, &[(0, 1)], discipline);
        }
        shop.free(0, 9);
        shop.work_off();
        assert_eq!(shop.done, expected.map(OrderId::from_bits), "{discipline:?}");
    }
}

/// A small order does not go while a large one that is before it waits for the same level; nor one that is behind it for the sake of another
/// level. A level that nobody before waits for is free to all.
#[test]
fn who_is_behind_one_that_waits_is_told_so() {
    let mut shop = Shop::default();
    shop.free(0, 3);
    shop.free(1, 9);
    shop.place(1, &[(0, 5)], Discipline::Fifo);
    shop.place(2, &[(0, 1), (1, 1)], Discipline::Fifo);
    shop.place(3, &[(1, 1)], Discipline::Fifo);
    shop.place(4, &[(2, 1)], Discipline::Fifo);
    shop.free(2, 1);
    shop.begin();
    shop.begin();
    let what = |shop: &Shop, at: usize| shop.at_work[at].what.clone();
    // The second is blocked until it is known what becomes of the first; so is the third, behind the second. The fourth is not.
    assert_eq!((what(&shop, 0), what(&shop, 1)), (What::Try, What::Try));
    assert_eq!(shop.at_work[1].id, OrderId::from_bits(4));
    shop.end(0);
    shop.begin();
    assert_eq!(what(&shop, 1), What::HeldUp(key(0)));
    shop.work_off();
    assert_eq!(shop.done, [OrderId::from_bits(4)]);
    shop.free(0, 2);
    shop.work_off();
    assert_eq!(shop.waiting.len(), 2, "the first has gone; the second is first now, and short of level 0");
    shop.free(0, 1);
    shop.work_off();
    assert_eq!(shop.done, [4, 1, 2, 3].map(OrderId::from_bits));
}

/// Units that come free while an order is tried are not missed: it is tried again rather than left to wait.
#[test]
fn units_that_come_free_during_a_look_are_not_missed() {
    let mut counter = Counter::default();
    let order = order(1, &[(0, 1)]);
    let rank = rank(&order, Discipline::Fifo);
    counter.add(rank, Arc::clone(&order));
    assert_eq!(counter.next().unwrap().what, What::Try);
    assert!(counter.watch(rank) && !counter.watch(rank));
    counter.freed(&key(0));
    assert!(!counter.wait(rank), "it is to be tried again");
    assert_eq!(counter.next().unwrap().what, What::Try);
    assert!(counter.wait(rank));
    assert_eq!(counter.next(), None);
    assert_eq!(counter.leave(rank), Some(order), "it was watched");
}

/// P10: there are as many places to wait as there are, and who leaves makes one free.
#[test]
fn places_to_wait_are_bounded() {
    let mut counter = Counter::default();
    let orders: Vec<_> = (1..=3).map(|number| order(number, &[(0, 1)])).collect();
    let ranks: Vec<_> = orders.iter().map(|order| rank(order, Discipline::Fifo)).collect();
    for (rank, order) in ranks.iter().zip(&orders) {
        counter.add(*rank, Arc::clone(order));
    }
    for rank in &ranks[..2] {
        assert_eq!(counter.next().unwrap().rank, *rank);
        assert!(counter.take_place(*rank, 2) && counter.take_place(*rank, 2));
        assert!(counter.wait(*rank));
    }
    assert_eq!(counter.next().unwrap().what, What::HeldUp(key(0)));
    assert!(!counter.take_place(ranks[2], 2));
    assert!(counter.take_place(ranks[2], usize::MAX), "one that waited before a restart");
    counter.leave(ranks[0]);
    counter.leave(ranks[1]);
    assert_eq!(counter.places, 1);
}

/// A cancelled order that somebody sees to is left to who does; any other is gone at once, and makes way.
#[test]
fn a_cancelled_order_makes_way() {
    let mut shop = Shop::default();
    for number in 1..=3 {
        shop.place(number, &[(0, 2)], Discipline::Fifo);
    }
    shop.begin();
    let rank = |shop: &Shop, number| shop.orders[&OrderId::from_bits(number)].1;
    let (first, second, third) = (rank(&shop, 1), rank(&shop, 2), rank(&shop, 3));
    shop.counter.cancelled(first);
    assert!(shop.counter.there.contains_key(&first), "somebody sees to it");
    shop.counter.cancelled(third);
    shop.end(0);
    shop.work_off();
    shop.counter.cancelled(first);
    assert_eq!(shop.counter.next().unwrap().rank, second, "it is first now");
    assert!(shop.counter.lines[&key(0)].len() == 1 && shop.counter.queued.is_empty());
}
