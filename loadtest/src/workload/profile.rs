//! Workloads by name: what well-known benchmarks ask, as far as an inventory can be asked it.
//!
//! YCSB's core workloads A, B, C and F (Cooper et al., *Benchmarking Cloud Serving Systems with YCSB*, 2010): an update is
//! an adjustment, a read-modify-write a read followed by a count that demands the version it saw; keys by a scrambled Zipf
//! law with exponent 0.99. TPC-C's New-Order (TPC-C 5.11, 2.4) takes 5 to 15 items, 1 to 10 units of each, all or
//! nothing, and Stock-Level (2.8) looks at the stock of recent orders while they come in. Where TPC-C puts 91 units on the shelf
//! once fewer than ten would be left, one line in eleven is a delivery here. A flash sale is one sku that everybody wants at once,
//! one unit of it, now and then two or three; nothing comes in. It goes on for a while after it is sold out, so that it
//! says both that no unit was sold twice and that nobody was refused one that was there. A bank moves units between few levels,
//! and looks at all of them at one instant; whatever is moved, they have together what was paid in. (It is the classic test of snapshot
//! isolation: Adya, *Weak Consistency*, 1999, section 3; the bank of Jepsen's tests.)

use clap::ValueEnum;

use super::mix::{Mix, Operation, Shape};
use super::{CLIENTS, Keys, OPENING_STOCK, SKUS};

/// How often each unit of a flash sale is asked for, about.
const DEMAND: u64 = 5;

/// The least number of requests of each client of a flash sale.
const REQUESTS_OF_EACH: u64 = 20;

/// A workload by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "each is the benchmark of its name")]
pub enum Profile {
    YcsbA,
    YcsbB,
    YcsbC,
    YcsbF,
    TpccNewOrder,
    TpccStockLevel,
    FlashSale,
    Bank,
}

impl Profile {
    /// How skus are drawn.
    pub const fn keys(self) -> Keys {
        match self {
            Self::YcsbA | Self::YcsbB | Self::YcsbC | Self::YcsbF => Keys::Zipf(0.99),
            Self::TpccNewOrder | Self::TpccStockLevel | Self::Bank => Keys::Uniform,
            Self::FlashSale => Keys::Single,
        }
    }

    /// How operations are drawn.
    pub fn mix(self) -> Mix {
        let weights = match self {
            Self::YcsbA => vec![(Operation::Read, 50), (Operation::Adjust, 50)],
            Self::YcsbB => vec![(Operation::Read, 95), (Operation::Adjust, 5)],
            Self::YcsbC => vec![(Operation::Read, 100)],
            Self::YcsbF => vec![(Operation::Read, 50), (Operation::Put, 50)],
            Self::TpccNewOrder => vec![(Operation::Batch, 100)],
            Self::TpccStockLevel => vec![(Operation::Read, 90), (Operation::Batch, 10)],
            Self::FlashSale => vec![(Operation::Adjust, 90), (Operation::Read, 10)],
            Self::Bank => vec![(Operation::Transfer, 40), (Operation::Batch, 30), (Operation::Query, 30)],
        };
        Mix::new(weights, self.shape())
    }

    /// What operations look like.
    pub fn shape(self) -> Shape {
        let usual = Shape::default();
        match self {
            Self::YcsbA | Self::YcsbB | Self::YcsbC => usual,
            Self::YcsbF => Shape { read_first_percent: 100, ..usual },
            Self::TpccNewOrder | Self::TpccStockLevel => {
                Shape { lines: (5, 15), sale_percent: 91, sale: (1, 10), restock: (46, 64), ..usual }
            }
            Self::FlashSale => {
                Shape { sale_percent: 100, sale: (1, 1), bulk: (10, (2, 3)), has_annex: false, ..usual }
            }
            Self::Bank => Shape { is_balanced: true, queried: None, ..usual },
        }
    }

    /// The units that every level opens with.
    pub const fn opening_stock(self) -> u64 {
        match self {
            Self::FlashSale => 1_000,
            _ => OPENING_STOCK,
        }
    }

    /// The number of skus.
    pub const fn skus(self) -> u32 {
        match self {
            Self::FlashSale => 1,
            Self::Bank => 10,
            _ => SKUS,
        }
    }

    /// Clients at once.
    pub const fn clients(self) -> u32 {
        match self {
            Self::FlashSale => 256,
            _ => CLIENTS,
        }
    }

    /// Whether it begins at once: what is asked for before anything is measured would be a part of the sale.
    pub const fn warms_up(self) -> bool {
        !matches!(self, Self::FlashSale)
    }

    /// How many requests it takes, of so many clients and a level of so many units; `None` if it goes on for ever. A sale
    /// is asked for some five times what there is, and by each client often enough for all of them to meet.
    pub fn requests(self, clients: u32, opening_stock: u64) -> Option<u64> {
        let of_each = u64::from(clients) * REQUESTS_OF_EACH;
        matches!(self, Self::FlashSale).then(|| opening_stock.saturating_mul(DEMAND).max(of_each))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Spec, at_main};
    use super::*;
    use crate::client::Call;

    fn spec(profile: Profile) -> Spec {
        let (keys, mix) = (profile.keys(), profile.mix());
        Spec { skus: 200, keys, mix, opening_stock: profile.opening_stock(), seed: 3 }
    }

    fn calls(profile: Profile) -> Vec<Call> {
        let mut generator = spec(profile).generator(1, 0);
        (0..4_000).map(|_| generator.next_call()).collect()
    }

    fn share(calls: &[Call], is_one: impl Fn(&Call) -> bool) -> f64 {
        calls.iter().filter(|call| is_one(call)).count() as f64 / calls.len() as f64
    }

    #[test]
    fn ycsb_reads_as_often_as_its_letter_says() {
        for (profile, reads) in [(Profile::YcsbA, 0.5), (Profile::YcsbB, 0.95), (Profile::YcsbC, 1.0)] {
            assert!((share(&calls(profile), Call::is_read) - reads).abs() < 0.03, "{profile:?}");
        }
        // Half of F are reads, and each read-modify-write is one more.
        let calls = calls(Profile::YcsbF);
        assert!((share(&calls, Call::is_read) - 0.667).abs() < 0.03);
        let counts: Vec<_> = calls.windows(2).filter(|pair| matches!(pair[1], Call::Count { .. })).collect();
        assert!(!counts.is_empty() && counts.iter().all(|pair| pair[0].is_read()), "{counts:?}");
    }

    #[test]
    fn an_order_has_five_to_fifteen_lines_and_stock_does_not_run_away() {
        let calls = calls(Profile::TpccNewOrder);
        let lines: Vec<_> = calls
            .iter()
            .map(|call| match call {
                Call::Batch(lines) => lines,
                other => panic!("{other:?}"),
            })
            .collect();
        assert!(lines.iter().all(|lines| (5..=15).contains(&lines.len())));
        let deltas = || lines.iter().copied().flatten().map(|line| line.delta);
        assert!(deltas().all(|delta| (-10..=-1).contains(&delta) || (46..=64).contains(&delta)));
        let mean = deltas().sum::<i64>() as f64 / deltas().count() as f64;
        assert!(mean.abs() < 0.5, "{mean}");
    }

    #[test]
    fn a_flash_sale_sells_one_level_a_unit_or_a_few_at_a_time() {
        let calls = calls(Profile::FlashSale);
        assert!(calls.iter().all(|call| call.keys() == [at_main(0)]));
        let sells =
            |units: i64| share(&calls, |call| matches!(call, Call::Adjust(change) if change.delta == -units));
        assert!((sells(1) - 0.9 * 0.9).abs() < 0.02);
        assert!((sells(2) + sells(3) - 0.9 * 0.1).abs() < 0.02 && sells(2) > 0.0 && sells(3) > 0.0);
        assert!((share(&calls, Call::is_read) - 0.1).abs() < 0.02);
    }

    #[test]
    fn a_bank_moves_units_and_looks_at_all_of_them() {
        let spec = spec(Profile::Bank);
        assert!(spec.is_bank() && !self::spec(Profile::YcsbA).is_bank());
        let mix = "transfer=9,adjust=1".parse::<Mix>().unwrap().shaped(Profile::Bank.shape());
        assert!(!Spec { mix, ..spec }.is_bank());
        let calls = calls(Profile::Bank);
        let sum = |lines: &[crate::client::Change]| lines.iter().map(|line| line.delta).sum::<i64>();
        for call in &calls {
            match call {
                Call::Batch(lines) => assert_eq!((lines.len() % 2, sum(lines)), (0, 0)),
                Call::Query(keys) => assert_eq!(keys.len(), 400),
                Call::Transfer(_) => {}
                other => panic!("{other:?}"),
            }
        }
        assert!((share(&calls, Call::is_read) - 0.3).abs() < 0.03);
    }

    #[test]
    fn a_flash_sale_opens_what_it_sells_and_nothing_else() {
        let profile = Profile::FlashSale;
        let spec = Spec { skus: profile.skus(), ..spec(profile) };
        assert_eq!(spec.opening(), [Call::Create { key: at_main(0), on_hand: 1_000 }]);
        assert!(spec.is_sale());
        let mix = "adjust=9,put=1".parse::<Mix>().unwrap().shaped(profile.shape());
        assert!(!Spec { mix, ..spec }.is_sale() && !self::spec(Profile::YcsbA).is_sale());
    }

    #[test]
    fn a_flash_sale_asks_for_more_than_there_is_whatever_there_is() {
        let sale = Profile::FlashSale;
        assert_eq!(sale.requests(sale.clients(), sale.opening_stock()), Some(5_120));
        assert_eq!(sale.requests(256, 10_000), Some(50_000));
        assert_eq!(Profile::YcsbA.requests(32, 50), None);
    }
}
