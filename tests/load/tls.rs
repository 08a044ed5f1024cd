//! What connections with TLS cost the service.

use futures_util::future::join_all;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::support::{
    Authority,
    pki::{Dialer, Files, HOST},
    until, within_timeout,
};

const CONNECTIONS: usize = 500;

/// The bound on memory for a connection, with and without TLS.
const PER_CONNECTION: u64 = (64 + 64) << 10;

/// A ClientHello that lacks its end.
fn endless_hello() -> Vec<u8> {
    const RECORD: usize = 1 << 14;

    let message = [&[1, 0, 0xe0, 0][..], &[0; 0xdff0]].concat();
    let records = message.chunks(RECORD).map(|part| {
        let length = u16::try_from(part.len()).unwrap().to_be_bytes();
        [&[22, 3, 1][..], &length, part].concat()
    });
    records.collect::<Vec<_>>().concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_of_a_connection_is_bounded() {
    let (ca, clients) = (Authority::new(), Authority::new());
    let files = Files::new(&ca.issue(HOST), &clients.pem());
    let service = files.serve(true, &[], &[]);
    let dialer = Dialer::new(&ca, Some(clients.issue("web.shop")));
    within_timeout(dialer.channel(service.address()))
        .await
        .unwrap();
    let before = service.memory();
    let hello = endless_hello();
    let unfinished = join_all((0..CONNECTIONS).map(async |_| {
        let mut stream = TcpStream::connect(service.address()).await.unwrap();
        stream.write_all(&hello).await.unwrap();
        stream
    }));
    let unfinished = within_timeout(unfinished).await;
    // By then, the service has read all of it.
    let total = (CONNECTIONS * hello.len()) as u64;
    until(|| service.memory() >= before + total).await;
    let open = join_all((0..CONNECTIONS).map(|_| dialer.channel(service.address())));
    let open = within_timeout(open).await;
    assert!(open.iter().all(Result::is_ok));
    let peak = service.peak_memory();
    let each = (peak - before) / (2 * CONNECTIONS as u64);
    println!("{} KiB for each connection", each >> 10);
    assert!(each < PER_CONNECTION, "{each} bytes");
    drop((unfinished, open));
}
