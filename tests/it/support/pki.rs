//! Certificates in files, and callers that use them.

use std::{fs, os::unix::fs::symlink, path::PathBuf, sync::Arc};

use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::transport::{Channel, Endpoint};

use super::{Authority, Pair, Process};

/// The name in the server's certificates.
pub(crate) const HOST: &str = "fetchd.test";

/// A folder of `tls.crt`, `tls.key` and `ca.crt`. Like those of a Secret in Kubernetes,
/// they're links, and all of them are replaced by renaming a single link.
pub(crate) struct Files {
    folder: TempDir,
    version: std::cell::Cell<u32>,
}

/// How a caller connects.
#[derive(Clone)]
pub(crate) struct Dialer {
    pub(crate) roots: String,
    pub(crate) identity: Option<Pair>,
    pub(crate) alpn: Vec<Vec<u8>>,
    pub(crate) versions: &'static [&'static SupportedProtocolVersion],
}

impl Files {
    pub(crate) fn new(pair: &Pair, client_ca: &str) -> Self {
        let files = Self {
            folder: tempfile::tempdir().unwrap(),
            version: 0.into(),
        };
        files.swap(pair, client_ca);
        for name in ["tls.crt", "tls.key", "ca.crt"] {
            symlink(format!("..data/{name}"), files.path(name)).unwrap();
        }
        files
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Replaces all files at once.
    pub(crate) fn swap(&self, pair: &Pair, client_ca: &str) {
        self.version.set(self.version.get() + 1);
        let version = format!("..{}", self.version.get());
        let folder = self.path(&version);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("tls.crt"), &pair.cert).unwrap();
        fs::write(folder.join("tls.key"), &pair.key).unwrap();
        fs::write(folder.join("ca.crt"), client_ca).unwrap();
        symlink(&version, self.path("..new")).unwrap();
        fs::rename(self.path("..new"), self.path("..data")).unwrap();
    }

    /// Overwrites the certificate and the key, one after another.
    pub(crate) fn overwrite(&self, pair: &Pair) {
        fs::write(self.path("tls.crt"), &pair.cert).unwrap();
        fs::write(self.path("tls.key"), &pair.key).unwrap();
    }

    /// Starts a service that uses these files, with additional arguments and environment
    /// variables. If it's mutual, callers need a certificate.
    pub(crate) fn serve(
        &self,
        is_mutual: bool,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Process {
        let [cert, key, ca] = ["tls.crt", "tls.key", "ca.crt"].map(|name| self.path(name));
        let mut flags = vec![
            "--tls-cert",
            cert.to_str().unwrap(),
            "--tls-key",
            key.to_str().unwrap(),
        ];
        if is_mutual {
            flags.extend(["--tls-client-ca", ca.to_str().unwrap()]);
        }
        flags.extend(arguments);
        Process::serve_with(&flags, variables)
    }
}

impl Dialer {
    pub(crate) fn new(ca: &Authority, identity: Option<Pair>) -> Self {
        Self {
            roots: ca.pem(),
            identity,
            alpn: vec![b"h2".to_vec()],
            versions: rustls::ALL_VERSIONS,
        }
    }

    /// Performs a handshake with the service at `address`.
    pub(crate) async fn dial(&self, address: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(self.roots.as_bytes()).unwrap();
        roots.add(root).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(self.versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(pair) => builder
                .with_client_auth_cert(vec![pair.cert_der()], pair.key_der())
                .unwrap(),
        };
        config.alpn_protocols.clone_from(&self.alpn);
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from(HOST).unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        connector.connect(name, stream).await
    }

    /// Opens a channel to the service at `address`.
    pub(crate) async fn channel(&self, address: &str) -> Result<Channel, tonic::transport::Error> {
        let (dialer, address) = (self.clone(), address.to_owned());
        let connector = tower::service_fn(move |_| {
            let (dialer, address) = (dialer.clone(), address.clone());
            async move { dialer.dial(&address).await.map(TokioIo::new) }
        });
        let endpoint = Endpoint::from_static("http://fetchd.test");
        endpoint.connect_with_connector(connector).await
    }
}
