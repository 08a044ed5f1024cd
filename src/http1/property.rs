//! What holds of any bytes that an origin may send over one kept connection, cut
//! in any way. Checked with random bytes by the tests, and by the fuzzer.

use std::{
    collections::VecDeque,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{After, Connection, Error, Outline, Response, Transport};

/// What one exchange over a kept connection came to.
#[derive(Debug, PartialEq, Eq)]
struct Exchange {
    /// 0: there was no head.
    status: u16,
    body: Vec<u8>,
    /// Why it is not complete.
    error: Option<String>,
}

/// An origin whose bytes come in pieces, each after the request that asks for it
/// was written. An empty piece is a wait.
struct Script {
    /// The pieces of each response.
    responses: VecDeque<VecDeque<Vec<u8>>>,
    pieces: VecDeque<Vec<u8>>,
}

/// The most of a body that is read at a time.
const PART: usize = 1000;

/// Checks `responses`, each in answer to a request, HEAD where `heads` says so,
/// cut into pieces of `cut` bytes: reading them neither panics nor goes on for
/// ever, and brings the same as reading each whole on a connection of its own.
pub fn responses_are_read_the_same_however_they_are_cut(
    responses: &[Vec<u8>],
    heads: &[bool],
    cut: usize,
) {
    let is_head = |position: usize| heads.get(position).copied().unwrap_or(false);
    let exchanges = exchanges(responses, is_head, cut.max(1));
    for (position, exchange) in exchanges.iter().enumerate() {
        let alone = self::exchanges(
            &responses[position..=position],
            |_| is_head(position),
            usize::MAX,
        );
        // How far a broken one came depends on where it is cut.
        if alone[0].error.is_none() {
            assert_eq!(*exchange, alone[0], "response {position}");
        } else {
            assert!(
                exchange.error.is_some(),
                "response {position}: {exchange:?}"
            );
            let whole = &alone[0].body;
            let shorter = exchange.body.len().min(whole.len());
            assert_eq!(exchange.body[..shorter], whole[..shorter]);
        }
        let brought = exchange
            .body
            .iter()
            .all(|byte| responses[position].contains(byte));
        assert!(brought, "response {position} holds bytes of another");
    }
}

/// Reads `responses` over one connection, as long as it may be reused, in pieces
/// of `cut` bytes.
fn exchanges(responses: &[Vec<u8>], is_head: impl Fn(usize) -> bool, cut: usize) -> Vec<Exchange> {
    let pieces = |response: &Vec<u8>| {
        let pieces = response
            .chunks(cut)
            .flat_map(|piece| [Vec::new(), piece.to_vec()]);
        pieces.collect()
    };
    let mut connection = Connection::new(Script {
        responses: responses.iter().map(pieces).collect(),
        pieces: VecDeque::new(),
    });
    let mut exchanges = Vec::new();
    for position in 0..responses.len() {
        let request = Outline {
            is_head: is_head(position),
            expects_body: false,
            body: Bytes::new(),
        };
        connection.begin(request, |head| {
            head.extend_from_slice(b"GET / HTTP/1.1\r\n\r\n");
        });
        let mut exchange = Exchange {
            status: 0,
            body: Vec::new(),
            error: None,
        };
        let after = run(one_exchange(connection, &mut exchange));
        exchanges.push(exchange);
        match after {
            // What is still in the socket is found before the next request.
            Ok(After::Reusable(kept)) if kept.stream.pieces.iter().all(Vec::is_empty) => {
                connection = kept;
            }
            Ok(_) | Err(_) => break,
        }
    }
    exchanges
}

async fn one_exchange(
    mut connection: Connection<Script>,
    exchange: &mut Exchange,
) -> Result<After<Script>, Error> {
    let result = async {
        let parsed = connection.exchange().await?;
        let Response { head, mut body } = connection.respond(parsed);
        exchange.status = head.status.as_u16();
        while !body.is_over() {
            let mut part = Vec::new();
            let read = body.read(&mut part, PART).await;
            assert!(part.len() <= PART);
            exchange.body.append(&mut part);
            read?;
        }
        Ok::<_, Error>(body.finish())
    };
    let result = result.await;
    exchange.error = result.as_ref().err().map(ToString::to_string);
    result
}

/// Polls `future`, whose script never waits for anything else.
fn run<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    // Two for each byte, and more than enough for what is read at once.
    for _ in 0..1_000_000 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
    panic!("the exchange goes on for ever");
}

impl Transport for Script {}

impl AsyncRead for Script {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(mut piece) = self.pieces.pop_front() else {
            return Poll::Ready(Ok(()));
        };
        if piece.is_empty() {
            return Poll::Pending;
        }
        let rest = piece.split_off(piece.len().min(buf.remaining()));
        buf.put_slice(&piece);
        if !rest.is_empty() {
            self.pieces.push_front(rest);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.pieces = self.responses.pop_front().unwrap_or_default();
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn response(text: &str) -> Vec<u8> {
        text.as_bytes().to_vec()
    }

    #[test]
    fn a_connection_is_reused_only_after_an_end_that_is_beyond_doubt() {
        let next = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnext";
        for (first, is_reused) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfirst", true),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n0\r\n\r\n",
                true,
            ),
            (
                "HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\ncontent-length: 5\r\n\r\nfirst",
                true,
            ),
            ("HTTP/1.1 204 No Content\r\n\r\n", true),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
                true,
            ),
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfirst!", false),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfirst\r\n",
                false,
            ),
            (
                "HTTP/1.1 200 OK\r\nconnection: x, CLOSE\r\ncontent-length: 5\r\n\r\nfirst",
                false,
            ),
            ("HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nfirst", false),
            ("HTTP/1.1 200 OK\r\n\r\nfirst", false),
            (
                "HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n",
                false,
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: identity\r\n\r\nfirst",
                false,
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
                false,
            ),
            (
                "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
                false,
            ),
        ] {
            for cut in [1, 7, usize::MAX] {
                let both = exchanges(&[response(first), response(next)], |_| false, cut);
                assert_eq!(both[0].error, None, "{first}");
                assert_eq!(both.len() == 2, is_reused, "{first} cut at {cut}");
                assert!(
                    both.iter().skip(1).all(|next| next.body == b"next"),
                    "{first}"
                );
            }
        }
    }

    /// Pieces of which much that is nearly HTTP can be made.
    fn piece() -> impl Strategy<Value = Vec<u8>> {
        let known = prop::sample::select(vec![
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.0 200\r\n",
            "HTTP/1.1 204 x\r\n",
            "HTTP/1.1 103 x\r\n\r\n",
            "content-length: 5\r\n",
            "content-length: 0\r\n",
            "content-length: 1500\n",
            "transfer-encoding: chunked\r\n",
            "transfer-encoding: identity\r\n",
            "connection: close\r\n",
            "connection: keep-alive\r\n",
            "x: y\r\n z\r\n",
            "x : y\n",
            "\r\n",
            "\n",
            "\r",
            " ",
            "hello",
            "5\r\n",
            "5;x=y\r\n",
            "0\r\n\r\n",
            "0\r\nt: u\r\n\r\n",
            "5\r\nhello\r\n",
            "ffffffffffffffff\r\n",
        ]);
        let known = known.prop_map(response);
        let long = (b'a'..=b'z', 0..3000_usize).prop_map(|(byte, count)| vec![byte; count]);
        let any = prop::collection::vec(any::<u8>(), 0..20);
        prop_oneof![12 => known, 1 => long, 1 => any]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn any_bytes_are_read_the_same_however_they_are_cut(
            pieces in prop::collection::vec(prop::collection::vec(piece(), 0..12), 1..5),
            heads in prop::collection::vec(prop::bool::weighted(0.1), 0..5),
            cut in prop_oneof![1..40_usize, Just(usize::MAX)],
        ) {
            let responses: Vec<_> = pieces.iter().map(|pieces| pieces.concat()).collect();
            responses_are_read_the_same_however_they_are_cut(&responses, &heads, cut);
        }
    }
}
