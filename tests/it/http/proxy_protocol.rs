//! The PROXY protocol: whose a connection is, as a proxy says, and that nobody is believed who does not say it well (P10).

use std::net::SocketAddr;
use std::time::Duration;

use inventory::app::{App, Listening};
use inventory::config::Config;
use inventory::http::server::listen::Listener;
use inventory::store::{Keeping, Storage};
use inventory::strategy::StrategyKind;
use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::tls::Service;
use crate::support::app::TestApp;
use crate::support::app::http2::Http2;
use crate::support::app::raw::Raw;
use crate::support::certificates::Authority;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const LIVEZ: &str = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";

/// The header of a connection of a client at that address.
fn of(client: &str) -> Vec<u8> {
    let client: std::net::Ipv4Addr = client.parse().expect("an address");
    // Something that nobody asked for follows the addresses.
    [SIGNATURE, &[0x21, 0x11, 0, 17], &client.octets(), &[127, 0, 0, 1, 1, 2, 3, 4], &[0x04, 0, 2, 0, 0]]
        .concat()
}

/// The header of a connection that the proxy makes for itself.
fn local() -> Vec<u8> {
    [SIGNATURE, &[0x20, 0, 0, 0]].concat()
}

async fn is_served(app: &TestApp, header: &[u8]) -> Raw {
    let mut connection = app.connect().await;
    connection.write([header, LIVEZ.as_bytes()].concat()).await;
    connection.answer().await.assert_status(200);
    connection
}

async fn metrics(app: &TestApp) -> String {
    let mut connection = app.connect().await;
    connection.write([&local()[..], b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"].concat()).await;
    connection.answer().await.text().to_owned()
}

/// Connections are counted by the address that is told, and not by the proxy's, which has as many as it needs.
#[tokio::test]
async fn the_address_that_is_told_counts() {
    let app = TestApp::with(StrategyKind::Atomic).with_proxy_protocol().with_connections_per_address(2);
    let app = app.start().await;
    let mut held = Vec::new();
    for _ in 0..2 {
        held.push(is_served(&app, &of("192.0.2.1")).await);
    }
    let mut third = app.connect().await;
    third.write([&of("192.0.2.1")[..], LIVEZ.as_bytes()].concat()).await;
    assert!(third.rest().await.is_empty(), "it has its share");
    held.push(is_served(&app, &of("192.0.2.2")).await);
    for _ in 0..5 {
        held.push(is_served(&app, &local()).await);
    }
    assert!(metrics(&app).await.contains("inventory_connections_refused_total 1\n"));
}

/// What is no header of version 2, or none at all, gets nothing; one that comes in pieces is one.
#[tokio::test]
async fn who_says_it_otherwise_is_cut_off() {
    let app = TestApp::with(StrategyKind::Atomic).with_proxy_protocol().start().await;
    let with = |bytes: &[u8]| [SIGNATURE, bytes].concat();
    let wrong = [
        b"PROXY TCP4 192.0.2.1 127.0.0.1 1 2\r\n".to_vec(),
        b"PROXY UNKNOWN\r\n".to_vec(),
        Vec::new(),
        b"\x16\x03\x01\x02".to_vec(),
        with(&[0x11, 0x11, 0, 12]),
        with(&[0x21, 0x51, 0, 12]),
        with(&[0x21, 0x11, 0, 3, 1, 2, 3]),
        with(&[0x21, 0x11, 0xff, 0xff]),
    ];
    for header in &wrong {
        let mut connection = app.connect().await;
        connection.write([header, LIVEZ.as_bytes()].concat()).await;
        assert!(connection.rest().await.is_empty(), "{header:?}");
    }
    let count = format!("inventory_connections_not_introduced_total {}\n", wrong.len());
    assert!(metrics(&app).await.contains(&count));
    let mut slow = app.connect().await;
    for byte in of("192.0.2.1") {
        slow.write([byte]).await;
        tokio::task::yield_now().await;
    }
    slow.write(LIVEZ).await;
    slow.answer().await.assert_status(200);
}

/// P10: who says nothing, or half of it, is cut off in time.
#[tokio::test]
async fn half_a_header_is_cut_off() {
    let short = Duration::from_millis(50);
    let app =
        TestApp::with(StrategyKind::Atomic).with_proxy_protocol().with_header_timeout(short).start().await;
    for length in [0, 5, 14, 20] {
        let connection = Raw::connect_with(app.address, &of("192.0.2.1")[..length]);
        assert!(connection.rest().await.is_empty(), "{length}");
    }
}

/// It comes before TLS, and before HTTP/2.
#[tokio::test]
async fn tls_comes_after_it() {
    let authority = Authority::new();
    let storage = Storage::Memory(Keeping::default());
    let mut config = Config { storage, ..Config::new(StrategyKind::Atomic) };
    config.server.proxy_protocol = true;
    let service = Service::with(config, &authority.signs("localhost"), None).await;
    let connect = async |header: &[u8]| {
        let mut stream = TcpStream::connect(&service.address).await.expect("a connection");
        stream.write_all(header).await.expect("it is sent");
        let name = ServerName::try_from("localhost").expect("a name");
        authority.client_of(&["h2"]).connect(name, stream).await
    };
    assert!(connect(b"").await.is_err());
    let stream = connect(&of("192.0.2.1")).await.expect("a connection");
    Http2::over(stream, None).await.get("/livez").await.assert_status(200);
}

/// Those who run the service come in without a proxy.
#[tokio::test]
async fn the_private_way_in_has_none() {
    let storage = Storage::Memory(Keeping::default());
    let mut config = Config { storage, ..Config::new(StrategyKind::Atomic) };
    config.server.proxy_protocol = true;
    let app = App::build(config).expect("a service");
    let opened = app.opened();
    let bind = || Listener::bind("127.0.0.1:0").expect("a free port");
    let address = |listener: &Listener| -> SocketAddr {
        listener.url(false).strip_prefix("http://").expect("a URL").parse().expect("an address")
    };
    let (public, private) = (bind(), bind());
    let (outside, inside) = (address(&public), address(&private));
    let listening = Listening { private: Some(private), ..Listening::at(public) };
    let _served = tokio::spawn(app.serve(listening, std::future::pending()));
    opened.await;
    let mut connection = Raw::connect(inside).await;
    connection.write(LIVEZ).await;
    connection.answer().await.assert_status(200);
    let mut connection = Raw::connect(outside).await;
    connection.write(LIVEZ).await;
    assert!(connection.rest().await.is_empty());
}
