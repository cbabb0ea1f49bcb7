//! E-mail by SMTP: plain text, with an id that makes the same message the same mail.

use std::fmt::Write as _;

use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use tidemark_model::Timestamp;

use super::{Receiver, ReceiverKind, SendError, read_secret};
use crate::gateway::outcome::chain;
use crate::notify::message::{Message, Told};

/// How a connection to a mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// Begins in the clear, and goes on only when the server takes STARTTLS.
    StartTls,
    /// From the first byte.
    Tls,
    /// Not at all: for a relay on this machine.
    None,
}

impl SmtpTls {
    /// The choice of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "starttls" => Some(Self::StartTls),
            "tls" => Some(Self::Tls),
            "none" => Some(Self::None),
            _ => None,
        }
    }

    /// The port that goes with it.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::StartTls => 587,
            Self::Tls => 465,
            Self::None => 25,
        }
    }
}

/// An address, with a name perhaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox(lettre::message::Mailbox);

impl Mailbox {
    /// Reads `ops@example.com` or `Ops <ops@example.com>`.
    ///
    /// # Errors
    /// When it is no address.
    pub fn parse(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| {
            format!("{text:?} is no address; write ops@example.com or Ops <ops@example.com>")
        })
    }
}

/// Says that no person wrote it, so that no machine answers.
#[derive(Clone, Debug)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

pub(super) async fn send(
    receiver: &Receiver,
    message: &Message,
    now: Timestamp,
) -> Result<(), SendError> {
    let mail = mail(receiver, message, now)?;
    let transport = transport(receiver).await?;
    let sent = tokio::time::timeout(receiver.timeout, transport.send(mail)).await;
    match sent {
        Err(_) => Err(SendError::later(format!(
            "the mail server took longer than {:?}",
            receiver.timeout
        ))),
        Ok(Ok(_)) => Ok(()),
        // A server that refuses for good may be mended by its operator, as a full or unknown mailbox is.
        Ok(Err(error)) => Err(SendError::later(chain(&error))),
    }
}

async fn transport(receiver: &Receiver) -> Result<AsyncSmtpTransport<Tokio1Executor>, SendError> {
    let ReceiverKind::Email {
        host,
        port,
        tls,
        credentials,
        ..
    } = &receiver.kind
    else {
        return Err(SendError::never("it is no mail receiver"));
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host.as_str())
        .port(*port)
        .timeout(Some(receiver.timeout))
        .tls(match tls {
            SmtpTls::None => Tls::None,
            SmtpTls::StartTls => Tls::Required(parameters(receiver, host).await?),
            SmtpTls::Tls => Tls::Wrapper(parameters(receiver, host).await?),
        });
    if let Some((username, password_file)) = credentials {
        let password = read_secret(password_file).await?;
        builder = builder.credentials(Credentials::new(
            username.clone(),
            password.expose().clone(),
        ));
    }
    Ok(builder.build())
}

async fn parameters(receiver: &Receiver, host: &str) -> Result<TlsParameters, SendError> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(path) = &receiver.ca_file {
        let pem = tokio::fs::read(path)
            .await
            .map_err(|error| SendError::later(format!("ca_file {}: {error}", path.display())))?;
        let certificate =
            Certificate::from_pem(&pem).map_err(|error| SendError::later(chain(&error)))?;
        builder = builder.add_root_certificate(certificate);
    }
    builder
        .build()
        .map_err(|error| SendError::later(chain(&error)))
}

fn mail(
    receiver: &Receiver,
    message: &Message,
    now: Timestamp,
) -> Result<lettre::Message, SendError> {
    let ReceiverKind::Email { from, to, .. } = &receiver.kind else {
        return Err(SendError::never("it is no mail receiver"));
    };
    let since_epoch = std::time::Duration::from_millis(now.unix_ms().unsigned_abs());
    let mut builder = lettre::Message::builder()
        .from(from.0.clone())
        .subject(message.subject())
        // The same for each try: a mailbox that got it twice shows it once.
        .message_id(Some(format!("<{}@{}>", message.key, from.0.email.domain())))
        .date(std::time::UNIX_EPOCH + since_epoch)
        .header(AutoSubmitted)
        .header(ContentType::TEXT_PLAIN);
    for mailbox in to {
        builder = builder.to(mailbox.0.clone());
    }
    builder
        .body(text(message))
        .map_err(|error| SendError::never(chain(&error)))
}

fn text(message: &Message) -> String {
    let mut text = String::new();
    for told in message.told() {
        add(&mut text, told);
    }
    if message.left_out > 0 {
        write!(text, "And {} more.\r\n\r\n", message.left_out).ok();
    }
    if let Some(url) = &message.url {
        write!(text, "All incidents: {url}\r\n").ok();
    }
    text
}

/// Writing to a String cannot fail.
fn add(text: &mut String, told: &Told) {
    write!(
        text,
        "{}\r\n{}, {}\r\n\r\n{}\r\n",
        told.title,
        told.severity.as_str(),
        told.state,
        told.sentence
    )
    .ok();
    for (heading, lines) in [("Figures:", &told.evidence), ("What to do:", &told.advice)] {
        if lines.is_empty() {
            continue;
        }
        write!(text, "\r\n{heading}\r\n").ok();
        for line in lines {
            write!(text, "- {line}\r\n").ok();
        }
    }
    if let Some(url) = &told.url {
        write!(text, "\r\n{url}\r\n").ok();
    }
    text.push_str("\r\n");
}
