//! A certificate authority and a server certificate for `localhost`, made anew for each server.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::answerer::FAR;
use crate::process::run;

/// What is wrong with a server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// It bears another name.
    WrongName,
    /// It was valid until yesterday.
    Expired,
    /// It is signed by itself alone.
    SelfSigned,
}

/// Files made by `openssl` in a directory of the caller.
#[derive(Debug, Clone)]
pub struct Certificates {
    /// The authority, PEM: what a client must trust (`SSL_CERT_FILE`).
    pub authority: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Certificates {
    /// Makes an authority and a certificate for `localhost`, `127.0.0.1`, `::1` and [`FAR`] in this directory.
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
        let names = format!("subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1,IP:{FAR}\nextendedKeyUsage=serverAuth\n");
        fs::write(&extensions, names).expect("the directory can be written");
        let signing =
            ["x509", "-req", "-days", "30", "-in", &request, "-CA", &ca, "-CAkey", &ca_key, "-CAcreateserial"];
        run("openssl", signing.iter().chain(&["-extfile", &extensions, "-out", &certificate]));
        Certificates { authority: ca.into(), certificate: certificate.into(), key: key.into() }
    }

    /// A certificate with this flaw for the same authority, in this directory.
    pub fn flawed(&self, dir: &Path, flaw: Flaw) -> Certificates {
        let path = |name: &str| dir.join(name).to_string_lossy().into_owned();
        let [request, certificate, key, extensions] = ["request.pem", "cert.pem", "key.pem", "extensions"].map(path);
        let new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", &key];
        if flaw == Flaw::SelfSigned {
            let own = ["req", "-x509", "-days", "30", "-subj", "/CN=self", "-out", &certificate];
            let names = ["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"];
            run("openssl", own.iter().chain(&new_key).chain(&names));
        } else {
            run("openssl", ["req", "-new", "-subj", "/CN=localhost", "-out", &request].iter().chain(&new_key));
            let name = if flaw == Flaw::WrongName { "other.example" } else { "localhost" };
            fs::write(&extensions, format!("subjectAltName=DNS:{name}\n")).expect("the directory can be written");
            let days = if flaw == Flaw::Expired { "-1" } else { "30" };
            let (ca, ca_key) = (self.authority.to_string_lossy(), self.authority.with_extension("key"));
            let ca_key = ca_key.to_string_lossy();
            let signing = ["x509", "-req", "-days", days, "-in", &request, "-CA", &ca, "-CAkey", &ca_key];
            run("openssl", signing.iter().chain(&["-CAcreateserial", "-extfile", &extensions, "-out", &certificate]));
        }
        Certificates { authority: self.authority.clone(), certificate: certificate.into(), key: key.into() }
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
