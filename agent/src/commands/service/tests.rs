//! What can be seen of the service's commands without a service control manager.

use super::*;
use crate::config::ConfigFlags;

#[test]
fn settings_become_a_file_that_is_never_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("agent.toml");
    let mut given = toml::Table::new();
    given.insert("controller".to_owned(), "c.example:7443".into());
    given.insert("token_file".to_owned(), "join-token".into());
    write_new(&file, &absolute_paths(given.clone()).unwrap()).unwrap();
    let config = AgentConfig::load(Some(&file), &ConfigFlags::default()).unwrap();
    assert_eq!(
        config.require_controller().unwrap().to_string(),
        "c.example:7443"
    );
    let Some(crate::config::TokenSource::File(path)) = config.token else {
        panic!("the token's file is lost");
    };
    assert!(path.is_absolute(), "{}", path.display());
    let error = write_new(&file, &given).unwrap_err().to_string();
    assert!(error.contains("is there already"), "{error}");
}

#[test]
fn a_service_that_failed_shows_its_code_and_what_is_wrong_with_it() {
    let failed = Shown {
        installed: true,
        state: Some(ServiceState::Stopped.to_string()),
        process: None,
        exit_code: Some(1),
        command: Some("\"C:\\Program Files\\Tidemark\\tidemark-agent.exe\" service run".to_owned()),
        deviations: vec!["it is not started again".to_owned()],
    };
    let text = render(&failed);
    for words in [
        "stopped; it ended with code 1",
        "Program Files",
        "not started again",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}
