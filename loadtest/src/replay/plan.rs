//! The arithmetic of a replay: windows, the opening stock that suffices, and the final stock that must follow.

use std::ops::Range;

use super::file::{Invoice, Orders};

/// The units of each sku, by its index.
pub type Stock = Vec<i64>;

/// The invoices of each window, aligned to multiples of its length since 1970, empty windows left out.
pub fn windows(invoices: &[Invoice], window_minutes: i64) -> Vec<Range<usize>> {
    let number = |invoice: &Invoice| invoice.minute.div_euclid(window_minutes);
    let mut start = 0;
    let chunks = invoices.chunk_by(|a, b| number(a) == number(b));
    chunks
        .map(|chunk| {
            let range = start..start + chunk.len();
            start = range.end;
            range
        })
        .collect()
}

/// The least opening stock with which no invoice need be refused, whatever the order within each window.
///
/// At the worst moment of a window every invoice that takes has taken, and none that brings back has: so for each
/// sku it is the largest, over the windows, of what left on balance before the window plus all that leaves within
/// it. Lines of one sku in one invoice count together, as the service counts them.
pub fn opening(orders: &Orders, windows: &[Range<usize>]) -> Stock {
    let mut balance = vec![0; orders.skus.len()];
    let mut needed = vec![0; orders.skus.len()];
    let mut touched = Vec::new();
    for window in windows {
        let mut leaving = Sparse::new(&mut touched);
        for invoice in &orders.invoices[window.clone()] {
            for (sku, delta) in combined(invoice) {
                leaving.add(sku, (-delta).max(0));
            }
        }
        for (sku, leaving) in leaving.sums() {
            needed[sku] = needed[sku].max(leaving - balance[sku]);
        }
        for invoice in &orders.invoices[window.clone()] {
            book(&mut balance, invoice);
        }
    }
    needed
}

/// The given part of a stock, rounded down.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "units are far below 2^53, and the part is between 0 and 1"
)]
pub fn part_of(stock: &Stock, fraction: f64) -> Stock {
    stock.iter().map(|units| (*units as f64 * fraction).floor() as i64).collect()
}

/// Books an invoice that was accepted.
pub fn book(stock: &mut Stock, invoice: &Invoice) {
    for line in &invoice.lines {
        stock[line.sku as usize] += line.delta;
    }
}

/// Books what an invoice brings back, which is at the door even if the invoice was refused.
pub fn book_returned(stock: &mut Stock, invoice: &Invoice) {
    for line in invoice.lines.iter().filter(|line| line.delta > 0) {
        stock[line.sku as usize] += line.delta;
    }
}

/// The changes of an invoice, the lines of one sku together.
fn combined(invoice: &Invoice) -> Vec<(usize, i64)> {
    let mut changes: Vec<(usize, i64)> =
        invoice.lines.iter().map(|line| (line.sku as usize, line.delta)).collect();
    changes.sort_unstable_by_key(|(sku, _)| *sku);
    changes
        .chunk_by(|a, b| a.0 == b.0)
        .map(|lines| (lines[0].0, lines.iter().map(|line| line.1).sum()))
        .collect()
}

/// Sums of the few skus that a window touches. The list is kept between windows, for its memory.
struct Sparse<'a>(&'a mut Vec<(usize, i64)>);

impl<'a> Sparse<'a> {
    fn new(memory: &'a mut Vec<(usize, i64)>) -> Self {
        memory.clear();
        Self(memory)
    }

    fn add(&mut self, sku: usize, units: i64) {
        self.0.push((sku, units));
    }

    fn sums(&mut self) -> impl Iterator<Item = (usize, i64)> {
        self.0.sort_unstable_by_key(|(sku, _)| *sku);
        self.0.chunk_by(|a, b| a.0 == b.0).map(|units| (units[0].0, units.iter().map(|unit| unit.1).sum()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::replay::file::{OrderLine, read};

    fn orders(lines: &str) -> Orders {
        read("test", format!("invoice,sku,quantity,at\n{lines}").as_bytes()).unwrap()
    }

    #[test]
    fn windows_are_aligned_and_follow_one_another() {
        let orders = orders(
            "1,a,1,2010-12-01T07:59Z\n2,a,1,2010-12-01T08:00Z\n3,a,1,2010-12-01T11:59Z\n4,a,1,2010-12-01T12:00Z\n",
        );
        assert_eq!(windows(&orders.invoices, 240), [0..1, 1..3, 3..4]);
    }

    #[test]
    fn a_return_in_the_same_window_does_not_help_but_an_earlier_one_does() {
        // Window 1 takes 5 and brings 5 back, in an order nobody knows; window 2 takes 6.
        let orders = orders(
            "1,a,5,2010-12-01T08:00Z\nC2,a,-5,2010-12-01T08:01Z\n3,a,4,2010-12-01T12:00Z\n4,a,2,2010-12-01T12:00Z\n",
        );
        assert_eq!(opening(&orders, &windows(&orders.invoices, 240)), [6]);
        let together = opening(&orders, &windows(&orders.invoices, 1_440));
        assert_eq!(together, [11]);
    }

    #[test]
    fn lines_of_one_sku_count_together_and_write_offs_count() {
        let orders = orders(
            "1,a,5,2010-12-01T08:00Z\n1,a,3,2010-12-01T08:00Z\n2,a,-4,2010-12-01T16:00Z\nC3,a,-9,2010-12-02T08:00Z\n",
        );
        assert_eq!(opening(&orders, &windows(&orders.invoices, 240)), [12]);
    }

    #[test]
    fn goods_of_a_refused_invoice_come_back_all_the_same() {
        let invoice = Invoice {
            id: "1".into(),
            minute: 0,
            lines: vec![OrderLine { sku: 0, delta: -5 }, OrderLine { sku: 1, delta: 2 }],
        };
        let mut stock = vec![1, 1];
        book_returned(&mut stock, &invoice);
        assert_eq!(stock, [1, 3]);
        book(&mut stock, &invoice);
        assert_eq!(stock, [-4, 5]);
    }

    #[test]
    fn a_part_is_rounded_down() {
        assert_eq!(part_of(&vec![10, 3, 0], 0.7), [7, 2, 0]);
        assert_eq!(part_of(&vec![10, 3, 0], 1.0), [10, 3, 0]);
    }

    proptest! {
        /// Any order within the windows can be served, and with one unit less of a needed sku some order cannot.
        #[test]
        fn the_opening_stock_suffices_in_any_order_and_is_the_least(
            lines in prop::collection::vec((0_i64..6, 0_u32..3, prop_oneof![-9_i64..0, 1_i64..9]), 1..40),
        ) {
            let mut invoices: Vec<Invoice> = lines
                .iter()
                .map(|&(window, sku, delta)| Invoice {
                    id: String::new(),
                    minute: window * 240,
                    lines: vec![OrderLine { sku, delta }],
                })
                .collect();
            invoices.sort_by_key(|invoice| invoice.minute);
            let orders = Orders { invoices, skus: vec!["a".into(), "b".into(), "c".into()], ..Orders::default() };
            let windows = windows(&orders.invoices, 240);
            let opening = opening(&orders, &windows);
            // The worst order of a window: all that takes comes first.
            let mut stock = opening.clone();
            let mut least = stock.clone();
            for window in &windows {
                let mut worst: Vec<&Invoice> = orders.invoices[window.clone()].iter().collect();
                worst.sort_by_key(|invoice| invoice.lines[0].delta);
                for invoice in worst {
                    book(&mut stock, invoice);
                    for (least, units) in least.iter_mut().zip(&stock) {
                        *least = (*least).min(*units);
                    }
                }
            }
            for (sku, least) in least.iter().enumerate() {
                prop_assert!(*least >= 0);
                prop_assert!(*least == 0 || opening[sku] == 0);
            }
        }
    }
}
