//! What an operator meets when the configuration is right, wrong, or misspelt.

use clap::Parser;

use super::*;
use crate::collect::Namespaces;

#[derive(Debug, Parser)]
struct Command {
    #[command(flatten)]
    flags: ConfigFlags,
}

fn file_with(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

fn load(text: &str, arguments: &[&str]) -> Result<AgentConfig, ConfigError> {
    let file = file_with(text);
    let words = std::iter::once("agent").chain(arguments.iter().copied());
    AgentConfig::load(Some(file.path()), &Command::parse_from(words).flags)
}

fn error_of(text: &str) -> String {
    load(text, &[]).unwrap_err().to_string()
}

#[test]
fn an_empty_file_gives_the_shipped_settings() {
    let config = load("", &[]).unwrap();
    assert_eq!(config.collect.interval, Duration::from_secs(30));
    assert_eq!(config.data_dir, folders::data());
    assert_eq!(config.spool, SpoolSettings::default());
    assert_eq!(config.collect.watch_groups.len(), 4);
    assert!(
        config
            .require_controller()
            .unwrap_err()
            .to_string()
            .contains("TIDEMARK_CONTROLLER")
    );
}

#[test]
fn the_shipped_example_file_is_understood_and_says_the_defaults() {
    let example = include_str!("../../../deploy/linux/agent.toml");
    let uncommented: String = example
        .lines()
        .map(|line| line.strip_prefix("#! ").unwrap_or(line))
        .map(|line| format!("{line}\n"))
        .collect();
    let (shipped, all) = (
        load(example, &[]).unwrap(),
        load(&uncommented, &[]).unwrap(),
    );
    assert_eq!(all.collect.interval, shipped.collect.interval);
    assert_eq!(all.spool, shipped.spool);
    assert_eq!(all.drain_timeout, shipped.drain_timeout);
    for key in KEYS.iter().filter(|key| !key.ends_with(".*")) {
        let name = key.rsplit('.').next().unwrap();
        assert!(
            example.contains(name),
            "deploy/linux/agent.toml does not mention {key}"
        );
    }
}

#[test]
fn every_setting_can_be_given_as_a_flag_which_beats_the_file() {
    let config = load(
        "interval = '30s'\nnamespaces = 'all'\n[labels]\nsite = 'berlin'\n",
        &[
            "--interval",
            "1s",
            "--namespaces",
            "blue,green",
            "--label",
            "site=paris",
            "--label",
            "tier=db",
            "--watch-group",
            "mail=25,465",
            "--controller",
            "c.example:7443",
            "--spool-bytes-max",
            "1048576",
            "--spool-age-max",
            "2d",
            "--probes",
            "false",
            "--top-owners",
            "3",
        ],
    )
    .unwrap();
    assert_eq!(config.collect.interval, Duration::from_secs(1));
    assert_eq!(
        config.collect.namespaces,
        Namespaces::List(vec!["blue".into(), "green".into()])
    );
    assert_eq!(config.labels.get("site").map(String::as_str), Some("paris"));
    assert_eq!(config.labels.len(), 2);
    assert_eq!(config.collect.watch_groups.len(), 1);
    assert_eq!(config.controller.unwrap().to_string(), "c.example:7443");
    assert_eq!(config.spool.bytes_max, 1_048_576);
    assert_eq!(config.spool.age_max, Duration::from_secs(172_800));
    assert_eq!(config.collect.probe_interval, None);
    assert_eq!(config.collect.top_owners, 3);
}

#[test]
fn a_misspelt_key_names_the_one_that_was_meant() {
    let error = error_of("intervall = '1s'\n[spool]\nmax_bytes = 1");
    assert!(error.contains("did you mean \"interval\"?"), "{error}");
    assert!(
        error.contains("did you mean \"spool.bytes_max\"?"),
        "{error}"
    );
}

#[test]
fn every_problem_is_reported_at_once_with_its_limit() {
    let error = error_of(
        "controller = 'nowhere'\ninterval = '10m'\ntop_owners = 100\ntoken = 'tm1.x'\n\
         watch_groups = [{ name = 'Mail Out', remote_ports = [] }]\n[spool]\nage_max = 'long'",
    );
    for part in [
        "controller: \"nowhere\" is not host:port",
        "interval is 10m; write a duration from 1s to 5m",
        "top_owners is 100; write a number from 1 to 64",
        "token: a join token has 4 parts",
        "\"Mail Out\" is not 1 to 32 characters",
        "needs 1 to 64 remote_ports",
        "spool.age_max: \"long\" is not a duration",
    ] {
        assert!(error.contains(part), "{part:?} is missing in {error}");
    }
}

#[test]
fn a_token_is_never_repeated_in_an_error() {
    let secret = "secretsecretsecret";
    let error = error_of(&format!("token = 'tm1.a.{secret}'"));
    assert!(!error.contains(secret), "{error}");
}

#[test]
fn the_token_file_is_read_when_it_is_needed_and_named_when_it_is_not_there() {
    let config = load("token_file = '/nonexistent/token'", &[]).unwrap();
    let error = config.token.unwrap().read().unwrap_err().to_string();
    assert_eq!(
        error,
        "the join token file /nonexistent/token cannot be read"
    );
    assert!(error_of("token_file = 'x'\ntoken = 'tm1.a.b.c'").contains("keep one"));
}

#[test]
fn the_operator_may_state_the_dynamic_ports() {
    let range = load("dynamic_range = \"40000-40099\"", &[]).unwrap();
    let range = range.collect.dynamic_range.unwrap();
    assert_eq!((range.first, range.last), (40_000, 40_099));
    assert_eq!(load("", &[]).unwrap().collect.dynamic_range, None);
    for wrong in ["40000", "40099-40000", "0-10", "1-70000", "a-b"] {
        let error = error_of(&format!("dynamic_range = \"{wrong}\""));
        assert!(error.contains("dynamic_range is"), "{wrong}: {error}");
    }
}

#[test]
fn the_configuration_is_read_every_so_often_or_never() {
    let interval = |text: &str| load(text, &[]).unwrap().audit_interval;
    assert_eq!(interval(""), Some(Duration::from_secs(900)));
    assert_eq!(
        interval("[audit]\ninterval = \"1h\""),
        Some(Duration::from_secs(3_600))
    );
    for none in ["0", "0s"] {
        assert_eq!(interval(&format!("[audit]\ninterval = {none:?}")), None);
        let flags = load("", &["--audit-interval", none]).unwrap();
        assert_eq!(flags.audit_interval, None);
    }
    let error = error_of("[audit]\ninterval = \"25h\"");
    assert!(
        error.contains("audit.interval is 25h; write a duration from 1s to 1d"),
        "{error}"
    );
}
