//! The section `[otlp]`: an OpenTelemetry collector that takes the controller's metrics and traces.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use serde::Deserialize;
use tidemark_model::Secret;

use super::{duration, noted};
use crate::otlp::{OtlpSettings, Signals};

/// Shortest and longest time between two exports of metrics.
const EVERY_LIMITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3_600));

/// The section as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct OtlpConfig {
    endpoint: Option<String>,
    ca_file: Option<PathBuf>,
    headers_file: Option<PathBuf>,
    signals: Option<Vec<String>>,
    every: Option<String>,
    traces_ratio: Option<f64>,
}

impl OtlpConfig {
    /// The collector; the outer `None` when something is wrong.
    #[expect(clippy::option_option, reason = "no collector is as fine as one")]
    pub(super) fn check(self, problems: &mut Vec<String>) -> Option<Option<OtlpSettings>> {
        let before = problems.len();
        let endpoint = self.endpoint.as_deref().unwrap_or_default();
        if self.endpoint.is_none() {
            let others = self.ca_file.is_some()
                || self.headers_file.is_some()
                || self.signals.is_some()
                || self.every.is_some()
                || self.traces_ratio.is_some();
            if others {
                problems.push("otlp.endpoint is missing; it is the collector's address for OTLP over HTTP, as in http://collector.example:4318".to_owned());
                return None;
            }
            return Some(None);
        }
        if !is_endpoint(endpoint) {
            problems.push(format!(
                "otlp.endpoint is {endpoint:?}; it must be http:// or https://, a host and a port, as in http://collector.example:4318; /v1/metrics and /v1/traces come behind it"
            ));
        }
        let headers = self
            .headers_file
            .and_then(|path| noted(headers(&path), problems));
        let signals = noted(signals(self.signals), problems);
        let every = self.every.as_deref().unwrap_or("60s");
        let every = noted(duration("otlp.every", every), problems);
        if every.is_some_and(|every| !(EVERY_LIMITS.0..=EVERY_LIMITS.1).contains(&every)) {
            problems.push("otlp.every must be 1s to 1h".to_owned());
        }
        let traces_ratio = self.traces_ratio.unwrap_or(1.0);
        if !(0.0..=1.0).contains(&traces_ratio) {
            problems.push(format!(
                "otlp.traces_ratio is {traces_ratio}; it is the share of requests to trace, 0.0 to 1.0"
            ));
        }
        if problems.len() > before {
            return None;
        }
        Some(Some(OtlpSettings {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            ca_file: self.ca_file,
            headers: headers.unwrap_or_default(),
            signals: signals?,
            every: every?,
            traces_ratio,
        }))
    }
}

fn is_endpoint(url: &str) -> bool {
    let Ok(parsed) = url.parse::<http::Uri>() else {
        return false;
    };
    let has_host = parsed.host().is_some_and(|host| !host.is_empty());
    matches!(parsed.scheme_str(), Some("http" | "https")) && has_host && parsed.query().is_none()
}

fn signals(names: Option<Vec<String>>) -> Result<Signals, String> {
    let Some(names) = names else {
        return Ok(Signals::ALL);
    };
    let mut signals = Signals::NONE;
    for name in &names {
        match name.as_str() {
            "metrics" => signals.metrics = true,
            "traces" => signals.traces = true,
            other => {
                return Err(format!(
                    "otlp.signals names {other:?}; known are metrics and traces"
                ));
            }
        }
    }
    if signals == Signals::NONE {
        return Err(
            "otlp.signals is empty; leave otlp.endpoint out to send nothing, or name metrics, traces or both"
                .to_owned(),
        );
    }
    Ok(signals)
}

/// The headers that a collector asks for, one `Name: value` a line: a file, since they are secrets as a rule.
fn headers(path: &Path) -> Result<Vec<(String, Secret<String>)>, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("otlp.headers_file: {}: {error}", path.display()))?;
    let mut headers = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // What stands there is not repeated: it may be the secret.
        let wrong = || {
            format!(
                "otlp.headers_file: {}: line {number} is no header; write one a line, as in Authorization: Bearer TOKEN",
                path.display()
            )
        };
        let (name, value) = line.split_once(':').ok_or_else(wrong)?;
        let name: HeaderName = name.trim().parse().map_err(|_| wrong())?;
        let value = value.trim();
        HeaderValue::from_str(value).map_err(|_| wrong())?;
        headers.push((name.as_str().to_owned(), Secret::new(value.to_owned())));
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> (Option<Option<OtlpSettings>>, String) {
        let config: OtlpConfig = toml::from_str(text).unwrap();
        let mut problems = Vec::new();
        let settings = config.check(&mut problems);
        (settings, problems.join("\n"))
    }

    #[test]
    fn no_collector_is_fine_and_one_needs_its_address_alone() {
        assert!(matches!(checked(""), (Some(None), _)));
        let (settings, problems) = checked("endpoint = \"http://collector.example:4318/\"");
        assert_eq!(problems, "");
        let settings = settings.unwrap().unwrap();
        assert_eq!(settings.endpoint, "http://collector.example:4318");
        assert_eq!(settings.signals, Signals::ALL);
        assert_eq!(settings.every, Duration::from_secs(60));
        let (settings, _) = checked("endpoint = \"http://[::1]:4318\"\nsignals = [\"traces\"]");
        let signals = settings.unwrap().unwrap().signals;
        assert_eq!((signals.metrics, signals.traces), (false, true));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            ("every = \"5s\"", "otlp.endpoint is missing"),
            ("endpoint = \"collector:4318\"", "otlp.endpoint is"),
            (
                "endpoint = \"http://c:1\"\nsignals = [\"logs\"]",
                "otlp.signals names \"logs\"",
            ),
            ("endpoint = \"http://c:1\"\nsignals = []", "is empty"),
            ("endpoint = \"http://c:1\"\nevery = \"2h\"", "1s to 1h"),
            (
                "endpoint = \"http://c:1\"\ntraces_ratio = 1.5",
                "0.0 to 1.0",
            ),
            (
                "endpoint = \"http://c:1\"\nheaders_file = \"/none\"",
                "otlp.headers_file: /none",
            ),
        ];
        for (text, said) in cases {
            let (settings, problems) = checked(text);
            assert!(settings.is_none(), "{text}");
            assert!(problems.contains(said), "{text}: {problems}");
        }
    }

    #[test]
    fn headers_are_read_line_by_line_and_a_wrong_one_does_not_show_its_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("headers");
        std::fs::write(
            &path,
            "# collector\nAuthorization: Bearer abc\n\nx-team: a:b\n",
        )
        .unwrap();
        let read = headers(&path).unwrap();
        let shown: Vec<_> = read
            .iter()
            .map(|(name, value)| (name.as_str(), value.expose().as_str()))
            .collect();
        assert_eq!(shown, [("authorization", "Bearer abc"), ("x-team", "a:b")]);
        std::fs::write(&path, "hidden-secret\n").unwrap();
        let error = headers(&path).unwrap_err();
        assert!(error.contains("line 1 is no header"), "{error}");
        assert!(!error.contains("hidden-secret"), "{error}");
    }
}
