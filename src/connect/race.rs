//! One connection, from several addresses (RFC 8305).

use std::{net::SocketAddr, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{net::TcpStream, time};

use super::ConnectError;

/// The most addresses of one name that are tried.
const MAX_ADDRESSES: usize = 4;

/// How long one dial may take before the next starts beside it (RFC 8305, 5).
const DIAL_DELAY: Duration = Duration::from_millis(250);

/// Dials the first few of `addresses`, of which there is at least one: the
/// families in turn, the next after a failure or a short while, and gives the
/// first connection. Dropping the future stops every dial.
pub(super) async fn race(addresses: Vec<SocketAddr>) -> Result<TcpStream, ConnectError> {
    let (v6, v4) = addresses.into_iter().partition(SocketAddr::is_ipv6);
    let mut waiting = interleaved(v6, v4).into_iter();
    let mut dials = FuturesUnordered::new();
    dials.extend(waiting.next().map(dial));
    loop {
        let late = time::sleep(DIAL_DELAY);
        tokio::select! {
            dialled = dials.next() => match dialled.expect("a dial is under way until the last has failed") {
                Ok(stream) => return Ok(stream),
                Err(error) => match waiting.next() {
                    Some(address) => dials.push(dial(address)),
                    None if dials.is_empty() => return Err(error),
                    None => {}
                },
            },
            () = late, if waiting.len() > 0 => dials.extend(waiting.next().map(dial)),
        }
    }
}

async fn dial(address: SocketAddr) -> Result<TcpStream, ConnectError> {
    let dialled = async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    dialled
        .await
        .map_err(|source| ConnectError::Tcp { address, source })
}

/// Alternates the families, IPv6 first (RFC 8305, 4), and keeps the first few.
fn interleaved<T>(v6: Vec<T>, v4: Vec<T>) -> Vec<T> {
    let (mut v6, mut v4) = (v6.into_iter(), v4.into_iter());
    let mut mixed = Vec::with_capacity(MAX_ADDRESSES);
    while mixed.len() < MAX_ADDRESSES {
        let before = mixed.len();
        mixed.extend(v6.next());
        mixed.extend(v4.next());
        if mixed.len() == before {
            break;
        }
    }
    mixed.truncate(MAX_ADDRESSES);
    mixed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_alternate_and_the_list_is_short() {
        assert_eq!(interleaved(vec![6, 60], vec![4, 40, 400]), [6, 4, 60, 40]);
        assert_eq!(interleaved(vec![], vec![4, 40, 400, 1, 2]), [4, 40, 400, 1]);
        assert!(interleaved(Vec::<u8>::new(), vec![]).is_empty());
    }

    #[tokio::test]
    async fn the_next_address_is_dialled_when_one_fails() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let closed = {
            let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            gone.local_addr().unwrap()
        };
        let stream = race(vec![closed, open]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), open);
        let error = race(vec![closed, closed]).await.unwrap_err();
        assert!(matches!(error, ConnectError::Tcp { .. }));
    }

    #[tokio::test]
    async fn the_next_address_is_dialled_beside_one_that_does_not_answer() {
        let silent = tokio::net::TcpSocket::new_v4().unwrap();
        silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        // Two connections fill it (listen(2)); the third goes unanswered.
        let silent = silent.listen(1).unwrap();
        let full = silent.local_addr().unwrap();
        let _filling = (
            TcpStream::connect(full).await.unwrap(),
            TcpStream::connect(full).await.unwrap(),
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let begun = time::Instant::now();
        let stream = race(vec![full, full, open]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), open);
        let took = begun.elapsed();
        assert!(took >= 2 * DIAL_DELAY && took < 8 * DIAL_DELAY, "{took:?}");
    }
}
