//! Syslog: messages of RFC 5424 in datagrams (RFC 5426), or counted by octets over TCP (RFC 6587) and TLS (RFC 5425).

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tidemark_model::Timestamp;
use tidemark_model::audit_log::Outcome;
use tidemark_store::Kept;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket, UnixDatagram};
use tokio_rustls::TlsConnector;

use crate::api::audit_log::line;

/// Facility "log audit".
const FACILITY: u8 = 13;
/// Severities informational, notice and error.
const DONE: u8 = 6;
const REFUSED: u8 = 5;
const FAILED: u8 = 3;

/// A syslog server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyslogTarget {
    /// As it was configured.
    pub text: String,
    /// How it is reached.
    pub way: Way,
    /// PEM file with the only authorities to trust, for TLS.
    pub ca_file: Option<PathBuf>,
}

/// How a server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// A socket of this machine.
    Unix(PathBuf),
    /// Datagrams to `host:port`.
    Udp(String),
    /// A connection to `host:port`.
    Tcp(String),
    /// A connection with TLS to `host:port`.
    Tls(String),
}

/// A text that is no address of a syslog server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write unix:///dev/log, udp://HOST:514, tcp://HOST:601 or tls://HOST:6514")]
pub struct InvalidWay;

impl FromStr for Way {
    type Err = InvalidWay;

    fn from_str(text: &str) -> Result<Self, InvalidWay> {
        let (scheme, rest) = text.split_once("://").ok_or(InvalidWay)?;
        if scheme == "unix" {
            return if rest.starts_with('/') {
                Ok(Self::Unix(rest.into()))
            } else {
                Err(InvalidWay)
            };
        }
        let (host, port) = rest.rsplit_once(':').ok_or(InvalidWay)?;
        let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
        if host.is_empty() || host.contains('/') || !is_port {
            return Err(InvalidWay);
        }
        match scheme {
            "udp" => Ok(Self::Udp(rest.to_owned())),
            "tcp" => Ok(Self::Tcp(rest.to_owned())),
            "tls" => Ok(Self::Tls(rest.to_owned())),
            _ => Err(InvalidWay),
        }
    }
}

type Stream = Box<dyn AsyncWrite + Send + Sync + Unpin>;

/// Sends messages; a connection is kept while it lasts.
pub(super) struct Sender {
    target: SyslogTarget,
    stream: Option<Stream>,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sender({})", self.target.text)
    }
}

impl Sender {
    pub(super) const fn new(target: SyslogTarget) -> Self {
        Self {
            target,
            stream: None,
        }
    }

    pub(super) async fn send(&mut self, page: &[Kept]) -> io::Result<()> {
        match &self.target.way {
            Way::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                for one in page {
                    socket.send(message(one).as_bytes()).await?;
                }
                Ok(())
            }
            Way::Udp(address) => {
                let server = tokio::net::lookup_host(address).await?.next();
                let server = server.ok_or_else(|| io::Error::other("the name has no address"))?;
                let own = if server.is_ipv4() {
                    "0.0.0.0:0"
                } else {
                    "[::]:0"
                };
                let socket = UdpSocket::bind(own).await?;
                for one in page {
                    socket.send_to(message(one).as_bytes(), server).await?;
                }
                Ok(())
            }
            Way::Tcp(_) | Way::Tls(_) => {
                let sent = self.send_counted(page).await;
                if sent.is_err() {
                    self.stream = None;
                }
                sent
            }
        }
    }

    async fn send_counted(&mut self, page: &[Kept]) -> io::Result<()> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => none.insert(connect(&self.target).await?),
        };
        let mut text = String::new();
        for one in page {
            let message = message(one);
            text.push_str(&format!("{} {message}", message.len()));
        }
        stream.write_all(text.as_bytes()).await?;
        stream.flush().await
    }
}

async fn connect(target: &SyslogTarget) -> io::Result<Stream> {
    let (Way::Tcp(address) | Way::Tls(address)) = &target.way else {
        return Err(io::Error::other("it takes datagrams"));
    };
    let tcp = TcpStream::connect(address).await?;
    if matches!(target.way, Way::Tcp(_)) {
        return Ok(Box::new(tcp));
    }
    let path = target.ca_file.clone().unwrap_or_default();
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(&path).map_err(io::Error::other)?;
    for certificate in certificates {
        roots
            .add(certificate.map_err(io::Error::other)?)
            .map_err(io::Error::other)?;
    }
    let config = ClientConfig::builder_with_provider(tidemark_runtime::tls::crypto_provider())
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let host = address
        .rsplit_once(':')
        .map_or(&**address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let tls = TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await?;
    Ok(Box::new(tls))
}

/// An entry as a message: the deed is its id, the line of the export its text.
fn message(one: &Kept) -> String {
    let (severity, at, id) = match &one.1 {
        Ok(entry) => {
            let severity = match entry.outcome {
                Outcome::Done => DONE,
                Outcome::Refused => REFUSED,
                Outcome::Failed => FAILED,
            };
            (severity, time(entry.at_ms), entry.what.as_str())
        }
        Err(_) => (FAILED, "-".to_owned(), "unreadable"),
    };
    let priority = FACILITY * 8 + severity;
    // A byte order mark says that the text is UTF-8.
    let text = line(one);
    format!(
        "<{priority}>1 {at} - tidemark-controller - {id} - \u{feff}{}",
        text.trim_end()
    )
}

/// A time as RFC 5424 writes it; unknown for one that the calendar does not have.
fn time(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.unix_ms())
        .map_or_else(|_| "-".to_owned(), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tidemark_model::audit_log::{Deed, Digest, Doer, DoerKind, NewEntry, Subject};
    use tokio::io::AsyncReadExt as _;

    use super::*;

    fn entry() -> Kept {
        let entry = NewEntry {
            at: Timestamp::from_unix_ms(1_700_000_000_123),
            who: Doer {
                kind: DoerKind::Operator,
                name: "änn".to_owned(),
                role: None,
                credential: None,
                address: None,
            },
            what: Deed::SignIn,
            on: Subject {
                kind: "sessions".to_owned(),
                id: String::new(),
                host: None,
            },
            outcome: Outcome::Refused,
            detail: BTreeMap::new(),
        };
        (1, Ok(entry.sealed(1, Digest::ZERO)))
    }

    fn target(way: Way) -> SyslogTarget {
        SyslogTarget {
            text: "test".to_owned(),
            way,
            ca_file: None,
        }
    }

    #[test]
    fn addresses_are_read_and_others_refused() {
        assert_eq!("unix:///dev/log".parse(), Ok(Way::Unix("/dev/log".into())));
        assert_eq!("udp://log:514".parse(), Ok(Way::Udp("log:514".into())));
        assert_eq!(
            "tls://[::1]:6514".parse(),
            Ok(Way::Tls("[::1]:6514".into()))
        );
        for wrong in [
            "",
            "log",
            "udp://log",
            "tcp://:1",
            "tcp://log:0",
            "http://log:1",
            "unix://log",
        ] {
            assert_eq!(wrong.parse::<Way>(), Err(InvalidWay), "{wrong}");
        }
    }

    #[tokio::test]
    async fn messages_are_those_of_rfc_5424_over_datagrams_and_connections() {
        let wanted =
            "<109>1 2023-11-14T22:13:20.123Z - tidemark-controller - sign_in - \u{feff}{\"seq\":1,";
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap().to_string();
        let mut sender = Sender::new(target(Way::Udp(address)));
        sender.send(&[entry()]).await.unwrap();
        let mut bytes = vec![0; 4_096];
        let count = server.recv(&mut bytes).await.unwrap();
        let text = String::from_utf8(bytes[..count].to_vec()).unwrap();
        assert!(text.starts_with(wanted), "{text}");

        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap().to_string();
        let mut sender = Sender::new(target(Way::Tcp(address)));
        sender.send(&[entry(), entry()]).await.unwrap();
        let (mut stream, _) = server.accept().await.unwrap();
        drop(sender);
        let mut counted = String::new();
        stream.read_to_string(&mut counted).await.unwrap();
        let one = format!("{} {text}", text.len());
        assert_eq!(counted, one.repeat(2));
    }
}
