//! Leases: a row for each. Who has one is decided by the lock of its row, and until when by the database's clock.
//!
//! The time is asked for before a row is changed, and not within that statement: an engine that distributes rows takes plain values. It is a little
//! old by then, so what is taken is over for the database never before it is over for whoever measures from before he asked; and what is taken from
//! somebody was over when the time was read.

use std::time::Duration;

use deadpool_postgres::Client;
use uuid::Uuid;

use super::connect::Lent;
use super::deeds::milliseconds;
use super::failure::{Stage, Trouble};
use super::load::prepared;
use super::{NOW, Postgres};
use crate::store::lease::{Claim, Lease};
use crate::store::{Leases, NotDone};

const TAKE: &str = "UPDATE inventory.lease SET holder = $2, until_ms = $3 \
    WHERE z = 0 AND name = $1 AND until_ms <= $4 RETURNING kept";
const FIRST: &str = "INSERT INTO inventory.lease (z, name, holder, until_ms) VALUES (0, $1, $2, $3) \
    ON CONFLICT (z, name) DO NOTHING";
const RENEW: &str =
    "UPDATE inventory.lease SET until_ms = $3, kept = $4 WHERE z = 0 AND name = $1 AND holder = $2";
const IS_HELD: &str = "SELECT holder = $2 FROM inventory.lease WHERE z = 0 AND name = $1";
/// A renewal that is still on its way finds another holder.
const GIVE_BACK: &str = "UPDATE inventory.lease SET holder = '00000000-0000-0000-0000-000000000000', until_ms = 0, kept = $3 \
    WHERE z = 0 AND name = $1 AND holder = $2";
const END: &str = "DELETE FROM inventory.lease WHERE z = 0 AND name = $1 AND holder = $2";
const ALL: &str = "SELECT name, until_ms > (extract(epoch FROM clock_timestamp()) * 1000)::int8, kept \
    FROM inventory.lease WHERE z = 0 ORDER BY name";

impl Leases for Postgres {
    async fn take(
        &self,
        name: &str,
        claim: Claim,
        time: Duration,
    ) -> Result<Option<Option<Vec<u8>>>, NotDone> {
        let taken = async {
            let client = self.for_leases().await?;
            let now_ms = now_ms(&client).await?;
            let (holder, until_ms) =
                (Uuid::from_u128(claim), now_ms.saturating_add_unsigned(milliseconds(time)));
            let take = prepared(&client, TAKE).await?;
            let taken = client.query_opt(&take, &[&name, &holder, &until_ms, &now_ms]).await;
            if let Some(row) = taken.map_err(|error| Trouble::of(&error, Stage::Within))? {
                client.give_back();
                return Ok(Some(row.get(0)));
            }
            let first = prepared(&client, FIRST).await?;
            let made = client.execute(&first, &[&name, &holder, &until_ms]).await;
            client.give_back();
            let made = made.map_err(|error| Trouble::of(&error, Stage::Within))?;
            Ok((made > 0).then_some(None))
        };
        self.looked(taken).await
    }

    async fn renew(&self, name: &str, claim: Claim, time: Duration, left: Vec<u8>) -> Result<bool, NotDone> {
        let renewed = async {
            let client = self.for_leases().await?;
            let until_ms = now_ms(&client).await?.saturating_add_unsigned(milliseconds(time));
            let statement = prepared(&client, RENEW).await?;
            let renewed =
                client.execute(&statement, &[&name, &Uuid::from_u128(claim), &until_ms, &left]).await;
            client.give_back();
            renewed.map_err(|error| Trouble::of(&error, Stage::Within)).map(|rows| rows > 0)
        };
        self.looked(renewed).await
    }

    async fn is_held(&self, name: &str, claim: Claim) -> Result<bool, NotDone> {
        let asked = async {
            let client = self.for_leases().await?;
            let statement = prepared(&client, IS_HELD).await?;
            let row = client.query_opt(&statement, &[&name, &Uuid::from_u128(claim)]).await;
            client.give_back();
            let row = row.map_err(|error| Trouble::of(&error, Stage::Before))?;
            Ok(row.is_some_and(|row| row.get(0)))
        };
        self.looked(asked).await
    }

    async fn give_back(&self, name: &str, claim: Claim, left: Vec<u8>) -> Result<(), NotDone> {
        let given = async {
            let client = self.for_leases().await?;
            let statement = prepared(&client, GIVE_BACK).await?;
            let given = client.execute(&statement, &[&name, &Uuid::from_u128(claim), &left]).await;
            client.give_back();
            given.map_err(|error| Trouble::of(&error, Stage::Within)).map(drop)
        };
        self.looked(given).await
    }

    async fn end(&self, name: &str, claim: Claim) -> Result<(), NotDone> {
        let ended = async {
            let client = self.for_leases().await?;
            let statement = prepared(&client, END).await?;
            let ended = client.execute(&statement, &[&name, &Uuid::from_u128(claim)]).await;
            client.give_back();
            ended.map_err(|error| Trouble::of(&error, Stage::Within)).map(drop)
        };
        self.looked(ended).await
    }

    async fn leases(&self) -> Result<Vec<Lease>, NotDone> {
        let looked = async {
            let client = self.for_leases().await?;
            let statement = prepared(&client, ALL).await?;
            let rows = client.query(&statement, &[]).await;
            client.give_back();
            let rows = rows.map_err(|error| Trouble::of(&error, Stage::Before))?;
            let lease =
                |row: &tokio_postgres::Row| Lease { name: row.get(0), is_held: row.get(1), left: row.get(2) };
            Ok(rows.iter().map(lease).collect())
        };
        self.looked(looked).await
    }
}

impl Postgres {
    async fn for_leases(&self) -> Result<Lent, Trouble> {
        self.0.batcher.pools.for_leases().await.map_err(|error| Trouble::unconnected(&error))
    }
}

/// What time it is for the database.
async fn now_ms(client: &Client) -> Result<i64, Trouble> {
    let statement = prepared(client, NOW).await?;
    let row = client.query_one(&statement, &[]).await;
    row.map_err(|error| Trouble::of(&error, Stage::Before)).map(|row| row.get(0))
}
