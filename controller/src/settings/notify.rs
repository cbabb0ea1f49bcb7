//! The section `[notify]`: whom to tell what. Checks everything that can be checked without sending anything.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use tidemark_model::silence::Matcher;

use super::{duration, noted};
use crate::notify::receiver::{Authorization, Mailbox, Receiver, ReceiverKind, SmtpTls};
use crate::notify::{NotifySettings, Route};

/// Receivers and routes, at most each.
const ENTRIES_MAX: usize = 100;

/// Shortest and longest time that a receiver may take to answer.
const TIMEOUT_LIMITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

const PAGERDUTY_URL: &str = "https://events.pagerduty.com/v2/enqueue";

/// The section as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct NotifyConfig {
    public_url: Option<String>,
    receiver: Vec<ReceiverConfig>,
    route: Vec<RouteConfig>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RouteConfig {
    receiver: String,
    #[serde(default)]
    matchers: Vec<String>,
    #[serde(default)]
    group_by: Vec<String>,
    group_wait: Option<String>,
    repeat_interval: Option<String>,
    #[serde(default = "yes")]
    send_resolved: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ReceiverConfig {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    timeout: Option<String>,
    ca_file: Option<PathBuf>,
    url: Option<String>,
    url_file: Option<PathBuf>,
    secret_file: Option<PathBuf>,
    bearer_token_file: Option<PathBuf>,
    username: Option<String>,
    password_file: Option<PathBuf>,
    routing_key_file: Option<PathBuf>,
    resend_interval: Option<String>,
    server: Option<String>,
    tls: Option<SmtpTls>,
    from: Option<String>,
    to: Vec<String>,
}

const fn yes() -> bool {
    true
}

impl NotifyConfig {
    pub(super) fn check(self, problems: &mut Vec<String>) -> Option<NotifySettings> {
        let before = problems.len();
        for (what, count) in [
            ("receiver", self.receiver.len()),
            ("route", self.route.len()),
        ] {
            if count > ENTRIES_MAX {
                problems.push(format!(
                    "notify.{what} has {count} entries; at most {ENTRIES_MAX} are taken"
                ));
            }
        }
        let public_url = self
            .public_url
            .and_then(|url| noted(http_url("notify.public_url", &url), problems));
        let mut receivers: Vec<Receiver> = Vec::new();
        for receiver in self.receiver {
            let is_taken = receivers.iter().any(|other| other.name == receiver.name);
            if is_taken {
                problems.push(format!(
                    "two of notify.receiver are named {:?}; each needs a name of its own",
                    receiver.name
                ));
            }
            receivers.extend(receiver.check(problems));
        }
        let names: Vec<&str> = receivers.iter().map(|one| one.name.as_str()).collect();
        let mut routes = Vec::new();
        for route in self.route {
            if !names.contains(&route.receiver.as_str()) && problems.len() == before {
                problems.push(format!(
                    "notify.route names the receiver {:?}; there are: {}",
                    route.receiver,
                    names.join(", ")
                ));
            }
            routes.extend(route.check(problems));
        }
        (problems.len() == before).then(|| NotifySettings {
            public_url: public_url.map(|url| url.trim_end_matches('/').to_owned()),
            receivers,
            routes,
        })
    }
}

impl RouteConfig {
    fn check(self, problems: &mut Vec<String>) -> Option<Route> {
        let what = format!("notify.route to {:?}", self.receiver);
        let matchers: Vec<Matcher> = self
            .matchers
            .iter()
            .filter_map(|text| {
                let parsed = text
                    .parse()
                    .map_err(|error| format!("{what}: matchers: {error}"));
                noted(parsed, problems)
            })
            .collect();
        let group_wait = optional(&what, "group_wait", self.group_wait.as_deref(), "30s");
        let repeat = optional(
            &what,
            "repeat_interval",
            self.repeat_interval.as_deref(),
            "4h",
        );
        let repeat_interval = noted(repeat, problems)?;
        if repeat_interval < Duration::from_secs(60) {
            problems.push(format!(
                "{what}: repeat_interval is {repeat_interval:?}; it must be 1m or longer"
            ));
        }
        Some(Route {
            receiver: self.receiver,
            matchers,
            group_by: self.group_by,
            group_wait: noted(group_wait, problems)?,
            repeat_interval,
            send_resolved: self.send_resolved,
        })
    }
}

/// Collects what is wrong with one receiver.
struct Checker<'p> {
    what: String,
    problems: &'p mut Vec<String>,
}

impl Checker<'_> {
    fn need<T>(&mut self, key: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.problems
                .push(format!("{}: {key} is missing", self.what));
        }
        value
    }

    fn url(&mut self, key: &str, value: Option<String>) -> Option<String> {
        let url = self.need(key, value)?;
        let name = format!("{}: {key}", self.what);
        noted(http_url(&name, &url), self.problems)
    }

    /// A file with a secret: it must be there and hold something. It is read again for each message.
    fn secret(&mut self, key: &str, path: PathBuf) -> Option<PathBuf> {
        let problem = match std::fs::read_to_string(&path) {
            Ok(text) if text.trim().is_empty() => "is empty".to_owned(),
            Ok(_) => return Some(path),
            Err(error) => format!("cannot be read: {error}"),
        };
        self.problems
            .push(format!("{}: {key} {} {problem}", self.what, path.display()));
        None
    }

    fn optional_secret(&mut self, key: &str, path: Option<PathBuf>) -> Option<Option<PathBuf>> {
        match path {
            None => Some(None),
            Some(path) => self.secret(key, path).map(Some),
        }
    }

    fn needed_secret(&mut self, key: &str, path: Option<PathBuf>) -> Option<PathBuf> {
        let path = self.need(key, path)?;
        self.secret(key, path)
    }
}

impl ReceiverConfig {
    fn check(mut self, problems: &mut Vec<String>) -> Option<Receiver> {
        let what = format!("notify.receiver {:?}", self.name);
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if !(1..=64).contains(&self.name.len()) || !self.name.chars().all(is_name) {
            problems.push(format!(
                "{what}: name must be 1 to 64 letters, digits and . _ -"
            ));
        }
        let timeout = optional(&what, "timeout", self.timeout.take().as_deref(), "15s");
        let timeout = noted(timeout, problems)?;
        if !(TIMEOUT_LIMITS.0..=TIMEOUT_LIMITS.1).contains(&timeout) {
            problems.push(format!("{what}: timeout must be 1s to 30s"));
        }
        let name = std::mem::take(&mut self.name);
        let ca_file = self.ca_file.take();
        if let Some(path) = &ca_file {
            let read = certificates(path).map_err(|error| format!("{what}: ca_file: {error}"));
            noted(read, problems)?;
        }
        let mut checker = Checker { what, problems };
        let kind = self.kind_of(&mut checker)?;
        self.refuse_rest(&mut checker);
        Some(Receiver {
            name,
            kind,
            timeout,
            ca_file,
        })
    }

    /// Takes what the kind needs out of the section.
    fn kind_of(&mut self, checker: &mut Checker<'_>) -> Option<ReceiverKind> {
        let kind = std::mem::take(&mut self.kind);
        match kind.as_str() {
            "alertmanager" => Some(ReceiverKind::Alertmanager {
                url: checker.url("url", self.url.take())?,
                authorization: self.authorization(checker)?,
                resend_interval: self.resend_interval(checker)?,
            }),
            "webhook" => Some(ReceiverKind::Webhook {
                url: checker.url("url", self.url.take())?,
                secret_file: checker.optional_secret("secret_file", self.secret_file.take())?,
                authorization: self.authorization(checker)?,
            }),
            "slack" => Some(ReceiverKind::Slack {
                url_file: checker.needed_secret("url_file", self.url_file.take())?,
            }),
            "teams" => Some(ReceiverKind::Teams {
                url_file: checker.needed_secret("url_file", self.url_file.take())?,
            }),
            "pagerduty" => Some(ReceiverKind::PagerDuty {
                url: {
                    let url = self.url.take();
                    checker.url("url", url.or_else(|| Some(PAGERDUTY_URL.to_owned())))?
                },
                routing_key_file: checker
                    .needed_secret("routing_key_file", self.routing_key_file.take())?,
            }),
            "email" => self.email(checker),
            other => {
                checker.problems.push(format!(
                    "{}: type is {other:?}; it must be alertmanager, webhook, slack, teams, pagerduty or email",
                    checker.what
                ));
                None
            }
        }
    }

    fn authorization(&mut self, checker: &mut Checker<'_>) -> Option<Authorization> {
        let token = checker.optional_secret("bearer_token_file", self.bearer_token_file.take())?;
        let password = checker.optional_secret("password_file", self.password_file.take())?;
        match (token, self.username.take(), password) {
            (None, None, None) => Some(Authorization::None),
            (Some(token_file), None, None) => Some(Authorization::Bearer { token_file }),
            (None, Some(username), Some(password_file)) => Some(Authorization::Basic {
                username,
                password_file,
            }),
            (_, _, _) => {
                checker.problems.push(format!(
                    "{}: give either bearer_token_file, or username and password_file",
                    checker.what
                ));
                None
            }
        }
    }

    fn resend_interval(&mut self, checker: &mut Checker<'_>) -> Option<Duration> {
        let text = self.resend_interval.take();
        let interval = optional(&checker.what, "resend_interval", text.as_deref(), "1m");
        let interval = noted(interval, checker.problems)?;
        if (Duration::from_secs(1)..=Duration::from_secs(3_600)).contains(&interval) {
            return Some(interval);
        }
        checker.problems.push(format!(
            "{}: resend_interval must be 1s to 1h",
            checker.what
        ));
        None
    }

    fn email(&mut self, checker: &mut Checker<'_>) -> Option<ReceiverKind> {
        let tls = checker.need("tls (starttls, tls or none)", self.tls.take())?;
        let server = checker.need("server", self.server.take())?;
        let (host, port) = match server.rsplit_once(':') {
            Some((host, port)) => (host.to_owned(), port.parse().ok()),
            None => (server, Some(tls.default_port())),
        };
        let port = checker.need("server, as HOST or HOST:PORT", port)?;
        let from = checker.need("from", self.from.take())?;
        let to = std::mem::take(&mut self.to);
        if to.is_empty() || to.len() > 50 {
            checker
                .problems
                .push(format!("{}: to must be 1 to 50 addresses", checker.what));
        }
        let mut addresses = Vec::new();
        for text in std::iter::once(&from).chain(&to) {
            let parsed = Mailbox::parse(text).map_err(|error| format!("{}: {error}", checker.what));
            addresses.push(noted(parsed, checker.problems)?);
        }
        let mut addresses = addresses.into_iter();
        let password_file = checker.optional_secret("password_file", self.password_file.take())?;
        let credentials = match (self.username.take(), password_file) {
            (None, None) => None,
            (Some(username), Some(password_file)) => Some((username, password_file)),
            (_, _) => {
                checker.problems.push(format!(
                    "{}: username and password_file belong together",
                    checker.what
                ));
                None
            }
        };
        if credentials.is_some() && tls == SmtpTls::None {
            checker.problems.push(format!(
                "{}: a password is not sent without TLS; use tls = \"starttls\" or \"tls\"",
                checker.what
            ));
        }
        Some(ReceiverKind::Email {
            host,
            port,
            tls,
            from: addresses.next()?,
            to: addresses.collect(),
            credentials,
        })
    }

    /// What no kind took does not belong here.
    fn refuse_rest(&self, checker: &mut Checker<'_>) {
        let rest = [
            ("url", self.url.is_some()),
            ("url_file", self.url_file.is_some()),
            ("secret_file", self.secret_file.is_some()),
            ("bearer_token_file", self.bearer_token_file.is_some()),
            ("username", self.username.is_some()),
            ("password_file", self.password_file.is_some()),
            ("routing_key_file", self.routing_key_file.is_some()),
            ("resend_interval", self.resend_interval.is_some()),
            ("server", self.server.is_some()),
            ("tls", self.tls.is_some()),
            ("from", self.from.is_some()),
            ("to", !self.to.is_empty()),
        ];
        for (key, _) in rest.into_iter().filter(|(_, is_there)| *is_there) {
            checker.problems.push(format!(
                "{}: {key} does not belong to a receiver of this type",
                checker.what
            ));
        }
    }
}

/// The certificates of a PEM file.
///
/// # Errors
/// When it cannot be read or holds none.
fn certificates(path: &Path) -> Result<(), String> {
    let pem = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    match reqwest::Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(()),
        Ok(_) | Err(_) => Err(format!("{} holds no PEM certificate", path.display())),
    }
}

fn optional(what: &str, key: &str, text: Option<&str>, default: &str) -> Result<Duration, String> {
    duration(&format!("{what}: {key}"), text.unwrap_or(default))
}

fn http_url(key: &str, text: &str) -> Result<String, String> {
    let wrong = || format!("{key} is {text:?}; it must be an address as in https://HOST/PATH");
    let uri: http::Uri = text.parse().map_err(|_| wrong())?;
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    let has_user = uri
        .authority()
        .is_some_and(|authority| authority.as_str().contains('@'));
    if has_user {
        // The text is not repeated: it holds a password.
        return Err(format!(
            "{key} holds a user; give it as username and password_file"
        ));
    }
    if is_http && uri.host().is_some() {
        Ok(text.to_owned())
    } else {
        Err(wrong())
    }
}

#[cfg(test)]
mod tests;
