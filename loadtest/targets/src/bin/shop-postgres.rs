//! The shop over PostgreSQL: it only wires.

use std::error::Error;

use clap::Parser;
use targets::postgres::PostgresShop;
use targets::program::{self, Arguments};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let Arguments { listen, database, way } = Arguments::parse();
    let shop = PostgresShop::open(&database, way).await?;
    Ok(program::serve(listen, shop).await?)
}
