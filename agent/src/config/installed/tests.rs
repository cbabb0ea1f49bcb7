//! What an administrator meets who sets the agent up by the MSI or by group policy.

use proptest::prelude::*;
use tidemark_platform::installation::StoredSetting;

use super::super::{AgentConfig, ConfigFlags, KEYS, TokenSource};
use super::*;

const MSI: &str = r"HKLM\SOFTWARE\Tidemark\Agent";
const POLICY: &str = r"HKLM\SOFTWARE\Policies\Tidemark\Agent";

fn place(name: &'static str, settings: &[(&str, StoredValue)]) -> SettingsPlace {
    SettingsPlace {
        name,
        settings: settings
            .iter()
            .map(|(name, value)| StoredSetting {
                name: (*name).to_owned(),
                value: value.clone(),
            })
            .collect(),
    }
}

fn text(text: &str) -> StoredValue {
    StoredValue::Text(text.to_owned())
}

#[expect(
    clippy::unwrap_in_result,
    reason = "the arrangement of a test, not the thing tested"
)]
fn load(
    places: &[SettingsPlace],
    file: &str,
    environment: &[(&str, &str)],
) -> Result<AgentConfig, ConfigError> {
    let path = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(path.path(), file).unwrap();
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    AgentConfig::merge(
        Some(path.path()),
        places,
        environment,
        &ConfigFlags::default(),
    )
}

#[test]
fn what_the_msi_wrote_configures_the_agent() {
    let places = [place(
        MSI,
        &[
            ("Controller", text("tidemark.example:7443")),
            ("TokenFile", text(r"\\dc1\deploy\join-token")),
            ("Profile", text("safe")),
            ("Tags", text("site=berlin; tier=db;")),
            ("TopOwners", StoredValue::Number(20)),
            ("SpoolBytesMax", text("1048576")),
            ("Probes", text("false")),
            ("Token", text("")),
        ],
    )];
    let config = load(&places, "", &[]).unwrap();
    assert_eq!(
        config.controller.unwrap().to_string(),
        "tidemark.example:7443"
    );
    let Some(TokenSource::File(path)) = config.token else {
        panic!("{:?}", config.token);
    };
    assert_eq!(path.to_str(), Some(r"\\dc1\deploy\join-token"));
    assert_eq!(config.profile, tidemark_model::action::Profile::Safe);
    let labels: Vec<_> = config.labels.into_iter().collect();
    assert_eq!(
        labels,
        [("site", "berlin"), ("tier", "db")].map(|(key, value)| (key.into(), value.into()))
    );
    assert_eq!(config.collect.top_owners, 20);
    assert_eq!(config.collect.probe_interval, None);
    assert_eq!(config.spool.bytes_max, 1_048_576);
}

#[test]
fn policy_beats_the_msi_which_beats_the_file_and_the_environment_beats_them() {
    let msi = place(
        MSI,
        &[("Interval", text("2s")), ("ProbeInterval", text("20s"))],
    );
    let policy = place(POLICY, &[("Interval", text("3s"))]);
    let file = "interval = '1s'\nprobe_interval = '15s'\ndrain_timeout = '9s'";
    let config = load(&[msi.clone(), policy.clone()], file, &[]).unwrap();
    assert_eq!(config.collect.interval.as_secs(), 3);
    assert_eq!(config.collect.probe_interval.unwrap().as_secs(), 20);
    assert_eq!(config.drain_timeout.as_secs(), 9);
    let environment = [("TIDEMARK_INTERVAL", "4s")];
    let config = load(&[msi, policy], file, &environment).unwrap();
    assert_eq!(config.collect.interval.as_secs(), 4);
}

#[test]
fn a_stronger_token_takes_the_place_of_a_weaker_one_of_the_other_kind() {
    let msi = place(MSI, &[("Token", text("tm1.wrong"))]);
    let policy = place(POLICY, &[("TokenFile", text("of-the-policy"))]);
    let path_of = |places: &[SettingsPlace], environment: &[(&str, &str)]| match load(
        places,
        "",
        environment,
    )
    .unwrap()
    .token
    {
        Some(TokenSource::File(path)) => path.display().to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        path_of(&[msi.clone(), policy.clone()], &[]),
        "of-the-policy"
    );
    let environment = [("TIDEMARK_TOKEN_FILE", "of-the-environment")];
    assert_eq!(path_of(&[msi, policy], &environment), "of-the-environment");
    let both = place(
        MSI,
        &[("Token", text("tm1.a.b.c")), ("TokenFile", text("x"))],
    );
    let error = load(&[both], "", &[]).unwrap_err().to_string();
    assert!(error.contains("keep one"), "{error}");
}

#[test]
fn a_setting_that_cannot_be_meant_is_named_with_its_place() {
    let error = |setting: &str, value: StoredValue| {
        load(&[place(POLICY, &[(setting, value)])], "", &[])
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        error("TokenFiles", text("x")),
        format!("{POLICY}: unknown key \"TokenFiles\"; did you mean \"TokenFile\"?")
    );
    let odd = error("Interval", StoredValue::Unreadable);
    assert!(
        odd.contains(r"Policies\Tidemark\Agent\Interval: write a text"),
        "{odd}"
    );
    let tags = error("Tags", text("site=berlin;production"));
    assert!(tags.contains("\"production\" is no tag"), "{tags}");
    let profile = error("Profile", text("everything"));
    assert!(profile.contains("observe"), "{profile}");
}

proptest! {
    #[test]
    fn any_text_of_a_tag_arrives_as_it_was_written(value in "[^;\0]{0,64}") {
        let places = [place(MSI, &[("Tags", text(&format!("note={value}")))])];
        let config = load(&places, "", &[]).unwrap();
        prop_assert_eq!(config.labels.get("note").map(String::as_str), Some(value.trim()));
    }

    #[test]
    fn no_setting_makes_the_agent_panic(name in "[A-Za-z.]{0,16}", value in "\\PC{0,64}") {
        let places = [place(MSI, &[(name.as_str(), text(&value)), ("Tags", text(&value))])];
        if let Ok(variables) = as_environment(&places, KEYS, StrongerToken::Absent) {
            prop_assert!(variables.iter().all(|(name, _)| name.starts_with(ENVIRONMENT_PREFIX)));
        }
    }
}
