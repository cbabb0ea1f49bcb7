//! Why there is no connection, or no answer over it, by what an operator would do about it.

use std::error::Error;
use std::io;
use std::time::Duration;

use rustls::{AlertDescription, CertificateError, OtherError};
use tidemark_runtime::tls::{PinMismatch, TlsError};
use tonic::{Code, Status};

use crate::identity::VaultError;

/// Longest text of a controller that is shown, in characters.
const MESSAGE_CHARS_MAX: usize = 300;
/// A host that is shut out asks again this often: somebody may let it in.
pub(crate) const FORBIDDEN_PAUSE: Duration = Duration::from_secs(60);
/// How deep a chain of causes is searched.
const CAUSES_MAX: usize = 16;

/// Why the controller cannot be reached, or refuses.
#[derive(Debug, thiserror::Error)]
pub enum LinkFailure {
    /// The name has no address.
    #[error(
        "the controller's name {name:?} cannot be resolved: check `controller` and the host's DNS"
    )]
    Resolve {
        /// The name.
        name: String,
        /// What the resolver says.
        source: io::Error,
    },
    /// The resolver answered with nothing.
    #[error("the controller's name has no address: check `controller` and the host's DNS")]
    NoAddress,
    /// A step took too long.
    #[error("{step} took longer than {} s: check the network and firewalls on the way", limit.as_secs())]
    Timeout {
        /// What took too long.
        step: &'static str,
        /// How long it was given.
        limit: Duration,
    },
    /// Nothing listens there.
    #[error(
        "nothing listens at the controller's address: check that it runs, and the port in `controller`"
    )]
    NotListening(#[source] io::Error),
    /// There is no way there.
    #[error("there is no route to the controller: check this host's network")]
    Unreachable(#[source] io::Error),
    /// This host has no port left for the connection.
    #[error(
        "this host has no local port left for a connection to the controller: its ports are exhausted"
    )]
    PortsExhausted(#[source] io::Error),
    /// The connection failed for another reason.
    #[error("the connection to the controller failed")]
    Connect(#[source] io::Error),
    /// The certificates of this host cannot be used.
    #[error("this host's certificate cannot be used for TLS")]
    OwnCertificate(#[from] TlsError),
    /// The identity of this host cannot be used.
    #[error("this host's identity cannot be used")]
    Identity(#[source] Box<VaultError>),
    /// Another CA than the pinned one.
    #[error(transparent)]
    ForeignCa(PinMismatch),
    /// A server that this host's root CA does not vouch for.
    #[error(
        "the server at the controller's address is not this host's controller: check `controller`, or enrol again with a \
         token of that controller"
    )]
    ForeignController(#[source] rustls::Error),
    /// The controller's certificate is not valid at the time this host believes it is.
    #[error(
        "the controller's certificate is not valid at this host's time: check this host's clock, then the controller's \
         certificate"
    )]
    Clock(#[source] rustls::Error),
    /// The controller does not take this host's certificate.
    #[error("the controller refused this host's certificate ({alert:?})")]
    CertificateRefused {
        /// The TLS alert.
        alert: AlertDescription,
    },
    /// TLS failed for another reason.
    #[error("the TLS handshake failed")]
    Tls(#[source] io::Error),
    /// The peer does not speak HTTP/2 as it should.
    #[error("the HTTP/2 handshake failed")]
    Http2(#[source] hyper::Error),
    /// The controller answered with an error.
    #[error("the controller answers {code:?}: {message}")]
    Answer {
        /// Its kind.
        code: Code,
        /// The controller's words, cut and without control characters.
        message: String,
        /// How long it asks to stay away.
        retry_after: Option<Duration>,
    },
    /// The connection ended while an answer was awaited.
    #[error("the connection to the controller was lost: {reason}")]
    Lost {
        /// The innermost cause, in its own words.
        reason: String,
    },
}

impl LinkFailure {
    /// A short stable name, for logs, counters and `status`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Resolve { .. } | Self::NoAddress => "unresolved",
            Self::Timeout { .. } => "timeout",
            Self::NotListening(_) => "not_listening",
            Self::Unreachable(_) => "unreachable",
            Self::PortsExhausted(_) => "ports_exhausted",
            Self::Connect(_) => "connect_failed",
            Self::OwnCertificate(_) => "own_certificate",
            Self::Identity(_) => "identity",
            Self::ForeignCa(_) | Self::ForeignController(_) => "foreign_controller",
            Self::Clock(_) => "clock",
            Self::CertificateRefused { .. } => "certificate_refused",
            Self::Tls(_) => "tls_failed",
            Self::Http2(_) => "http2_failed",
            Self::Answer { code, .. } => answer_kind(*code),
            Self::Lost { .. } => "lost",
        }
    }

    /// How long to stay away at least: as long as the controller asks, or a while when it shuts this host out.
    #[must_use]
    pub fn pause(&self) -> Option<Duration> {
        let Self::Answer {
            code, retry_after, ..
        } = self
        else {
            return None;
        };
        let forbidden = (*code == Code::PermissionDenied).then_some(FORBIDDEN_PAUSE);
        retry_after.or(forbidden)
    }

    /// Whether a new certificate, asked for with the identity key, may help.
    #[must_use]
    pub const fn needs_new_certificate(&self) -> bool {
        matches!(
            self,
            Self::CertificateRefused { .. }
                | Self::OwnCertificate(_)
                | Self::Answer {
                    code: Code::Unauthenticated,
                    ..
                }
        )
    }

    /// From a failed connect.
    pub(crate) fn from_connect(error: io::Error) -> Self {
        use io::ErrorKind::{
            AddrInUse, AddrNotAvailable, ConnectionRefused, HostUnreachable, NetworkDown,
            NetworkUnreachable, TimedOut,
        };
        let kind = error.kind();
        if kind == ConnectionRefused {
            Self::NotListening(error)
        } else if matches!(
            kind,
            HostUnreachable | NetworkUnreachable | NetworkDown | TimedOut
        ) {
            Self::Unreachable(error)
        } else if matches!(kind, AddrNotAvailable | AddrInUse) {
            Self::PortsExhausted(error)
        } else {
            Self::Connect(error)
        }
    }

    /// From a failed TLS handshake.
    pub(crate) fn from_handshake(error: io::Error) -> Self {
        match find_cause::<rustls::Error>(&error) {
            Some(cause) => Self::of_tls(cause).unwrap_or(Self::Tls(error)),
            None => Self::Tls(error),
        }
    }

    /// From a failed HTTP/2 handshake. A refused client certificate shows here, because TLS 1.3 reports it late.
    pub(crate) fn from_http2(error: hyper::Error) -> Self {
        find_cause::<rustls::Error>(&error)
            .and_then(Self::of_tls)
            .unwrap_or(Self::Http2(error))
    }

    /// From an answer that is an error, or from the end of the connection.
    pub(crate) fn from_status(status: Status) -> Self {
        if let Some(failure) = find_cause::<rustls::Error>(&status).and_then(Self::of_tls) {
            return failure;
        }
        if status.source().is_some() {
            return Self::Lost {
                reason: innermost(&status),
            };
        }
        Self::Answer {
            code: status.code(),
            message: shown(status.message()),
            retry_after: retry_after(&status),
        }
    }

    fn of_tls(error: &rustls::Error) -> Option<Self> {
        if let rustls::Error::AlertReceived(alert) = error {
            return is_about_certificates(*alert)
                .then_some(Self::CertificateRefused { alert: *alert });
        }
        let rustls::Error::InvalidCertificate(reason) = error else {
            return None;
        };
        if let CertificateError::Other(OtherError(other)) = reason
            && let Some(mismatch) = other.downcast_ref::<PinMismatch>()
        {
            return Some(Self::ForeignCa(mismatch.clone()));
        }
        let is_about_time = matches!(
            reason,
            CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. }
        );
        Some(if is_about_time {
            Self::Clock(error.clone())
        } else {
            Self::ForeignController(error.clone())
        })
    }
}

/// How long the controller asks to stay away, by gRPC's own convention (gRFC A6).
fn retry_after(status: &Status) -> Option<Duration> {
    let text = status.metadata().get("grpc-retry-pushback-ms")?;
    text.to_str().ok()?.parse().ok().map(Duration::from_millis)
}

const fn answer_kind(code: Code) -> &'static str {
    match code {
        Code::Unauthenticated => "unauthenticated",
        Code::PermissionDenied => "forbidden",
        Code::FailedPrecondition => "precondition",
        Code::ResourceExhausted => "throttled",
        Code::Unavailable => "unavailable",
        Code::InvalidArgument | Code::OutOfRange => "invalid",
        Code::Unimplemented => "unimplemented",
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::NotFound
        | Code::AlreadyExists
        | Code::Aborted
        | Code::Internal
        | Code::DataLoss => "refused",
    }
}

const fn is_about_certificates(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRequired
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
    )
}

/// A peer's text as it may be logged: no control characters, cut.
pub(crate) fn shown(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .take(MESSAGE_CHARS_MAX)
        .collect()
}

/// The last cause of a chain, in words for people: the chain in between repeats itself in the words of each layer.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    for _ in 0..CAUSES_MAX {
        let is_cut = last
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::UnexpectedEof);
        if is_cut {
            return "it was cut without a word".to_owned();
        }
        match cause_of(last) {
            Some(cause) => last = cause,
            None => break,
        }
    }
    shown(&last.to_string())
}

/// Searches the chain of causes, and what an `io::Error` wraps, for an error of one type.
fn find_cause<'e, T: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e T> {
    let mut next = Some(error);
    for _ in 0..CAUSES_MAX {
        let cause = next?;
        if let Some(found) = cause.downcast_ref::<T>() {
            return Some(found);
        }
        next = cause_of(cause);
    }
    None
}

/// One step down a chain of causes; `io::Error::source` skips the error that it wraps.
fn cause_of<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e (dyn Error + 'static)> {
    let wrapped = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
        .map(|inner| inner as &(dyn Error + 'static));
    wrapped.or_else(|| error.source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_certificate_alert_is_recognised_behind_an_answer() {
        let tls = rustls::Error::AlertReceived(AlertDescription::CertificateRevoked);
        let io = io::Error::new(io::ErrorKind::InvalidData, tls);
        let failure = LinkFailure::from_status(Status::from_error(Box::new(io)));
        assert_eq!(failure.kind(), "certificate_refused");
        assert!(failure.needs_new_certificate());
    }

    #[test]
    fn a_connection_that_was_cut_is_told_in_few_words() {
        let cut = io::Error::from(io::ErrorKind::UnexpectedEof);
        let layered = io::Error::other(io::Error::other(cut));
        let failure = LinkFailure::from_status(Status::from_error(Box::new(layered)));
        assert_eq!(failure.kind(), "lost");
        assert!(
            failure.to_string().ends_with("it was cut without a word"),
            "{failure}"
        );
    }

    #[test]
    fn a_controllers_words_are_shown_without_control_characters_and_cut() {
        let hostile = format!("\u{1b}[31m{}", "x".repeat(1_000));
        let failure = LinkFailure::from_status(Status::permission_denied(hostile));
        let text = failure.to_string();
        assert!(!text.contains('\u{1b}'), "{text:?}");
        assert!(text.len() < 400, "{}", text.len());
        assert_eq!(failure.kind(), "forbidden");
    }

    #[test]
    fn exhausted_ports_are_told_from_an_absent_controller() {
        let of = |kind: io::ErrorKind| LinkFailure::from_connect(kind.into()).kind();
        assert_eq!(of(io::ErrorKind::AddrNotAvailable), "ports_exhausted");
        assert_eq!(of(io::ErrorKind::ConnectionRefused), "not_listening");
        assert_eq!(of(io::ErrorKind::HostUnreachable), "unreachable");
    }
}
