//! Takes the messages of a webhook, and prints those that are signed as they must be: how to begin with a receiver of your own.
//!
//! ```sh
//! cargo run --example webhook_receiver 127.0.0.1:9000 whsec_... 1      # an address, the webhook's secret, how many messages
//! ```
//!
//! It verifies each message over the bytes as they came, before anything is read out of them, with the reference library of Standard
//! Webhooks; a message that does not verify is answered with 400, and comes again. A real receiver writes down what it is told before it
//! answers, and knows by `webhook-id` what it has seen: messages come at least once.

#![expect(clippy::print_stdout, reason = "a program whose output is what it shows")]

use std::error::Error;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use standardwebhooks::Webhook;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// What all requests share.
struct Receiver {
    webhook: Webhook,
    verified: mpsc::UnboundedSender<String>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, secret, count] = &arguments[..] else {
        return Err("webhook_receiver ADDRESS SECRET COUNT".into());
    };
    let (verified, messages) = mpsc::unbounded_channel();
    let receiver = Arc::new(Receiver { webhook: Webhook::new(secret)?, verified });
    let listener = TcpListener::bind(address).await?;
    let routes = Router::new().route("/", post(take)).with_state(receiver);
    let enough = print(count.parse()?, messages);
    // What is being answered when there are enough is answered to the end.
    axum::serve(listener, routes).with_graceful_shutdown(enough).await?;
    Ok(())
}

/// Takes one message.
async fn take(State(receiver): State<Arc<Receiver>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    if receiver.webhook.verify(&body, &headers).is_err() {
        return StatusCode::BAD_REQUEST;
    }
    let id = headers.get("webhook-id").map(|id| String::from_utf8_lossy(id.as_bytes()));
    let message = format!("{} {}", id.unwrap_or_default(), String::from_utf8_lossy(&body));
    receiver.verified.send(message).map_or(StatusCode::SERVICE_UNAVAILABLE, |()| StatusCode::NO_CONTENT)
}

/// Prints so many messages.
async fn print(count: usize, mut messages: mpsc::UnboundedReceiver<String>) {
    for _ in 0..count {
        if let Some(message) = messages.recv().await {
            println!("{message}");
        }
    }
}
