//! Happy Eyeballs (RFC 8305): try several addresses, and use whichever answers first.

use std::{net::SocketAddr, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::time;

use super::ConnectError;
use crate::net::{Net, Tcp, socket};

/// How many addresses we try at most. Any others are ignored.
const MAX_ATTEMPTS: usize = 4;

/// If an attempt takes longer than this, we start the next one in parallel (RFC 8305, 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Dials up to [`MAX_ATTEMPTS`] of the given addresses and returns the first connection
/// that gets established.
///
/// `addresses` must not be empty. We alternate between IPv6 and IPv4, and start the next
/// attempt as soon as one fails or [`ATTEMPT_DELAY`] has passed. Dropping the future
/// cancels all attempts.
pub(super) async fn connect(
    network: &Net,
    addresses: Vec<SocketAddr>,
) -> Result<Tcp, ConnectError> {
    let dial = |address| dial(network, address);
    let (v6, v4) = addresses.into_iter().partition(SocketAddr::is_ipv6);
    let mut untried = interleave(v6, v4).into_iter();
    let mut attempts = FuturesUnordered::new();
    attempts.extend(untried.next().map(dial));
    loop {
        let delay = time::sleep(ATTEMPT_DELAY);
        tokio::select! {
            finished = attempts.next() => match finished.expect("an attempt is pending until the last one has failed") {
                Ok(stream) => return Ok(stream),
                Err(error) => match untried.next() {
                    Some(address) => attempts.push(dial(address)),
                    None if attempts.is_empty() => return Err(error),
                    None => {}
                },
            },
            () = delay, if untried.len() > 0 => attempts.extend(untried.next().map(dial)),
        }
    }
}

async fn dial(network: &Net, address: SocketAddr) -> Result<Tcp, ConnectError> {
    let connected = async {
        let tcp = network.connect(address).await?;
        socket(&tcp).set_nodelay()?;
        Ok(tcp)
    };
    connected
        .await
        .map_err(|source| ConnectError::Tcp { address, source })
}

/// Alternates between both families, starting with IPv6 (RFC 8305, 4). Keeps only the
/// first [`MAX_ATTEMPTS`] addresses.
fn interleave<T>(v6: Vec<T>, v4: Vec<T>) -> Vec<T> {
    let (mut v6, mut v4) = (v6.into_iter(), v4.into_iter());
    let mut mixed = Vec::with_capacity(MAX_ATTEMPTS);
    while mixed.len() < MAX_ATTEMPTS {
        let before = mixed.len();
        mixed.extend(v6.next());
        mixed.extend(v4.next());
        if mixed.len() == before {
            break;
        }
    }
    mixed.truncate(MAX_ATTEMPTS);
    mixed
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket, TcpStream};

    use super::*;

    #[test]
    fn families_alternate_and_the_list_is_short() {
        assert_eq!(interleave(vec![6, 60], vec![4, 40, 400]), [6, 4, 60, 40]);
        assert_eq!(interleave(vec![], vec![4, 40, 400, 1, 2]), [4, 40, 400, 1]);
        assert!(interleave(Vec::<u8>::new(), vec![]).is_empty());
    }

    #[tokio::test]
    async fn next_address_is_dialed_when_one_fails() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let closed = {
            let dropped = TcpListener::bind("127.0.0.1:0").await.unwrap();
            dropped.local_addr().unwrap()
        };
        let stream = connect(&Net::default(), vec![closed, open]).await.unwrap();
        assert_eq!(socket(&stream).peer_addr().unwrap(), open);
        let error = connect(&Net::default(), vec![closed, closed])
            .await
            .unwrap_err();
        assert!(matches!(error, ConnectError::Tcp { .. }));
    }

    #[tokio::test]
    async fn next_address_is_dialed_beside_one_that_does_not_answer() {
        let silent = TcpSocket::new_v4().unwrap();
        silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        // A backlog of 1 has room for two connections (see listen(2)), so a third one
        // won't get an answer.
        let silent_listener = silent.listen(1).unwrap();
        let full = silent_listener.local_addr().unwrap();
        let _backlog = (
            TcpStream::connect(full).await.unwrap(),
            TcpStream::connect(full).await.unwrap(),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let started = time::Instant::now();
        let stream = connect(&Net::default(), vec![full, full, open])
            .await
            .unwrap();
        assert_eq!(socket(&stream).peer_addr().unwrap(), open);
        let took = started.elapsed();
        assert!(
            took >= 2 * ATTEMPT_DELAY && took < 8 * ATTEMPT_DELAY,
            "{took:?}"
        );
    }
}
