//! What a policy file says, and how its mistakes are told.

use proptest::prelude::*;
use tidemark_model::action::spec::OnHang;
use tidemark_model::signing::PrivateKey;

use super::*;

fn restart(service: &str) -> ActionSpec {
    ActionSpec::RestartService {
        service: service.to_owned(),
        stop_timeout_s: 120,
        on_hang: OnHang::Fail,
    }
}

fn parse(text: &str) -> HostPolicy {
    HostPolicy::parse(text, Profile::Observe).unwrap()
}

fn mistakes(text: &str) -> Vec<String> {
    HostPolicy::parse(text, Profile::Observe).unwrap_err().0
}

#[test]
fn an_empty_file_leaves_the_profile_of_the_installation() {
    let policy = HostPolicy::parse("", Profile::Safe).unwrap();
    assert_eq!(policy, HostPolicy::of_profile(Profile::Safe));
}

#[test]
fn a_rule_allows_what_the_profile_does_not_and_a_deny_rule_wins() {
    let policy = parse(
        r#"
        profile = "observe"
        [[allow]]
        actions = ["restart_service"]
        subjects = ["AppSvc", "mail*"]
        per_day = 3
        [[deny]]
        subjects = ["mailstore"]
        "#,
    );
    let allowed = |service: &str| {
        let spec = restart(service);
        policy.denied_by(&spec, 0).is_none() && policy.allowance(&spec, 0) != Allowance::None
    };
    assert!(allowed("appsvc") && allowed("MailOut"));
    assert!(!allowed("mailstore") && !allowed("other"));
    let view = policy.view(false, String::new());
    assert!(view.allowed.contains(&ActionKind::RestartService));
    assert!(!view.allowed.contains(&ActionKind::Reboot));
}

#[test]
fn hours_may_pass_midnight() {
    let policy = parse("[[allow]]\nactions = [\"reboot\"]\nhours = \"22:00-06:00\"");
    let reboot = ActionSpec::Reboot {
        grace_s: 60,
        reason: "ports".to_owned(),
        force: false,
    };
    for (minute, is_open) in [
        (22 * 60, true),
        (0, true),
        (359, true),
        (360, false),
        (1_319, false),
    ] {
        let allowance = policy.allowance(&reboot, minute);
        assert_eq!(matches!(allowance, Allowance::Rule(_)), is_open, "{minute}");
        assert_eq!(
            matches!(allowance, Allowance::Closed(_)),
            !is_open,
            "{minute}"
        );
    }
}

#[test]
fn a_deny_rule_without_subjects_takes_its_actions_off_the_list() {
    let policy = parse("profile = \"full\"\n[[deny]]\nactions = [\"reboot\"]");
    let view = policy.view(true, "ab".to_owned());
    assert!(!view.allowed.contains(&ActionKind::Reboot) && view.lockdown);
    assert!(view.allowed.contains(&ActionKind::ResetTcpStack));
}

#[test]
fn keys_are_listed_with_what_they_may_sign() {
    let public = PrivateKey::from_seed([1; 32]).public();
    let policy = parse(&format!(
        "[[key]]\nname = \"ann\"\npublic = \"{public}\"\ntier_max = 1"
    ));
    assert_eq!(policy.key(public.id()).unwrap().tier_max, Tier::Reversible);
    assert_eq!(policy.view(false, String::new()).keys, [public.id()]);
}

#[test]
fn every_mistake_is_told_at_once_with_its_remedy() {
    let found = mistakes(
        r#"
        profile = "everything"
        [limits]
        cooldown = "5 minutes"
        [[allow]]
        actions = ["run_shell"]
        hours = "25:00-26:00"
        [[deny]]
        [[key]]
        name = "bob"
        public = "ssh-ed25519 AAAA"
        [[key]]
        name = "eve"
        public = "x"
        tier_max = 9
        "#,
    );
    for part in [
        "profile: \"everything\" is none; write observe, safe or full",
        "limits.cooldown:",
        "allow 1: actions: \"run_shell\" is none",
        "allow 1: hours: \"25:00-26:00\" is no span of a day",
        "deny 1: would match everything",
        "key \"bob\": public:",
        "key \"eve\": tier_max:",
    ] {
        assert!(
            found.iter().any(|one| one.starts_with(part)),
            "{part}: {found:#?}"
        );
    }
}

#[test]
fn an_unknown_word_is_refused_at_its_line() {
    // A misspelt `deny` must not open a host.
    let found = mistakes("profile = \"full\"\n[[dney]]\nactions = [\"reboot\"]");
    assert!(
        found[0].starts_with("line 2:") && found[0].contains("dney"),
        "{found:?}"
    );
    assert_eq!(mistakes(&" ".repeat(file::POLICY_BYTES_MAX + 1)).len(), 1);
}

#[test]
fn a_key_that_is_listed_twice_is_refused() {
    let public = PrivateKey::from_seed([1; 32]).public();
    let key = format!("[[key]]\nname = \"ann\"\npublic = \"{public}\"\n");
    assert_eq!(mistakes(&format!("{key}{key}")).len(), 1);
}

#[test]
fn releases_take_as_many_keys_as_their_threshold_says() {
    let key = |seed: u8| {
        let public = PrivateKey::from_seed([seed; 32]).public();
        format!("[[key]]\nname = \"k{seed}\"\npublic = \"{public}\"\nreleases = true\n")
    };
    let two = format!("{}{}", key(1), key(2));
    let threshold = |head: &str| {
        HostPolicy::parse(&format!("{head}{two}"), Profile::Safe)
            .map(|policy| policy.release_threshold)
    };
    assert_eq!(
        threshold("[releases]\n"),
        Ok(Some(2)),
        "two unless it says otherwise"
    );
    assert_eq!(threshold("[releases]\nthreshold = 1\n"), Ok(Some(1)));
    for (head, part) in [
        ("", "add [releases]"),
        ("[releases]\nthreshold = 3\n", "2 keys have"),
        ("[releases]\nthreshold = 0\n", "from 1 to 8"),
    ] {
        let found = mistakes(&format!("{head}{two}"));
        assert!(found.iter().any(|one| one.contains(part)), "{found:?}");
    }
    assert_eq!(
        HostPolicy::of_profile(Profile::Full).release_threshold,
        None
    );
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text in ".{0,120}") {
        drop(HostPolicy::parse(&text, Profile::Observe));
    }

    #[test]
    fn a_span_of_a_day_and_the_rest_of_it_are_the_day(from in 0_u16..1440, until in 0_u16..1440, minute in 0_u16..1440) {
        let inside = Hours { from, until }.contains(minute);
        let outside = Hours { from: until, until: from }.contains(minute);
        let is_split = inside != outside;
        prop_assert!(is_split || (from == until && inside));
    }
}
