//! Certificates in files, and callers that use them.

use std::{fs, os::unix::fs::symlink, path::PathBuf, sync::Arc};

use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::transport::{Channel, Endpoint};

/// The name in the server's certificates.
pub(crate) const HOST: &str = "fetchd.test";

/// An authority, for servers or for clients.
pub(crate) struct Ca(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) cert: String,
    pub(crate) key: String,
}

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

impl Ca {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// Issues a certificate for a host. `serial` is the common name, so that tests can
    /// tell certificates apart.
    pub(crate) fn issue(&self, host: &str, serial: &str) -> Pair {
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, serial);
        self.sign(params)
    }

    /// Issues a certificate for a SPIFFE ID.
    pub(crate) fn issue_spiffe(&self, id: &str) -> Pair {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI(id.try_into().unwrap())];
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Pair {
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.0).unwrap().pem();
        let key = key.serialize_pem();
        Pair { cert, key }
    }
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

    /// Returns the flags for a service that uses these files.
    pub(crate) fn flags(&self, is_mutual: bool) -> Vec<String> {
        let flag = |flag: &str, name| [flag.to_owned(), self.path(name).display().to_string()];
        let mut flags = [flag("--tls-cert", "tls.crt"), flag("--tls-key", "tls.key")].concat();
        if is_mutual {
            flags.extend(flag("--tls-client-ca", "ca.crt"));
        }
        flags
    }
}

impl Dialer {
    pub(crate) fn new(ca: &Ca, identity: Option<Pair>) -> Self {
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
            Some(pair) => {
                let cert = CertificateDer::from_pem_slice(pair.cert.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(vec![cert], key).unwrap()
            }
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
