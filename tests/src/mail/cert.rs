//! A certificate authority and a server certificate for `localhost`, made anew for each server.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::process::run;

/// Files made by `openssl` in a directory of the caller.
#[derive(Debug, Clone)]
pub struct Certificates {
    /// The authority, PEM: what a client must trust (`SSL_CERT_FILE`).
    pub authority: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Certificates {
    /// Makes an authority and a certificate for `localhost`, `127.0.0.1` and `::1` in this directory.
    pub fn make(dir: &Path) -> Certificates {
        let path = |name: &str| dir.join(name).to_string_lossy().into_owned();
        let [ca, ca_key, request, certificate, key, extensions] =
            ["ca.pem", "ca.key", "request.pem", "cert.pem", "key.pem", "extensions"].map(path);
        let curve = "ec_paramgen_curve:P-256";
        let new_key = ["-newkey", "ec", "-pkeyopt", curve, "-nodes"];
        let authority = ["req", "-x509", "-days", "30", "-subj", "/CN=netwatch lab", "-keyout", &ca_key, "-out", &ca];
        run("openssl", authority.iter().chain(&new_key).chain(&["-addext", "basicConstraints=critical,CA:TRUE"]));
        let asked = ["req", "-new", "-subj", "/CN=localhost", "-keyout", &key, "-out", &request];
        run("openssl", asked.iter().chain(&new_key));
        let names = "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1\nextendedKeyUsage=serverAuth\n";
        fs::write(&extensions, names).expect("the directory can be written");
        let signing =
            ["x509", "-req", "-days", "30", "-in", &request, "-CA", &ca, "-CAkey", &ca_key, "-CAcreateserial"];
        run("openssl", signing.iter().chain(&["-extfile", &extensions, "-out", &certificate]));
        Certificates { authority: ca.into(), certificate: certificate.into(), key: key.into() }
    }

    /// What a server needs to be trusted by whoever trusts the authority.
    pub fn server(&self) -> Arc<ServerConfig> {
        let chain = CertificateDer::pem_file_iter(&self.certificate).expect("openssl wrote the certificate");
        let chain = chain.collect::<Result<Vec<_>, _>>().expect("openssl writes PEM");
        let key = PrivateKeyDer::from_pem_file(&self.key).expect("openssl wrote the key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("ring offers the default versions").with_no_client_auth();
        Arc::new(config.with_single_cert(chain, key).expect("the key is the certificate's"))
    }

    pub(super) fn client(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_file(&self.authority).expect("openssl wrote the authority");
        roots.add(authority).expect("the authority is a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("ring offers the default versions").with_root_certificates(roots);
        Arc::new(config.with_no_client_auth())
    }
}
