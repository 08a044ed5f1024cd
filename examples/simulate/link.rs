//! A connection between two machines.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

use fetchd::net::Socket;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{self, Instant, Sleep},
};

use crate::{
    network::Network,
    pipe::{Pipe, Readable},
};

/// A connection. Side 0 has opened it, side 1 has accepted it.
#[derive(Debug)]
pub(crate) struct Link {
    network: Arc<Network>,
    ends: [SocketAddr; 2],
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The bytes from each side.
    pipes: [Pipe; 2],
    /// When each side learns that the connection was reset.
    resets: [Option<Instant>; 2],
    /// Which side has closed its socket.
    is_closed: [bool; 2],
}

/// One side's socket.
#[derive(Debug)]
pub(crate) struct SimSocket {
    link: Arc<Link>,
    side: usize,
    timer: Option<Pin<Box<Sleep>>>,
    resets: AtomicBool,
}

impl Link {
    pub(crate) fn new(network: Arc<Network>, ends: [SocketAddr; 2]) -> Arc<Self> {
        Arc::new(Self {
            network,
            ends,
            state: Mutex::default(),
        })
    }

    /// Returns true if the side that has opened the connection is done with it, or has read
    /// `count` bytes: then it has got the response that ends there.
    pub(crate) fn has_got(&self, count: Option<u64>) -> bool {
        let state = self.state.lock();
        state.is_closed[0] || count.is_some_and(|count| state.pipes[1].read() >= count)
    }

    /// Closes the connections of a machine whose process has died.
    pub(crate) fn crash(&self, machine: IpAddr, told: bool) {
        for side in 0..2 {
            if self.ends[side].ip() == machine {
                let latency = self.latency();
                let mut state = self.state.lock();
                state.resets[side] = Some(Instant::now());
                state.is_closed[side] = true;
                if told {
                    state.reset(1 - side, Instant::now() + latency);
                }
                state.wake_all();
            }
        }
    }

    fn latency(&self) -> time::Duration {
        let [one, other] = self.ends;
        self.network.latency(one.ip(), other.ip())
    }

    /// Returns true if the process of a side runs.
    fn runs(&self, side: usize, cx: &Context<'_>) -> bool {
        self.network.runs(self.ends[side].ip(), cx)
    }

    fn passes(&self, cx: &Context<'_>) -> bool {
        let [one, other] = self.ends;
        self.network.passes(one.ip(), other.ip(), cx)
    }
}

impl State {
    fn reset(&mut self, side: usize, at: Instant) {
        let earlier = self.resets[side].map_or(at, |reset| reset.min(at));
        self.resets[side] = Some(earlier);
    }

    fn is_reset(&self, side: usize) -> bool {
        self.resets[side].is_some_and(|at| at <= Instant::now())
    }

    fn wake_all(&mut self) {
        self.pipes.iter_mut().for_each(Pipe::wake_all);
    }
}

impl SimSocket {
    pub(crate) fn new(link: Arc<Link>, side: usize) -> Self {
        Self {
            link,
            side,
            timer: None,
            resets: AtomicBool::new(false),
        }
    }

    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Waits until `at`.
    fn poll_until(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(time::sleep_until(at)));
        if timer.deadline() != at {
            timer.as_mut().reset(at);
        }
        timer.as_mut().poll(cx)
    }
}

impl AsyncRead for SimSocket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let is_open = this.link.runs(this.side, cx) && this.link.passes(cx);
            let mut state = this.link.state.lock();
            let pipe = &mut state.pipes[1 - this.side];
            pipe.set_reader(cx);
            if !is_open && !state.is_closed[this.side] {
                return Poll::Pending;
            }
            let (reset, is_reset) = (state.resets[this.side], state.is_reset(this.side));
            let pipe = &mut state.pipes[1 - this.side];
            let wake_at = match pipe.peek() {
                Readable::Bytes(bytes) => {
                    let count = bytes.len().min(buf.remaining());
                    buf.put_slice(&bytes[..count]);
                    pipe.take(count);
                    return Poll::Ready(Ok(()));
                }
                // What has arrived before it can be read, as in Linux.
                _ if is_reset => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                Readable::End => return Poll::Ready(Ok(())),
                Readable::Later(at) => Some(reset.map_or(at, |reset| reset.min(at))),
                Readable::Nothing => reset,
            };
            drop(state);
            match wake_at.map(|at| this.poll_until(at, cx)) {
                Some(Poll::Ready(())) => {}
                Some(Poll::Pending) | None => return Poll::Pending,
            }
        }
    }
}

impl AsyncWrite for SimSocket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let (side, latency) = (self.side, self.link.latency());
        let capacity = self.link.network.capacity();
        // Otherwise, if a write has to wait, that's for room, and not for the end of a fault.
        let runs = self.link.runs(side, cx);
        let is_open = self.link.passes(&Context::from_waker(Waker::noop()));
        let mut state = self.link.state.lock();
        if !runs && !state.is_closed[side] {
            return Poll::Pending;
        }
        if state.is_reset(side) && (is_open || state.is_closed[side]) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if is_open && state.is_closed[1 - side] {
            // The peer answers with a reset.
            state.reset(side, Instant::now() + 2 * latency);
            state.wake_all();
            return Poll::Ready(Ok(bytes.len()));
        }
        let pipe = &mut state.pipes[side];
        pipe.poll_write(bytes, capacity, latency, cx).map(Ok)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let latency = self.link.latency();
        self.link.state.lock().pipes[self.side].close(latency);
        Poll::Ready(Ok(()))
    }
}

impl Socket for SimSocket {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.link.ends[1 - self.side])
    }

    fn set_nodelay(&self) -> io::Result<()> {
        Ok(())
    }

    fn peek(&self) -> io::Result<usize> {
        let cx = Context::from_waker(Waker::noop());
        let is_open = self.link.runs(self.side, &cx) && self.link.passes(&cx);
        let state = self.link.state.lock();
        match state.pipes[1 - self.side].peek() {
            Readable::Bytes(_) if is_open => Ok(1),
            _ if is_open && state.is_reset(self.side) => Err(io::ErrorKind::ConnectionReset.into()),
            Readable::End if is_open => Ok(0),
            _ => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn reset_on_drop(&self) {
        self.resets.store(true, Ordering::Relaxed);
    }
}

impl Drop for SimSocket {
    fn drop(&mut self) {
        let (side, latency) = (self.side, self.link.latency());
        let mut state = self.link.state.lock();
        if state.is_closed[side] {
            return;
        }
        state.is_closed[side] = true;
        // As in Linux, bytes that nobody has read turn the end into a reset.
        if self.resets.load(Ordering::Relaxed) || state.pipes[1 - side].is_unread() {
            let at = state.pipes[side].arrival(latency);
            state.reset(1 - side, at);
        } else {
            state.pipes[side].close(latency);
        }
        state.wake_all();
    }
}
