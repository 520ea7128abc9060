//! The shop over Redis: it only wires.

use std::error::Error;

use clap::Parser;
use targets::program::{self, Arguments};
use targets::redis::RedisShop;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let Arguments { listen, database, way } = Arguments::parse();
    let shop = RedisShop::open(&database, way).await?;
    Ok(program::serve(listen, shop).await?)
}
