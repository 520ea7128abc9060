//! [`Pieces`]: a body whose pieces somebody else makes, as the client takes them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Bytes;
use http_body::Frame;
use tokio::sync::mpsc;

/// A piece of a body; an error cuts it off, so that nobody takes it for whole.
pub type Piece = Result<Bytes, io::Error>;

/// A body that ends when its sender is dropped. It is dropped itself when the client has gone away.
#[derive(Debug)]
pub struct Pieces(pub mpsc::Receiver<Piece>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}
