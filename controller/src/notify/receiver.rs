//! Receivers: what each kind needs, and how a message gets there. One file a kind; all share the way over HTTP.
//!
//! Secrets are files, read for each message, so that they can be replaced at any time; none is kept, shown or logged.

mod alertmanager;
mod email;
mod pagerduty;
mod slack;
mod teams;
mod webhook;

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use tidemark_model::{Secret, Timestamp};

use super::message::Message;
use crate::gateway::outcome::chain;
use crate::incidents::text::clean;
use crate::outgoing;

pub use email::{Mailbox, SmtpTls};

/// How much of an answer that refuses is read and told.
const ANSWER_CHARS_MAX: usize = 200;

/// Largest secret file, in bytes.
const SECRET_BYTES_MAX: usize = 64 * 1_024;

/// Who can be told, and how.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: ReceiverKind,
    /// How long it may take to answer.
    pub timeout: Duration,
    /// PEM file with authorities to trust beside the system's.
    pub ca_file: Option<PathBuf>,
}

/// What a receiver is.
#[derive(Clone, Debug)]
pub enum ReceiverKind {
    /// Prometheus' Alertmanager, API v2.
    Alertmanager {
        /// Its address.
        url: String,
        /// How to be let in.
        authorization: Authorization,
        /// How often alerts are told again, lest they lapse.
        resend_interval: Duration,
    },
    /// Whatever takes JSON.
    Webhook {
        /// Its address.
        url: String,
        /// Key of the signature.
        secret_file: Option<PathBuf>,
        /// How to be let in.
        authorization: Authorization,
    },
    /// Slack, by an incoming webhook.
    Slack {
        /// The webhook's address, which is its secret.
        url_file: PathBuf,
    },
    /// Microsoft Teams, by a workflow's webhook.
    Teams {
        /// The webhook's address, which is its secret.
        url_file: PathBuf,
    },
    /// PagerDuty, Events API v2.
    PagerDuty {
        /// Address of the API.
        url: String,
        /// The integration's key.
        routing_key_file: PathBuf,
    },
    /// E-mail by SMTP.
    Email {
        /// The server.
        host: String,
        /// Its port.
        port: u16,
        /// How the connection is protected.
        tls: SmtpTls,
        /// From whom.
        from: Mailbox,
        /// To whom.
        to: Vec<Mailbox>,
        /// User and password file.
        credentials: Option<(String, PathBuf)>,
    },
}

/// How to be let in.
#[derive(Clone, Debug)]
pub enum Authorization {
    /// Anybody is.
    None,
    /// With a token.
    Bearer {
        /// Where it is.
        token_file: PathBuf,
    },
    /// With a user and a password.
    Basic {
        /// The user.
        username: String,
        /// Where the password is.
        password_file: PathBuf,
    },
}

/// How a kind of receiver takes things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voice {
    /// As messages about groups of incidents, repeated.
    Messages,
    /// As alerts that lapse, one an incident.
    Alerts,
    /// As pages, one an incident, which can be acknowledged.
    Pages,
}

impl Receiver {
    /// How it takes things.
    #[must_use]
    pub const fn voice(&self) -> Voice {
        match self.kind {
            ReceiverKind::Alertmanager { .. } => Voice::Alerts,
            ReceiverKind::PagerDuty { .. } => Voice::Pages,
            ReceiverKind::Webhook { .. }
            | ReceiverKind::Slack { .. }
            | ReceiverKind::Teams { .. }
            | ReceiverKind::Email { .. } => Voice::Messages,
        }
    }

    /// Its type, as it is configured.
    #[must_use]
    pub const fn kind_name(&self) -> &'static str {
        match self.kind {
            ReceiverKind::Alertmanager { .. } => "alertmanager",
            ReceiverKind::Webhook { .. } => "webhook",
            ReceiverKind::Slack { .. } => "slack",
            ReceiverKind::Teams { .. } => "teams",
            ReceiverKind::PagerDuty { .. } => "pagerduty",
            ReceiverKind::Email { .. } => "email",
        }
    }
}

/// Why a message did not arrive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct SendError {
    /// What to do next.
    pub retry: Retry,
    /// In words, without secrets.
    pub text: String,
}

/// What to do after a failed try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Try again, not before the receiver's own wish.
    Later(Option<Duration>),
    /// Never: the receiver will not take this message.
    Never,
}

impl SendError {
    /// It may arrive yet.
    #[must_use]
    pub fn later(text: impl Into<String>) -> Self {
        Self {
            retry: Retry::Later(None),
            text: text.into(),
        }
    }

    /// It will never arrive.
    #[must_use]
    pub fn never(text: impl Into<String>) -> Self {
        Self {
            retry: Retry::Never,
            text: text.into(),
        }
    }
}

/// A receiver with what is needed to reach it.
#[derive(Debug)]
pub struct Sender {
    receiver: Receiver,
    client: Result<reqwest::Client, String>,
}

/// What is posted.
struct Posting<'a> {
    url: &'a str,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Sender {
    /// Prepares to reach it; nothing is sent.
    #[must_use]
    pub fn new(receiver: Receiver) -> Self {
        Self {
            client: client(&receiver),
            receiver,
        }
    }

    /// Whom it reaches.
    #[must_use]
    pub const fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    /// Tries once. `written` is the message as it is stored.
    ///
    /// # Errors
    /// Why it did not arrive, and whether another try makes sense.
    pub async fn send(
        &self,
        message: &Message,
        written: &str,
        now: Timestamp,
    ) -> Result<(), SendError> {
        match &self.receiver.kind {
            ReceiverKind::Alertmanager {
                url,
                authorization,
                resend_interval,
            } => {
                let url = alertmanager::address(url);
                let body = alertmanager::body(message, *resend_interval, now);
                self.post(Posting {
                    url: &url,
                    headers: authorization.headers().await?,
                    body,
                })
                .await
            }
            ReceiverKind::Webhook {
                url,
                secret_file,
                authorization,
            } => {
                let secret = match secret_file {
                    Some(path) => Some(read_secret(path).await?),
                    None => None,
                };
                let mut headers = authorization.headers().await?;
                webhook::add_headers(&mut headers, (message, written), secret.as_ref(), now)?;
                let body = written.as_bytes().to_vec();
                self.post(Posting { url, headers, body }).await
            }
            ReceiverKind::Slack { url_file } => {
                self.post_to_secret(url_file, slack::body(message)).await
            }
            ReceiverKind::Teams { url_file } => {
                self.post_to_secret(url_file, teams::body(message)).await
            }
            ReceiverKind::PagerDuty {
                url,
                routing_key_file,
            } => {
                let key = read_secret(routing_key_file).await?;
                for body in pagerduty::bodies(message, &key) {
                    let headers = HeaderMap::new();
                    self.post(Posting { url, headers, body }).await?;
                }
                Ok(())
            }
            ReceiverKind::Email { .. } => email::send(&self.receiver, message, now).await,
        }
    }

    async fn post_to_secret(&self, url_file: &Path, body: Vec<u8>) -> Result<(), SendError> {
        let url = read_secret(url_file).await?;
        let posting = Posting {
            url: url.expose(),
            headers: HeaderMap::new(),
            body,
        };
        self.post(posting).await
    }

    async fn post(&self, posting: Posting<'_>) -> Result<(), SendError> {
        let client = self
            .client
            .as_ref()
            .map_err(|error| SendError::later(error.clone()))?;
        let request = client
            .post(posting.url)
            .headers(posting.headers)
            .header(header::CONTENT_TYPE, "application/json")
            .body(posting.body);
        // The address may hold a secret, and errors repeat it.
        let answer = request
            .send()
            .await
            .map_err(|error| SendError::later(chain(&error.without_url())))?;
        if answer.status().is_success() {
            return Ok(());
        }
        Err(refusal(answer).await)
    }
}

async fn refusal(mut answer: reqwest::Response) -> SendError {
    let status = answer.status();
    let asked = retry_after(answer.headers());
    // One piece is enough to say why; the rest is not read.
    let said = match answer.chunk().await {
        Ok(Some(bytes)) => String::from_utf8_lossy(&bytes)
            .chars()
            .take(ANSWER_CHARS_MAX)
            .collect(),
        Ok(None) | Err(_) => String::new(),
    };
    let text = format!("it answers {status}: {}", clean(&said));
    let retry = match status {
        // The receiver does not understand the message, and will not when it comes again.
        StatusCode::BAD_REQUEST
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNPROCESSABLE_ENTITY => Retry::Never,
        // Whatever else it is, an operator may mend it: a wrong token, a moved address.
        _ => Retry::Later(asked),
    };
    SendError { retry, text }
}

/// The wait that a receiver asks for, in seconds; a date is not obeyed, because its clock may be wrong.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

fn client(receiver: &Receiver) -> Result<reqwest::Client, String> {
    let client = outgoing::client_trusting(receiver.timeout, receiver.ca_file.as_deref())
        .map_err(|error| format!("{error:#}"))?;
    client.build().map_err(|error| chain(&error))
}

impl Authorization {
    async fn headers(&self) -> Result<HeaderMap, SendError> {
        let text = match self {
            Self::None => return Ok(HeaderMap::new()),
            Self::Bearer { token_file } => {
                format!("Bearer {}", read_secret(token_file).await?.expose())
            }
            Self::Basic {
                username,
                password_file,
            } => {
                let password = read_secret(password_file).await?;
                let pair = format!("{username}:{}", password.expose());
                format!("Basic {}", data_encoding::BASE64.encode(pair.as_bytes()))
            }
        };
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| SendError::later("the secret holds characters that no header can"))?;
        value.set_sensitive(true);
        Ok(HeaderMap::from_iter([(header::AUTHORIZATION, value)]))
    }
}

/// A secret, without the white space around it.
async fn read_secret(path: &Path) -> Result<Secret<String>, SendError> {
    let unreadable =
        |what: String| SendError::later(format!("secret file {}: {what}", path.display()));
    let text = tokio::fs::read_to_string(path)
        .await
        .map_err(|error| unreadable(error.to_string()))?;
    let text = Secret::new(text);
    let trimmed = text.expose().trim();
    if trimmed.is_empty() || trimmed.len() > SECRET_BYTES_MAX {
        return Err(unreadable(format!(
            "it must hold 1 to {SECRET_BYTES_MAX} bytes"
        )));
    }
    Ok(Secret::new(trimmed.to_owned()))
}

/// JSON as bytes.
fn json(value: &serde_json::Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// The first `limit` characters of a text.
fn cut(text: &str, limit: usize) -> String {
    text.chars().take(limit).collect()
}

/// How a receiver's TLS choice is written.
impl<'de> Deserialize<'de> for SmtpTls {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_name(&text)
            .ok_or_else(|| serde::de::Error::custom("tls must be starttls, tls or none"))
    }
}

#[cfg(test)]
mod tests;
