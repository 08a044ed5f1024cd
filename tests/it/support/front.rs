//! A TLS server in front of a service. It may require a token.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;
use tonic::{
    Status,
    body::Body,
    transport::{Channel, Endpoint},
};
use tower::ServiceExt;

use super::{Service, service};

/// A running front. Dropping it stops it, along with its service.
pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    accepting: JoinHandle<()>,
    _service: Service,
}

#[derive(Default)]
struct State {
    /// If it's set, all calls need this token.
    token: Mutex<Option<String>>,
    /// The `authorization` of each call.
    authorizations: Mutex<Vec<Option<String>>>,
    /// The client certificate (DER) of each connection.
    clients: Mutex<Vec<Option<Vec<u8>>>>,
}

impl Front {
    /// Starts a front and its service on some free port. Without an acceptor, it doesn't
    /// use TLS.
    pub(crate) async fn new(acceptor: Option<TlsAcceptor>) -> Self {
        Self::at("127.0.0.1:0", acceptor).await
    }

    /// Starts a front at `address`.
    pub(crate) async fn at(address: &str, acceptor: Option<TlsAcceptor>) -> Self {
        let service = service().await;
        let backend = Endpoint::from_shared(service.url.clone()).unwrap();
        let backend = backend.connect().await.unwrap();
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let (state, backend) = (Arc::clone(&shared), backend.clone());
                connections.spawn(serve(tcp, acceptor.clone(), state, backend));
            }
        });
        Self {
            address,
            state,
            accepting,
            _service: service,
        }
    }

    /// Returns the URL, with the address as the host.
    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Requires this token from now on.
    pub(crate) fn require_token(&self, token: &str) {
        *self.state.token.lock().unwrap() = Some(token.to_owned());
    }

    /// Takes the `authorization` of all calls so far.
    pub(crate) fn take_authorizations(&self) -> Vec<Option<String>> {
        std::mem::take(&mut self.state.authorizations.lock().unwrap())
    }

    /// Takes the client certificates of all connections so far.
    pub(crate) fn take_clients(&self) -> Vec<Option<Vec<u8>>> {
        std::mem::take(&mut self.state.clients.lock().unwrap())
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(tcp: TcpStream, acceptor: Option<TlsAcceptor>, state: Arc<State>, backend: Channel) {
    let Some(acceptor) = acceptor else {
        return forward(tcp, state, backend).await;
    };
    if let Ok(tls) = acceptor.accept(tcp).await {
        let client = tls.get_ref().1.peer_certificates();
        let client = client.map(|chain| chain[0].to_vec());
        state.clients.lock().unwrap().push(client);
        forward(tls, state, backend).await;
    }
}

/// Passes all calls with the right token on to the service.
async fn forward<S>(stream: S, state: Arc<State>, backend: Channel)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let answer = service_fn(move |call: Request<Incoming>| {
        let authorization = call.headers().get("authorization");
        let authorization = authorization.map(|value| value.to_str().unwrap().to_owned());
        let required = state.token.lock().unwrap().clone();
        let is_accepted = required
            .is_none_or(|token| authorization.as_deref() == Some(&format!("Bearer {token}")));
        state.authorizations.lock().unwrap().push(authorization);
        let backend = backend.clone();
        async move {
            if is_accepted {
                backend.oneshot(call.map(Body::new)).await
            } else {
                let status = Status::unauthenticated("expected a token of this service");
                Ok::<Response<Body>, _>(status.into_http())
            }
        }
    });
    let http = http2::Builder::new(TokioExecutor::new());
    let _ = http.serve_connection(TokioIo::new(stream), answer).await;
}
