//! Whether replicas are connected to a database; and a connection that may take its time.

use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use tokio_postgres::Error;

/// Those who connect as this program does, under whatever name that was told in the address.
const OTHERS: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
    AND pid <> pg_backend_pid() AND application_name = current_setting('application_name')";

/// What a connection is told that is not to be cut short while the other store is read or written. Locks are still not waited for for long.
const UNHURRIED: &str =
    "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET lock_timeout = '10s'";

/// A replica that has ended is seen to be connected for another moment.
const LOOKS: u32 = 20;
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// How many connections others have who are likely to be replicas.
pub(super) async fn others(client: &ClientWrapper) -> Result<i64, Error> {
    for _ in 1..LOOKS {
        if client.query_one(OTHERS, &[]).await?.get::<_, i64>(0) == 0 {
            return Ok(0);
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    Ok(client.query_one(OTHERS, &[]).await?.get(0))
}

/// Lets statements and transactions of this connection take their time.
pub(super) async fn takes_its_time(client: &ClientWrapper) -> Result<(), Error> {
    client.batch_execute(UNHURRIED).await
}
