//! The TLS settings and the token for calls to a service.

use std::path::PathBuf;

use fetchd::client::{
    Builder,
    internals::{InvalidSetting, TlsSettings, Token, with_credentials},
};

use super::Usage;

/// The flags of all commands that call a service.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Credentials {
    /// File of PEM root certificates to trust for an `https` service, instead of the system's roots.
    /// This and the next two are read again for each connection
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,

    /// File of the PEM certificate, and any intermediate ones, for an `https` service that asks for
    /// a client certificate
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// File of the PEM private key of `--tls-cert`
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// File of a token to send with each call, as `authorization: Bearer TOKEN`; read again for each
    /// call. With an `http` service, it can be read on the way
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl Credentials {
    /// Returns true if `id` is one of these flags.
    pub(super) fn has(id: &str) -> bool {
        matches!(id, "tls_ca" | "tls_cert" | "tls_key" | "token_file")
    }

    /// Reads all files and checks what they contain. `servers` are the URLs that they're for,
    /// separated by commas.
    pub(super) fn check(&self, servers: &str) -> Result<(), Usage> {
        let flag = |name: &str| format!("--{}", name.replace('_', "-"));
        let usage = |invalid: InvalidSetting| {
            Usage::new(format_args!("{}: {}", flag(invalid.name), invalid.problem))
        };
        if let Some(token) = self.token() {
            token.authorization().map_err(usage)?;
        }
        let tls = self.tls();
        let Some(name) = tls.first_set() else {
            return Ok(());
        };
        let has_tls = |url: &str| url.trim().to_ascii_lowercase().starts_with("https:");
        if !servers.split(',').any(has_tls) {
            let flag = flag(name);
            return Err(Usage::new(format_args!(
                "{flag}: expected a --server URL such as https://fetchd.example with it"
            )));
        }
        tls.check().map_err(usage)
    }

    /// Returns the TLS settings.
    pub(super) fn tls(&self) -> TlsSettings {
        let mut tls = TlsSettings::default();
        if let Some(path) = &self.tls_ca {
            tls.set_ca_file(path);
        }
        if let (Some(cert), Some(key)) = (&self.tls_cert, &self.tls_key) {
            tls.set_identity_files(cert, key);
        }
        tls
    }

    pub(super) fn token(&self) -> Option<Token> {
        self.token_file.as_ref().map(Token::file)
    }

    /// Returns a client builder with these settings.
    pub(super) fn add_to(&self, builder: Builder) -> Builder {
        with_credentials(builder, self.tls(), self.token())
    }
}
