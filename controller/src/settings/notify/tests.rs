//! The section `[notify]`, with every kind of receiver and every mistake.

use super::*;

fn checked(toml: &str) -> Result<NotifySettings, Vec<String>> {
    let config: NotifyConfig = toml::from_str(toml).map_err(|error| vec![error.to_string()])?;
    let mut problems = Vec::new();
    config.check(&mut problems).ok_or(problems)
}

#[test]
fn without_a_word_nobody_is_told() {
    let settings = checked("").unwrap();
    assert!(settings.receivers.is_empty() && settings.routes.is_empty());
}

#[test]
fn every_kind_of_receiver_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "s3cret\n").unwrap();
    let secret = secret.display();
    let settings = checked(&format!(
        "public_url = \"https://tidemark.example/\"\n\
         [[receiver]]\nname = \"am\"\ntype = \"alertmanager\"\nurl = \"http://am:9093\"\n\
         username = \"u\"\npassword_file = \"{secret}\"\n\
         [[receiver]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"https://h/x\"\nsecret_file = \"{secret}\"\n\
         [[receiver]]\nname = \"slack\"\ntype = \"slack\"\nurl_file = \"{secret}\"\n\
         [[receiver]]\nname = \"teams\"\ntype = \"teams\"\nurl_file = \"{secret}\"\n\
         [[receiver]]\nname = \"pd\"\ntype = \"pagerduty\"\nrouting_key_file = \"{secret}\"\n\
         [[receiver]]\nname = \"mail\"\ntype = \"email\"\nserver = \"mx\"\ntls = \"starttls\"\n\
         from = \"Tidemark <t@example.com>\"\nto = [\"ops@example.com\"]\n\
         [[route]]\nreceiver = \"am\"\n\
         [[route]]\nreceiver = \"pd\"\nmatchers = [\"severity=critical\", \"tier!=test\"]\nrepeat_interval = \"1h\"\n"
    ))
    .unwrap();
    assert_eq!(
        settings.public_url.as_deref(),
        Some("https://tidemark.example")
    );
    assert_eq!(settings.receivers.len(), 6);
    assert_eq!(settings.routes[0].group_wait, Duration::from_secs(30));
    assert_eq!(settings.routes[1].matchers.len(), 2);
    // A secret is neither kept nor shown.
    assert!(!format!("{settings:?}").contains("s3cret"));
}

#[test]
fn every_mistake_is_told_with_its_remedy() {
    let problems = checked(
        "[[receiver]]\nname = \"am\"\ntype = \"alertmanager\"\nurl = \"am:9093\"\n\
         [[receiver]]\nname = \"a b\"\ntype = \"carrier pigeon\"\n\
         [[receiver]]\nname = \"s\"\ntype = \"slack\"\nurl_file = \"/nowhere/at/all\"\nto = [\"x\"]\n\
         [[receiver]]\nname = \"u\"\ntype = \"webhook\"\nurl = \"https://me:hunter2@h/\"\n\
         [[receiver]]\nname = \"mail\"\ntype = \"email\"\nserver = \"mx\"\ntls = \"none\"\nfrom = \"nobody\"\nto = [\"a@b.c\"]\n\
         [[route]]\nreceiver = \"am\"\nmatchers = [\"severity\"]\nrepeat_interval = \"1s\"\n",
    )
    .unwrap_err()
    .join("\n");
    for part in [
        "notify.receiver \"am\": url is \"am:9093\"; it must be an address",
        "notify.receiver \"a b\": name must be 1 to 64",
        "type is \"carrier pigeon\"; it must be alertmanager",
        "url_file /nowhere/at/all cannot be read",
        "holds a user; give it as username and password_file",
        "\"nobody\" is no address",
        "\"severity\" is no matcher",
        "repeat_interval is 1s; it must be 1m or longer",
    ] {
        assert!(problems.contains(part), "{part}: {problems}");
    }
    assert!(!problems.contains("hunter2"), "{problems}");
}

#[test]
fn a_route_to_nobody_is_refused() {
    let problems = checked("[[route]]\nreceiver = \"ops\"\n").unwrap_err();
    assert!(
        problems[0].contains("names the receiver \"ops\""),
        "{problems:?}"
    );
}
