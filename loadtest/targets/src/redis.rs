//! A shop over Redis: one string for each item, and two ways to change it.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{AsyncCommands, Client, ExistenceCheck, RedisError, Script, SetOptions};

use crate::shop::{Denial, Shop, Way};

/// How long an answer may take before nobody knows.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// How often a lost connection is tried again before who waits for it is told; the next request begins anew.
const RECONNECTS_MAX: usize = 1;

/// What a script returns in place of a quantity.
const NO_SUCH_ITEM: i64 = -1;
const OUT_OF_STOCK: i64 = -2;

/// Redis runs nothing else while it runs a script, so nothing comes between the look and the change.
const CHANGE: &str = "
local have = redis.call('GET', KEYS[1])
if not have then return -1 end
if have + ARGV[1] < 0 then return -2 end
return redis.call('INCRBY', KEYS[1], ARGV[1])
";

/// All looks come before the first change: Redis does not take back what a script has done when it ends in an error.
const TRANSFER: &str = "
local have = redis.call('GET', KEYS[1])
if not have or redis.call('EXISTS', KEYS[2]) == 0 then return {-1, -1} end
if have - ARGV[1] < 0 then return {-2, -2} end
return {redis.call('DECRBY', KEYS[1], ARGV[1]), redis.call('INCRBY', KEYS[2], ARGV[1])}
";

/// A shop that keeps its items as strings.
#[derive(Clone)]
pub struct RedisShop {
    /// One connection that all requests share, made again if it is lost. What was on its way then is never sent again.
    connection: ConnectionManager,
    way: Way,
}

impl RedisShop {
    /// Connects to a server.
    pub async fn open(url: &str, way: Way) -> Result<Self, RedisError> {
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(RECONNECTS_MAX)
            .set_response_timeout(Some(WAIT_MAX))
            .set_connection_timeout(Some(WAIT_MAX));
        let connection = ConnectionManager::new_with_config(Client::open(url)?, config).await?;
        Ok(Self { connection, way })
    }

    async fn naive_change(&self, sku: &str, delta: i64) -> Result<i64, Denial> {
        let left = self.quantity(sku).await? + delta;
        if left < 0 {
            return Err(Denial::OutOfStock);
        }
        let () = self.connection.clone().set(key(sku), left).await?;
        Ok(left)
    }

    /// Both values are written at once, which does not help: both were read before.
    async fn naive_transfer(&self, from: &str, to: &str, units: i64) -> Result<(i64, i64), Denial> {
        let left = self.quantity(from).await? - units;
        let there = self.quantity(to).await? + units;
        if left < 0 {
            return Err(Denial::OutOfStock);
        }
        let () = self.connection.clone().mset(&[(key(from), left), (key(to), there)]).await?;
        Ok((left, there))
    }
}

impl Shop for RedisShop {
    async fn create(&self, sku: &str, quantity: i64) -> Result<(), Denial> {
        let if_absent = SetOptions::default().conditional_set(ExistenceCheck::NX);
        let made: bool = self.connection.clone().set_options(key(sku), quantity, if_absent).await?;
        if made { Ok(()) } else { Err(Denial::Exists) }
    }

    async fn quantity(&self, sku: &str) -> Result<i64, Denial> {
        let quantity: Option<i64> = self.connection.clone().get(key(sku)).await?;
        quantity.ok_or(Denial::NoSuchItem)
    }

    async fn change(&self, sku: &str, delta: i64) -> Result<i64, Denial> {
        if self.way == Way::Naive {
            return self.naive_change(sku, delta).await;
        }
        let script = Script::new(CHANGE);
        judged(script.key(key(sku)).arg(delta).invoke_async(&mut self.connection.clone()).await?)
    }

    async fn transfer(&self, from: &str, to: &str, units: i64) -> Result<(i64, i64), Denial> {
        if self.way == Way::Naive {
            return self.naive_transfer(from, to, units).await;
        }
        let script = Script::new(TRANSFER);
        let (left, there) =
            script.key(key(from)).key(key(to)).arg(units).invoke_async(&mut self.connection.clone()).await?;
        Ok((judged(left)?, judged(there)?))
    }
}

fn key(sku: &str) -> String {
    format!("item:{sku}")
}

fn judged(returned: i64) -> Result<i64, Denial> {
    match returned {
        NO_SUCH_ITEM => Err(Denial::NoSuchItem),
        OUT_OF_STOCK => Err(Denial::OutOfStock),
        quantity => Ok(quantity),
    }
}

impl From<RedisError> for Denial {
    fn from(error: RedisError) -> Self {
        Self::Unknown(error.to_string())
    }
}
