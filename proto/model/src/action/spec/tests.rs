//! What can be ordered, and how what cannot is told.

use proptest::prelude::*;

use super::*;

fn restart(service: &str) -> ActionSpec {
    ActionSpec::RestartService {
        service: service.to_owned(),
        stop_timeout_s: 120,
        on_hang: OnHang::Fail,
    }
}

fn fields(spec: &ActionSpec) -> Vec<&'static str> {
    spec.problems()
        .iter()
        .map(|problem| problem.field)
        .collect()
}

#[test]
fn what_is_within_its_limits_can_be_ordered() {
    for json in [
        r#"{"action":"collect_evidence","seconds":30}"#,
        r#"{"action":"write_event","id":5001,"level":"error","text":"ports above 30000"}"#,
        r#"{"action":"restart_service","service":"SMTPSVC"}"#,
        r#"{"action":"recycle_app_pool","pool":"Shop v2"}"#,
        r#"{"action":"end_process","pid":4711,"started_at_ms":1,"image":"java.exe"}"#,
        r#"{"action":"set_dynamic_port_range","protocol":"tcp","family":"ipv4","first":10000,"last":65534,"lasting":"always"}"#,
        r#"{"action":"set_tcp_parameter","parameter":"max_user_port","value":null}"#,
        r#"{"action":"set_tcp_global","switch":"chimney","enabled":false}"#,
        r#"{"action":"set_nic_offload","adapter":"Ethernet 2","offload":"lso_ipv4","enabled":false}"#,
        r#"{"action":"set_interrupt_moderation","adapter":"Ethernet 2","enabled":false}"#,
        r#"{"action":"set_dotnet_connection_limit","connections":48}"#,
        r#"{"action":"reset_tcp_stack","steps":["ipv4","winsock"]}"#,
        r#"{"action":"reset_tcp_stack","steps":["remote_access"],"lose_addresses":true}"#,
        r#"{"action":"reboot","grace_s":60,"reason":"ports","force":false}"#,
        r#"{"action":"run_hook","name":"drain.ps1","arguments":{"pool":"Shop"}}"#,
    ] {
        let spec: ActionSpec = serde_json::from_str(json).unwrap();
        assert_eq!(spec.problems(), [], "{json}");
        let again: ActionSpec =
            serde_json::from_str(&serde_json::to_string(&spec).unwrap()).unwrap();
        assert_eq!(again, spec);
        assert!(json.contains(spec.kind().as_str()));
    }
}

#[test]
fn what_is_out_of_its_limits_names_its_field() {
    let named = |json: &str| fields(&serde_json::from_str(json).unwrap());
    for (json, field) in [
        (r#"{"action":"collect_evidence","seconds":0}"#, "seconds"),
        (r#"{"action":"collect_evidence","seconds":61}"#, "seconds"),
        (
            r#"{"action":"write_event","id":0,"level":"error","text":"x"}"#,
            "id",
        ),
        (
            r#"{"action":"write_event","id":1,"level":"error","text":""}"#,
            "text",
        ),
        (
            r#"{"action":"restart_service","service":"a","stop_timeout_s":4}"#,
            "stop_timeout_s",
        ),
        (
            r#"{"action":"end_process","pid":0,"started_at_ms":1,"image":"a"}"#,
            "pid",
        ),
        (
            r#"{"action":"set_dynamic_port_range","protocol":"tcp","family":"ipv4","first":1024,"last":65535,"lasting":"always"}"#,
            "first",
        ),
        (
            r#"{"action":"set_dynamic_port_range","protocol":"tcp","family":"ipv4","first":2000,"last":2253,"lasting":"always"}"#,
            "last",
        ),
        (
            r#"{"action":"set_dynamic_port_range","protocol":"tcp","family":"ipv4","first":3000,"last":2000,"lasting":"always"}"#,
            "last",
        ),
        (
            r#"{"action":"set_tcp_parameter","parameter":"tcp_timed_wait_delay","value":29}"#,
            "value",
        ),
        (
            r#"{"action":"set_dotnet_connection_limit","connections":1}"#,
            "connections",
        ),
        (r#"{"action":"reset_tcp_stack","steps":[]}"#, "steps"),
        (
            r#"{"action":"reset_tcp_stack","steps":["ipv4","ipv4"]}"#,
            "steps",
        ),
        (
            r#"{"action":"reboot","grace_s":3601,"reason":"x","force":true}"#,
            "grace_s",
        ),
        (r#"{"action":"run_hook","name":"../x"}"#, "name"),
        (
            r#"{"action":"run_hook","name":"x","arguments":{"PATH":"y"}}"#,
            "arguments",
        ),
    ] {
        assert_eq!(named(json), [field], "{json}");
    }
}

#[test]
fn names_that_are_paths_or_options_are_refused() {
    for name in ["", "-h", "a/b", r"a\b", "a\nb", ".x", " a", "a\"b"] {
        assert_eq!(fields(&restart(name)), ["service"], "{name:?}");
    }
    assert_eq!(
        fields(&restart(&"x".repeat(NAME_CHARS_MAX + 1))),
        ["service"]
    );
    for name in ["MSSQL$PROD", "app@1.service", "Überwachung"] {
        assert_eq!(fields(&restart(name)), [] as [&str; 0], "{name:?}");
    }
}

#[test]
fn what_no_action_knows_is_refused() {
    for json in [
        r#"{"action":"run_shell","command":"rm"}"#,
        r#"{"action":"restart_service","service":"a","command":"rm"}"#,
        r#"{"service":"a"}"#,
        r#"{"action":"restart_service","service":"a","service":"b"}"#,
    ] {
        assert!(serde_json::from_str::<ActionSpec>(json).is_err(), "{json}");
    }
}

#[test]
fn people_type_actions_as_words() {
    let words = |kind: &str, parameters: &[&str]| {
        let parameters: Vec<_> = parameters.iter().map(|word| (*word).to_owned()).collect();
        ActionSpec::from_words(kind, &parameters)
    };
    assert_eq!(
        words("restart_service", &["service=appsvc"]),
        Ok(restart("appsvc"))
    );
    let quoted = words("restart_service", &["service=\"12\""]);
    assert_eq!(quoted, Ok(restart("12")));
    let range = words(
        "set_dynamic_port_range",
        &[
            "protocol=tcp",
            "family=ipv4",
            "first=10000",
            "last=65000",
            "lasting=always",
        ],
    );
    assert!(range.is_ok_and(|spec| spec.problems().is_empty()));
    let error = |kind, parameters| words(kind, parameters).unwrap_err().to_string();
    assert!(error("run_shell", &[]).contains("the actions are collect_evidence, "));
    assert!(error("restart_service", &["appsvc"]).contains("NAME=VALUE"));
    assert!(error("restart_service", &[]).contains("missing field `service`"));
    assert!(error("restart_service", &["service=a", "service=b"]).contains("twice"));
    assert!(error("restart_service", &["service=a", "action=reboot"]).contains("twice"));
    assert!(
        error("restart_service", &["service=a", "command=rm"]).contains("unknown field `command`")
    );
}

proptest! {
    #[test]
    fn any_name_is_judged_without_a_panic(name in ".{0,300}") {
        let spec = restart(&name);
        let is_taken = spec.problems().is_empty();
        prop_assert!(!is_taken || !name.contains(['/', '\\', '\0', '\n']));
        prop_assert!(spec.summary().contains(spec.subject()));
    }
}
