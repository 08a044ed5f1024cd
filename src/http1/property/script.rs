//! A scripted origin.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::http1::Transport;

/// An origin that sends one response, in pieces, after each request it gets.
pub(super) struct Script {
    /// Pieces of the responses that are still to come.
    responses: VecDeque<Pieces>,
    /// Pieces of the current response that haven't been read yet.
    current: Pieces,
}

/// The pieces of a response. If a piece is empty, the reader has to wait.
type Pieces = VecDeque<Vec<u8>>;

impl Script {
    /// Sends `responses` in pieces of `cut` bytes.
    pub(super) fn new(responses: &[Vec<u8>], cut: usize) -> Self {
        let pieces = |response: &Vec<u8>| {
            response
                .chunks(cut)
                .flat_map(|piece| [Vec::new(), piece.to_vec()])
                .collect()
        };
        Self {
            responses: responses.iter().map(pieces).collect(),
            current: Pieces::new(),
        }
    }

    pub(super) fn has_unread_bytes(&self) -> bool {
        !self.current.iter().all(Vec::is_empty)
    }
}

impl Transport for Script {}

impl AsyncRead for Script {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(mut piece) = self.current.pop_front() else {
            return Poll::Ready(Ok(()));
        };
        if piece.is_empty() {
            return Poll::Pending;
        }
        let rest = piece.split_off(piece.len().min(buf.remaining()));
        buf.put_slice(&piece);
        if !rest.is_empty() {
            self.current.push_front(rest);
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
        self.current = self.responses.pop_front().unwrap_or_default();
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
