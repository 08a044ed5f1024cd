//! Random tests of the property, plus a table that shows after which responses we may
//! reuse a connection.

use proptest::prelude::*;

use super::*;

fn response(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

#[test]
fn connection_is_reused_only_after_an_unambiguous_end() {
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
            let results = exchanges(&[response(first), response(next)], |_| false, cut);
            assert_eq!(results[0].error, None, "{first}");
            assert_eq!(results.len() == 2, is_reused, "{first} cut at {cut}");
            let mut later = results.iter().skip(1);
            assert!(later.all(|result| result.body == b"next"), "{first}");
        }
    }
}

/// Generates pieces of text that look like HTTP when put together, more or less.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let fragments = prop::sample::select(vec![
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
    let fragment = fragments.prop_map(response);
    let long = (b'a'..=b'z', 0..3000_usize).prop_map(|(byte, count)| vec![byte; count]);
    let any = prop::collection::vec(any::<u8>(), 0..20);
    prop_oneof![12 => fragment, 1 => long, 1 => any]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn any_bytes_are_read_the_same_in_pieces_of_any_size(
        pieces in prop::collection::vec(prop::collection::vec(piece(), 0..12), 1..5),
        heads in prop::collection::vec(prop::bool::weighted(0.1), 0..5),
        cut in prop_oneof![1..40_usize, Just(usize::MAX)],
    ) {
        let responses: Vec<_> = pieces.iter().map(|pieces| pieces.concat()).collect();
        responses_are_read_the_same_in_pieces_of_any_size(&responses, &heads, cut);
    }
}
