//! What a supervisor is told, in the way of systemd.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::{Served, serve};

/// Long enough for anything here, and no part of what is tested.
const WATCHDOG: Duration = Duration::from_secs(30);

fn told(socket: &UnixDatagram) -> String {
    let mut message = [0; 256];
    let len = socket.recv(&mut message).expect("a message in time");
    String::from_utf8(message[..len].to_vec()).expect("UTF-8").trim_end().to_owned()
}

/// It is told that the service is ready, again and again that it is alive, and that it stops; in that order.
#[test]
fn a_supervisor_is_told_how_the_service_is() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("notify.sock");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(WATCHDOG)).expect("a timeout");
    let served = Served::start(serve(&[]).env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "20000"));
    assert_eq!(told(&socket), "READY=1");
    for _ in 0..5 {
        assert_eq!(told(&socket), "WATCHDOG=1");
    }
    served.signal(Signal::SIGTERM);
    let stops = std::iter::repeat_with(|| told(&socket)).find(|told| told != "WATCHDOG=1");
    assert_eq!(stops.as_deref(), Some("STOPPING=1"));
    assert_eq!(served.end().0, Some(0));
}

/// Who is not there to be told, or asks for nothing, is in nobody's way.
#[test]
fn a_supervisor_that_has_gone_away_ends_nothing() {
    let served =
        Served::start(serve(&[]).env("NOTIFY_SOCKET", "/nowhere/notify.sock").env("WATCHDOG_USEC", "1000"));
    assert!(served.send("GET", "/livez", "").starts_with("HTTP/1.1 200 "));
    served.signal(Signal::SIGTERM);
    assert_eq!(served.end().0, Some(0));
}
