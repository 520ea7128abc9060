//! The floor that `benches/http_overhead.sh` measures the service against: what axum itself costs.
//!
//! One route that reads the whole body and answers a fixed JSON of the size of a stock level, through `axum::serve`
//! with its defaults. It has the service's allocator, so that the difference is the service's own work. It must never
//! grow a feature.

use std::io::Write as _;

use axum::Router;
use axum::body::Bytes;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::post;
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ANSWER: &str = r#"{"sku":"85123A","location":"main","on_hand":1000000,"reserved":0,"available":1000000,"version":10000}"#;

async fn answer(body: Bytes) -> impl IntoResponse {
    std::hint::black_box(body);
    ([(header::CONTENT_TYPE, "application/json")], ANSWER)
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(std::io::stdout(), "http://{}", listener.local_addr()?)?;
    axum::serve(listener, Router::new().route("/v1/stock/{sku}/adjust", post(answer))).await
}
