//! The HTTP client by which the coordinator reaches others: the OpenID provider, receivers of webhooks and traces, witnesses.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use reqwest::tls::TlsInfo;
use reqwest::{Client, ClientBuilder, Response};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};

use crate::outward::Outward;

/// A client for `url`. It trusts the authority in `ca_file`, the value of `setting`, or without one the system's; it goes nowhere else than it is
/// told, for where others send it nobody has approved.
///
/// # Errors
/// The file cannot be used, or there is no authority to trust.
pub(crate) fn client(setting: &str, url: &str, ca_file: Option<&Path>, patience: Duration) -> anyhow::Result<Client> {
    build(setting, url, ca_file, patience, |builder| builder)
}

/// The same for URLs that people set through the API: connections are made to addresses that `outward` admits, and never through
/// a proxy, which would look the name up itself. Of a URL whose host is an address the caller asks [`Outward::check_url`].
///
/// # Errors
/// As [`client`].
pub(crate) fn guarded_client(
    setting: &str,
    ca_file: Option<&Path>,
    patience: Duration,
    outward: &Outward,
) -> anyhow::Result<Client> {
    build(setting, "https://", ca_file, patience, |builder| builder.no_proxy().dns_resolver(outward.clone()))
}

/// The certificate that the other side showed, in DER; `None` without TLS.
pub(crate) fn certificate(answer: &Response) -> Option<&[u8]> {
    answer.extensions().get::<TlsInfo>()?.peer_certificate()
}

fn build(
    setting: &str,
    url: &str,
    ca_file: Option<&Path>,
    patience: Duration,
    more: impl Fn(ClientBuilder) -> ClientBuilder,
) -> anyhow::Result<Client> {
    // Another part of the program may have done so.
    let _ = CryptoProvider::install_default(ring::default_provider());
    let base = || more(Client::builder().tls_info(true).timeout(patience).redirect(reqwest::redirect::Policy::none()));
    let trusting = |builder: ClientBuilder| -> anyhow::Result<ClientBuilder> {
        match ca_file {
            None => Ok(builder),
            Some(file) => {
                let pem = std::fs::read(file).with_context(|| format!("{setting}: reading {}", file.display()))?;
                Ok(builder.tls_certs_only([reqwest::Certificate::from_pem(&pem).with_context(|| setting.to_owned())?]))
            }
        }
    };
    match trusting(base())?.build() {
        // On this machine nobody has to be vouched for.
        Err(_) if url.starts_with("http://") => Ok(base().tls_certs_only([]).build()?),
        built => built.with_context(|| {
            format!("no authority is trusted here: install ca-certificates, or name one in {setting}")
        }),
    }
}
