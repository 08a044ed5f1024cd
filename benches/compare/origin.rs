//! A minimal origin. The query gives the size of the body and the delay before the
//! response: `/?size=BYTES&delay=MS`. By default, the size is 1 KiB and there is no delay.

use std::{io::Write, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpSocket,
};
use tokio_rustls::TlsAcceptor;

/// Large enough for 10,000 simultaneous connections.
const BACKLOG: u32 = 16_384;

/// The largest piece of a body that is written at once.
static BODY: [u8; 1 << 20] = [b'x'; 1 << 20];

/// Serves until the process is killed. Uses TLS if the arguments are the paths of a
/// certificate and its key (DER). Prints the address.
pub async fn run(arguments: &[String]) {
    let tls = match arguments {
        [certificate, key] => Some(acceptor(certificate, key)),
        _ => None,
    };
    let socket = TcpSocket::new_v4().expect("a socket can be opened");
    let any = "127.0.0.1:0".parse().expect("the address is valid");
    socket
        .bind(any)
        .expect("the loopback address has a free port");
    let listener = socket.listen(BACKLOG).expect("a bound socket can listen");
    println!(
        "{}",
        listener
            .local_addr()
            .expect("a bound listener has an address")
    );
    std::io::stdout()
        .flush()
        .expect("standard output is a pipe to the bench");
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

/// Answers the requests of one connection. Each request arrives in one read, because it is
/// small and no contender pipelines requests.
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
        let mut remaining = usize::try_from(size).expect("usize has 64 bits");
        if remaining < 64 << 10 {
            answer.extend_from_slice(&BODY[..remaining]);
            remaining = 0;
        }
        if stream.write_all(&answer).await.is_err() {
            return;
        }
        while remaining > 0 {
            let length = remaining.min(BODY.len());
            if stream.write_all(&BODY[..length]).await.is_err() {
                return;
            }
            remaining -= length;
        }
        if stream.flush().await.is_err() {
            return;
        }
    }
}

/// Returns the number after `name` in the request line.
fn number(request: &[u8], name: &[u8]) -> Option<u64> {
    let line = request.split(|byte| *byte == b'\r').next()?;
    let start = line.windows(name.len()).position(|window| window == name)?;
    let digits = line[start + name.len()..].iter();
    let digits = digits.take_while(|byte| byte.is_ascii_digit());
    digits.fold(None, |number, digit| {
        Some(number.unwrap_or(0) * 10 + u64::from(digit - b'0'))
    })
}

/// Returns a TLS acceptor with the certificate and key in these files.
fn acceptor(certificate: &str, key: &str) -> TlsAcceptor {
    let read = |path: &str| std::fs::read(path).expect("the bench has written the file");
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(read(key));
    let config = rustls::ServerConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs supports TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![read(certificate).into()], key.into())
        .expect("the key belongs to the certificate");
    TlsAcceptor::from(Arc::new(config))
}
