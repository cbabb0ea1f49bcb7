//! The section `[web]`: how the pages and the API are reached from other machines.

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::Deserialize;

use super::noted;
use crate::api::certificate::CertificateFiles;
use crate::api::proxies::Proxies;

/// Proxies that are named at most; networks count once.
const PROXIES_MAX: usize = 64;

/// The section as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WebConfig {
    certificate_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    trusted_proxies: Vec<String>,
}

/// How the pages and the API are reached.
#[derive(Clone, Debug, Default)]
pub struct WebSettings {
    /// What they are served with; plain HTTP without.
    pub certificate: Option<CertificateFiles>,
    /// Whose word is taken of who asks.
    pub proxies: Proxies,
}

impl WebConfig {
    /// The settings; `None` when something is wrong.
    pub(super) fn check(self, problems: &mut Vec<String>) -> Option<WebSettings> {
        let certificate = match (self.certificate_file, self.key_file) {
            (Some(certificate), Some(key)) => Ok(Some(CertificateFiles { certificate, key })),
            (None, None) => Ok(None),
            (Some(_), None) => Err(
                "web.key_file is missing; web.certificate_file needs the key of its certificate"
                    .to_owned(),
            ),
            (None, Some(_)) => Err(
                "web.certificate_file is missing; web.key_file is the key of a certificate"
                    .to_owned(),
            ),
        };
        let certificate = noted(certificate, problems);
        let proxies = noted(proxies(&self.trusted_proxies), problems);
        Some(WebSettings {
            certificate: certificate?,
            proxies: proxies?,
        })
    }
}

fn proxies(written: &[String]) -> Result<Proxies, String> {
    if written.len() > PROXIES_MAX {
        return Err(format!(
            "web.trusted_proxies has {} entries; it may have {PROXIES_MAX}: name the network that they are in",
            written.len()
        ));
    }
    let network = |text: &String| {
        text.parse()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
            .map_err(|_| {
                format!(
                    "web.trusted_proxies has {text:?}; write addresses and networks, as in \"10.1.2.3\" or \"10.1.0.0/16\""
                )
            })
    };
    let networks: Result<Vec<IpNet>, String> = written.iter().map(network).collect();
    networks.map(Proxies::new)
}
