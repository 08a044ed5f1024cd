//! A property that must hold no matter which bytes an origin sends over a connection.
//!
//! Both the random tests and the fuzzer check it.

mod script;
#[cfg(test)]
mod tests;

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::Method;

use super::{Connection, Error, Finished, Response};
use script::Script;

/// The outcome of one exchange.
#[derive(Debug, PartialEq, Eq)]
struct Exchange {
    /// Zero if we didn't get a head.
    status: u16,
    body: Vec<u8>,
    /// The error, if the exchange didn't complete.
    error: Option<String>,
}

/// The maximum size of one part of a body.
const MAX_PART: usize = 1000;

/// Reads `responses` in pieces of `cut` bytes, sending a request before each of them.
///
/// Panics if the result differs from reading each response in one go on its own
/// connection, or if reading never ends.
///
/// If an element of `heads` is true, then the corresponding request is a HEAD request.
pub fn responses_are_read_the_same_in_pieces_of_any_size(
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
        // If there's an error, then how much we read before it depends on the pieces.
        // Only compare complete exchanges.
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
        let is_own = |byte| responses[position].contains(byte);
        assert!(
            exchange.body.iter().all(is_own),
            "response {position} has bytes of another"
        );
    }
}

/// Reads `responses` one after another over a single connection, in pieces of `cut`
/// bytes. Stops when the connection can't be used again.
fn exchanges(responses: &[Vec<u8>], is_head: impl Fn(usize) -> bool, cut: usize) -> Vec<Exchange> {
    let mut connection = Connection::new(Script::new(responses, cut));
    let mut exchanges = Vec::new();
    for position in 0..responses.len() {
        let method = if is_head(position) {
            Method::HEAD
        } else {
            Method::GET
        };
        connection.start(&method, Bytes::new(), |head| {
            head.extend_from_slice(b"GET / HTTP/1.1\r\n\r\n");
        });
        let mut exchange = Exchange {
            status: 0,
            body: Vec::new(),
            error: None,
        };
        let finished = run(one_exchange(connection, &mut exchange));
        exchanges.push(exchange);
        match finished {
            // Usually the pool checks this before it hands out a connection.
            Ok(Finished::Reusable(reusable)) if !reusable.stream.has_unread_bytes() => {
                connection = reusable;
            }
            Ok(_) | Err(_) => break,
        }
    }
    exchanges
}

async fn one_exchange(
    mut connection: Connection<Script>,
    exchange: &mut Exchange,
) -> Result<Finished<Script>, Error> {
    let result = async {
        let parsed = connection.exchange().await?;
        let Response { head, mut body } = connection.into_response(parsed);
        exchange.status = head.status.as_u16();
        while !body.is_complete() {
            let mut part = Vec::new();
            let read = body.read(&mut part, MAX_PART).await;
            assert!(part.len() <= MAX_PART);
            exchange.body.append(&mut part);
            read?;
        }
        Ok::<_, Error>(body.finish())
    };
    let result = result.await;
    exchange.error = result.as_ref().err().map(ToString::to_string);
    result
}

/// Polls `future` until it's ready. Nothing ever wakes it, as all of its input comes from
/// a script.
fn run<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    // There are at most two polls for each byte of a script, so this is more than enough.
    for _ in 0..1_000_000 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
    panic!("the exchange does not end");
}
