//! [`script`]: what makes the tables, as SQL for who makes them by hand, and how Citus is to spread them.
//!
//! The same statements as those of a replica that finds no tables, in one transaction.

use super::schema::{FIRST_ROWS, META, MIGRATIONS, version};
use crate::store::config::PARTITIONS_DEFAULT;

/// Each table that is spread, the column by which, and in the order in which they are: the first is what the others stand beside.
const SPREAD: [(&str, &str); 12] = [
    ("part", "p"),
    ("level", "p"),
    ("movement", "p"),
    ("reservation", "p"),
    ("held", "p"),
    ("orders", "p"),
    ("waiting", "p"),
    ("once", "k"),
    ("feed", "z"),
    ("run", "z"),
    ("document", "z"),
    ("lease", "z"),
];

const CITUS: &str = "
-- Citus. These statements were never run on one by the tests of this program, nor was the service: PostgreSQL alone is tested.
-- They need its extension in this database (CREATE EXTENSION citus), and are run once, on the coordinator, after all above.
-- Rows of one number are on one worker, whichever table they are of: those of a partition by p; keys by k, as they are written beside the row of
-- the partition of that number; the ledger's runs and the documents by z. The table meta stays on the coordinator.
";

/// All statements; `partitions`: in how many partitions the stock is to be, if not in as many as usual.
pub fn script(partitions: Option<u16>, citus: bool) -> String {
    let (version, partitions) = (version(), partitions.unwrap_or(PARTITIONS_DEFAULT));
    let mut text = format!(
        "-- The tables of the inventory service, version {version}, for stock in {partitions} partitions, which they keep.\n\
         -- A replica that finds none makes the same, and so does `inventory schema --apply`. Run it once: psql -v ON_ERROR_STOP=1 -f FILE\n\n\
         BEGIN;\n{};\n\
         INSERT INTO inventory.meta (z, version, partitions) VALUES (0, {version}, {partitions});\n\n",
        META.replace("; ", ";\n")
    );
    for (number, step) in (1..).zip(MIGRATIONS) {
        text = text + step.trim_end() + "\n\n";
        if number == 1 {
            for rows in FIRST_ROWS {
                text = text + &rows.replace("$1::int4", &partitions.to_string()) + ";\n";
            }
        }
    }
    text += "COMMIT;\n";
    if citus {
        text += CITUS;
        let spread = SPREAD.map(|(table, column)| {
            let beside = if table == "part" { "" } else { ", colocate_with => 'inventory.part'" };
            format!("SELECT create_distributed_table('inventory.{table}', '{column}'{beside});\n")
        });
        text += &spread.concat();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No table is forgotten, and each has in its key what it is spread by, which is what Citus asks.
    #[test]
    fn every_table_is_spread_by_a_column_of_its_key() {
        let text = script(None, true);
        let tables = text.split("CREATE TABLE inventory.").skip(1);
        let mut made = 0;
        for table in tables {
            let (name, columns) = table.split_once(" (").expect("columns");
            let (_, column) = SPREAD.iter().find(|(spread, _)| *spread == name).expect(name);
            let is_alone = columns.contains(&format!("{column} int4 PRIMARY KEY"));
            assert!(is_alone || columns.contains(&format!("PRIMARY KEY ({column}, ")), "{name}");
            made += 1;
        }
        assert_eq!(made, SPREAD.len());
    }

    #[test]
    fn what_is_only_for_citus_is_left_out_for_others() {
        let text = script(Some(4), false);
        assert!(!text.to_lowercase().contains("citus") && text.ends_with("COMMIT;\n"), "{text}");
        let meta = format!("VALUES (0, {}, 4)", version());
        assert!(text.contains(&meta) && text.contains("generate_series(0, 4 - 1)"), "{text}");
    }
}
