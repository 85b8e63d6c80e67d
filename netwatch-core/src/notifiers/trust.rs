//! Whom TLS trusts: the system's authorities and those of the configuration. ring is the only provider.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::Verifier;

/// TLS cannot be used as configured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The certificates to trust could not be read.
    #[error("cannot use {path:?} as certificates to trust: {reason}")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The system's certificates cannot be used.
    #[error("cannot prepare TLS: {0}; if this system has no certificates, install ca-certificates")]
    System(String),
}

/// TLS that verifies every server by the system's authorities and those in `ca_file` (PEM).
pub(super) fn client(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, TrustError> {
    let provider = Arc::new(ring::default_provider());
    let extra = ca_file.map(authorities).transpose()?.unwrap_or_default();
    let failed = |error: rustls::Error| match ca_file {
        Some(path) => TrustError::CaFile { path: path.to_owned(), reason: error.to_string() },
        None => TrustError::System(error.to_string()),
    };
    let verifier = Verifier::new_with_extra_roots(extra, Arc::clone(&provider)).map_err(failed)?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TrustError::System(error.to_string()))?
        // The name says "dangerous" because any verifier could be put in; this one verifies as the system does.
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// TLS that trusts nobody, for connections that never use it.
#[cfg(feature = "webhook")]
pub(super) fn nobody() -> Result<Arc<ClientConfig>, TrustError> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| TrustError::System(error.to_string()))?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let failed = |reason: String| TrustError::CaFile { path: path.to_owned(), reason };
    let found = CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))?;
    let found: Vec<_> = found.collect::<Result<_, _>>().map_err(|error| failed(error.to_string()))?;
    if found.is_empty() {
        return Err(failed("it holds no certificate in PEM form".to_owned()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_certificate_is_refused_and_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for text in ["", "hello", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"] {
            std::fs::write(file.path(), text).unwrap();
            let error = client(Some(file.path())).unwrap_err();
            assert!(matches!(error, TrustError::CaFile { .. }), "{text}: {error}");
        }
        assert!(client(Some(Path::new("/nowhere/ca.pem"))).unwrap_err().to_string().contains("/nowhere/ca.pem"));
    }
}
