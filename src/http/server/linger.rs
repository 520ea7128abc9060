//! Closing a connection on which more may come than anybody reads.
//!
//! A request may be answered before all of it has come, and the rest is not read: a body that is too long, a head that is none. Where a
//! socket is closed with bytes in it, or gets more afterwards, the kernel resets the connection, and a client that is still sending
//! sees that in place of its answer. So, once the answer is out and the connection closed for writing, what comes is thrown away until
//! the client closes as well (RFC 9112, section 9.6). Nothing is kept meanwhile, and there are bounds.

use std::io;
use std::time::Duration;

use tokio::task::coop::consume_budget;
use tokio::time::timeout;

use super::socket::Socket;

/// How far a closed connection is still read.
#[derive(Debug, Clone, Copy)]
pub struct Linger {
    /// How much is thrown away, in bytes.
    pub bytes: u64,
    /// How long nothing may come.
    pub pause: Duration,
    /// How long all of it may take.
    pub time: Duration,
}

/// What a look at a socket finds.
enum Found {
    Bytes(u64),
    /// Nothing, and more may come.
    Nothing,
    /// Nothing more will come.
    End,
}

/// On the stack, and so of no connection's memory.
const DISCARDED_AT_ONCE: usize = 16 * 1024;

impl Linger {
    /// Reads what comes on a connection that is closed for writing, until its end or a bound. Of one that is not `unread`, where all
    /// that was asked was read, only if there is something.
    pub(super) async fn on(self, stream: &Socket, unread: bool) {
        let first = match discard(stream) {
            Found::End => return,
            Found::Nothing if !unread => return,
            Found::Nothing => 0,
            Found::Bytes(count) => count,
        };
        let _at_the_bound = timeout(self.time, self.discard_all(stream, first)).await;
    }

    async fn discard_all(self, stream: &Socket, mut discarded: u64) {
        while discarded <= self.bytes && matches!(timeout(self.pause, stream.readable()).await, Ok(Ok(()))) {
            match discard(stream) {
                Found::Bytes(count) => discarded += count,
                Found::Nothing => {}
                Found::End => return,
            }
            // Others have their turn, however fast it comes.
            consume_budget().await;
        }
    }
}

fn discard(stream: &Socket) -> Found {
    match stream.try_read(&mut [0; DISCARDED_AT_ONCE]) {
        Ok(0) => Found::End,
        Ok(count) => Found::Bytes(count as u64),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Found::Nothing,
        Err(_) => Found::End,
    }
}
