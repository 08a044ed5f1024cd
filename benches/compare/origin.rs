//! A lean origin: it sends a body as it is asked for, 1 KiB unless the query says
//! otherwise, after a delay if it names one: `/?size=BYTES&delay=MS`.

use std::{io::Write, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpSocket,
};
use tokio_rustls::TlsAcceptor;

/// So that 10,000 connections at once are taken.
const BACKLOG: u32 = 16_384;

/// What is written at once of a large body.
static BODY: [u8; 1 << 20] = [b'x'; 1 << 20];

/// Serves plainly, or over TLS if the arguments name files with a certificate and
/// its key (DER). Prints its address.
pub async fn run(arguments: &[String]) {
    let tls = match arguments {
        [certificate, key] => Some(acceptor(certificate, key)),
        _ => None,
    };
    let socket = TcpSocket::new_v4().expect("a socket");
    let any = "127.0.0.1:0".parse().expect("an address");
    socket.bind(any).expect("a free port");
    let listener = socket.listen(BACKLOG).expect("it listens");
    println!("{}", listener.local_addr().expect("it has an address"));
    std::io::stdout().flush().expect("somebody listens");
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let tls = tls.clone();
        tokio::spawn(async move {
            match tls {
                None => serve(stream).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream).await;
                    }
                }
            }
        });
    }
}

/// Answers one request after another. These are small enough to come in one
/// piece, and no contender sends one before the last is answered.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut buffer = [0; 8192];
    let mut answer = Vec::new();
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        let request = &buffer[..count];
        let size = number(request, b"size=").unwrap_or(1024);
        let delay = number(request, b"delay=").unwrap_or(0);
        if delay > 0 {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        answer.clear();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: ";
        let _ = write!(answer, "{head}{size}\r\n\r\n");
        let mut left = usize::try_from(size).expect("a size that fits");
        let first = left.min(BODY.len());
        if left < 64 << 10 {
            answer.extend_from_slice(&BODY[..left]);
            left = 0;
        }
        if stream.write_all(&answer).await.is_err() {
            return;
        }
        while left > 0 {
            let length = left.min(first);
            if stream.write_all(&BODY[..length]).await.is_err() {
                return;
            }
            left -= length;
        }
        if stream.flush().await.is_err() {
            return;
        }
    }
}

/// The number that follows `name` in the request line.
fn number(request: &[u8], name: &[u8]) -> Option<u64> {
    let line = request.split(|byte| *byte == b'\r').next()?;
    let start = line.windows(name.len()).position(|window| window == name)?;
    let digits = line[start + name.len()..].iter();
    let digits = digits.take_while(|byte| byte.is_ascii_digit());
    digits.fold(None, |number, digit| {
        Some(number.unwrap_or(0) * 10 + u64::from(digit - b'0'))
    })
}

fn acceptor(certificate: &str, key: &str) -> TlsAcceptor {
    let read = |path: &str| std::fs::read(path).expect("the file was just written");
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(read(key));
    let config = rustls::ServerConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .expect("TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![read(certificate).into()], key.into())
        .expect("a certificate and its key");
    TlsAcceptor::from(Arc::new(config))
}
