//! Tests of the contexts file.

use super::*;

fn local() -> Context {
    Context::with_token(
        "http://127.0.0.1:7080".to_owned(),
        Secret::new("s3cret".to_owned()),
    )
}

#[test]
fn a_missing_file_holds_no_contexts() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(
        Contexts::load(&folder.path().join(FILE_NAME)).unwrap(),
        Contexts::default()
    );
}

#[test]
fn the_first_context_becomes_the_current_one_and_the_next_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep").join("down").join(FILE_NAME);
    for name in ["local", "prod"] {
        Contexts::update(&path, |contexts| {
            contexts.put(name, local(), Selection::KeepCurrent)
        })
        .unwrap()
        .unwrap();
    }
    let contexts = Contexts::load(&path).unwrap();
    assert_eq!(contexts.current.as_deref(), Some("local"));
    assert_eq!(
        contexts.contexts.keys().collect::<Vec<_>>(),
        ["local", "prod"]
    );
    assert_eq!(contexts.contexts["local"], local());
}

#[test]
fn what_other_versions_wrote_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    let before = "current = \"prod\"\ntheme = \"dark\"\n[contexts.prod]\nserver = \"https://t.example\"\n\
                  token_file = \"/k\"\nproxy = \"socks\"\n[future]\nx = 1\n";
    fs::write(&path, before).unwrap();
    Contexts::update(&path, |contexts| {
        contexts.put("local", local(), Selection::KeepCurrent)
    })
    .unwrap()
    .unwrap();
    let after: toml::Table = fs::read_to_string(&path).unwrap().parse().unwrap();
    assert_eq!(after["current"].as_str(), Some("prod"));
    assert_eq!(after["theme"].as_str(), Some("dark"));
    assert_eq!(after["future"]["x"].as_integer(), Some(1));
    assert_eq!(after["contexts"]["prod"]["proxy"].as_str(), Some("socks"));
    assert_eq!(after["contexts"]["prod"]["token_file"].as_str(), Some("/k"));
    assert_eq!(after["contexts"]["local"]["token"].as_str(), Some("s3cret"));
}

#[test]
fn two_writers_at_once_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let path = &path;
            scope.spawn(move || {
                Contexts::update(path, |contexts| {
                    contexts.put(&format!("c{writer}"), local(), Selection::KeepCurrent)
                })
                .unwrap()
                .unwrap();
            });
        }
    });
    assert_eq!(Contexts::load(&path).unwrap().contexts.len(), 8);
}

#[cfg(unix)]
#[test]
fn the_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    Contexts::update(&path, |_| ()).unwrap();
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn a_malformed_file_is_named_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    fs::write(&path, "current = [").unwrap();
    let error = Contexts::update(&path, |_| ()).unwrap_err();
    assert!(error.to_string().contains(FILE_NAME), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "current = [");
}

#[test]
fn names_that_could_not_be_typed_back_are_refused() {
    for name in ["", "a b", "\u{1b}[31m", "x/y", &"n".repeat(65)] {
        assert!(
            matches!(check_name(name), Err(ContextsError::BadName { .. })),
            "{name:?}"
        );
    }
    check_name("eu-west_1.prod").unwrap();
}

#[test]
fn the_folder_follows_the_environment() {
    let with = |pairs: &'static [(&str, &str)]| {
        path_from(move |name| {
            pairs
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| OsString::from(value))
        })
    };
    assert_eq!(
        with(&[("TIDEMARK_CONFIG_DIR", "/t"), ("HOME", "/h")]).unwrap(),
        Path::new("/t/contexts.toml")
    );
    assert_eq!(
        with(&[("XDG_CONFIG_HOME", "/x"), ("HOME", "/h")]).unwrap(),
        Path::new("/x/tidemark/contexts.toml")
    );
    assert_eq!(
        with(&[("XDG_CONFIG_HOME", "relative"), ("HOME", "/h")]).unwrap(),
        Path::new("/h/.config/tidemark/contexts.toml")
    );
    assert!(matches!(
        with(&[("HOME", "")]),
        Err(ContextsError::NoFolder)
    ));
}

#[test]
fn a_token_does_not_show_in_debug_output() {
    assert!(!format!("{:?}", local()).contains("s3cret"));
}
