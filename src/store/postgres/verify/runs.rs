//! The ledger as one: its runs follow each other without a gap, and of each partition too, up to where the ledger says that they end.

use super::super::Postgres;
use super::super::connect::Lent;
use super::super::failure::Trouble;
use super::super::origin::DROPPED;
use super::super::pipeline::param;
use super::super::retention::Floors;
use super::{PAGE_ROWS, add, in_time, is_full, page};
use crate::store::chores::{Finding, VerifyReport};

const FEED: &str = "SELECT total, heads FROM inventory.feed WHERE z = 0";
const RUNS: &str = "SELECT last, p, head FROM inventory.run WHERE z = 0 AND last > $1 ORDER BY last LIMIT $2";

/// Looks at all runs. Returns how many movements of each partition have a number.
pub(super) async fn look(
    store: &Postgres,
    client: &Lent,
    report: &mut VerifyReport,
) -> Result<Vec<i64>, Trouble> {
    let floors = in_time(store, Floors::of(client)).await??;
    let mut heads: Vec<i64> = store.0.how.partitions.all().map(|p| floors.of_partition(p)).collect();
    let feed = page(store, client, FEED, Vec::new()).await?;
    let mut told = |seq: i64, detail: String| {
        let (seq, detail) = (u64::try_from(seq).ok(), format!("the ledger: {detail}"));
        add(report, Finding { seq, detail, ..Finding::default() });
    };
    let mut end = 0;
    loop {
        let rows = page(store, client, RUNS, vec![param(end), param(PAGE_ROWS)]).await?;
        for row in &rows {
            let (last, p, head): (i64, i32, i64) = (row.get(0), row.get(1), row.get(2));
            // What was dropped, here or before the stock came here: the first, if it is there.
            if (p, end) == (DROPPED, 0) {
                end = last;
                continue;
            }
            let Some(before) = usize::try_from(p).ok().and_then(|p| heads.get_mut(p)) else {
                told(last, format!("the run up to {last} is of partition {p}, which there is not"));
                end = last;
                continue;
            };
            if last - end != head - *before || head <= *before {
                told(
                    end + 1,
                    format!(
                        "the run from {} to {last} is of the movements {} to {head} of partition {p}, which are not as many",
                        end + 1,
                        *before + 1
                    ),
                );
            }
            (end, *before) = (last, head);
        }
        if !is_full(&rows) {
            break;
        }
    }
    let Some(row) = feed.first() else {
        told(0, "its end is missing".to_owned());
        return Ok(heads);
    };
    let (total, said): (i64, Vec<i64>) = (row.get(0), row.get(1));
    if total != end {
        told(total, format!("it is said to end at {total}, and its last run at {end}"));
    }
    if said != heads {
        told(
            total,
            format!("it is said to have of each partition {said:?} movements, and has runs of {heads:?}"),
        );
    }
    Ok(heads)
}
