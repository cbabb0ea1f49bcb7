//! The way to a controller: its address, and a client that takes nothing elsewhere.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Client, Url};

use crate::failure::Failure;

/// Reads an address, which says `http` or `https`.
pub(super) fn base_url(server: &str) -> Result<Url, Failure> {
    let unusable = |reason: &str| {
        Failure::usage(format!(
            "`{server}` is no address of a controller: {reason}; write it as https://HOST:7080"
        ))
    };
    let url = Url::parse(server).map_err(|error| unusable(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(unusable("it must begin with http:// or https://"));
    }
    if !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some()
    {
        return Err(unusable("it must have no user, query or fragment"));
    }
    Ok(url)
}

/// Silence after which a connection is taken for dead; live views send a comment every 15 s.
const SILENCE_MAX: Duration = Duration::from_secs(60);

pub(super) fn client(
    server: &str,
    ca_file: Option<PathBuf>,
    timeout: Duration,
) -> Result<Client, Failure> {
    let unusable = |source: reqwest::Error| Failure::Unusable {
        server: server.to_owned(),
        source: Box::new(source),
    };
    // Another part of the process may have installed the same provider; either way there is one.
    tidemark_runtime::tls::install_crypto_provider();
    let mut builder = Client::builder()
        .user_agent(concat!("tidemark/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(10))
        .read_timeout(SILENCE_MAX.max(timeout))
        // A redirect would take the token to another place than the operator named.
        .redirect(reqwest::redirect::Policy::none());
    if let Some(path) = ca_file {
        let pem = std::fs::read(&path).map_err(|source| Failure::File {
            what: "authorities",
            path,
            source,
        })?;
        builder =
            builder.tls_certs_only(reqwest::Certificate::from_pem_bundle(&pem).map_err(unusable)?);
    }
    if server.starts_with("http:") {
        // The system may have none, and none is asked.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(unusable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_would_leak_or_mislead_are_refused() {
        for server in [
            "",
            "localhost:7080",
            "ftp://x",
            "http://user:pass@x",
            "http://x?a=b",
            "http://x#f",
        ] {
            assert!(
                matches!(base_url(server), Err(Failure::Usage { .. })),
                "{server}"
            );
        }
        base_url("https://tidemark.example:7080/behind/a/proxy").unwrap();
    }
}
