//! Where `serve` listens: at several addresses, at a Unix domain socket, and at one for those who run it.

use std::io::{BufRead as _, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::{Served, refused, serve};

/// The answer to a GET.
fn ask(mut stream: impl std::io::Read + std::io::Write, path: &str) -> String {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

fn tcp(url: &str) -> TcpStream {
    TcpStream::connect(url.strip_prefix("http://").expect("a URL")).expect("it listens")
}

/// The addresses that it prints after the first.
fn next_line(served: &mut Served) -> String {
    let mut line = String::new();
    served.out.read_line(&mut line).expect("a line");
    line.trim_end().to_owned()
}

/// One service at several addresses, printed in order; the socket's file goes with it, and one that a killed service left is replaced.
#[test]
fn a_service_is_at_all_its_addresses() {
    let folder = TempDir::new().expect("a folder");
    let socket = folder.path().join("inventory.sock");
    let unix = format!("unix:{}", socket.display());
    let start = || Served::start(&mut serve(&["--listen", "127.0.0.1:0", "--listen", &unix]));
    let mut killed = start();
    let second = next_line(&mut killed);
    assert_eq!(next_line(&mut killed), unix);
    killed.send("PUT", "/v1/stock/A", "{\"on_hand\":3}");
    for answer in [
        ask(tcp(&second), "/v1/stock/A"),
        ask(UnixStream::connect(&socket).expect("it listens"), "/v1/stock/A"),
    ] {
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"on_hand\":3"), "{answer}");
    }
    let taken = refused(&["serve", "--ephemeral", "--listen", &unix], 2);
    assert!(taken.contains(&unix) && taken.contains("in use"), "{taken}");
    killed.signal(Signal::SIGKILL);
    killed.end();
    assert!(socket.exists());
    let served = start();
    assert!(ask(UnixStream::connect(&socket).expect("it listens"), "/livez").ends_with("alive\n"));
    served.signal(Signal::SIGTERM);
    assert_eq!(served.end().0, Some(0));
    assert!(!socket.exists());
}

/// Faults 5 and 8: what is for those who run the service is at its own address alone, and they get in when all places of clients are taken.
#[test]
fn those_who_run_it_have_a_way_in_of_their_own() {
    let mut served =
        Served::start(&mut serve(&["--metrics-listen", "127.0.0.1:0", "--max-connections", "1"]));
    let private = next_line(&mut served);
    let mut client = tcp(&served.url);
    // It has begun a request, and so idles not.
    client.write_all(b"POST /v1/stock/A/adjust HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n").expect("a request");
    let mut told = [0; 21];
    client.read_exact(&mut told).expect("it has a place");
    for path in ["/livez", "/readyz", "/metrics", "/v1/status"] {
        let answer = ask(tcp(&private), path);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
    }
    assert!(ask(tcp(&private), "/v1/stock").starts_with("HTTP/1.1 404 "));
    drop(client);
    for path in ["/metrics", "/v1/verify", "/v1/backup"] {
        assert!(ask(tcp(&served.url), path).starts_with("HTTP/1.1 404 "), "{path}");
    }
    for path in ["/livez", "/readyz", "/v1/status", "/v1/stock"] {
        assert!(ask(tcp(&served.url), path).starts_with("HTTP/1.1 200 "), "{path}");
    }
}
