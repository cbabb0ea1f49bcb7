//! Processes as the system lists them.

use std::process::{Child, Command, Stdio};

use super::*;
use crate::windows::service;

/// A program that waits for its input to end.
fn program() -> Child {
    let mut program = Command::new("cmd");
    program.args(["/c", "more"]).stdin(Stdio::piped());
    program.stdout(Stdio::null()).spawn().unwrap()
}

#[test]
fn this_process_is_listed_with_its_image_and_handles() {
    let processes = Processes::open().unwrap();
    let own = std::process::id();
    let described = processes.describe(own).unwrap();
    let image = std::env::current_exe().unwrap();
    assert_eq!(
        described.executable.map(|path| path.to_lowercase()),
        image.to_str().map(str::to_lowercase)
    );
    assert_eq!(
        Some(described.name.to_lowercase()),
        image
            .file_name()
            .and_then(|name| name.to_str())
            .map(str::to_lowercase)
    );
    assert!(processes.descriptor_count(own).unwrap() > 0);
    let started = processes.start(own).unwrap().at(Timestamp::EPOCH);
    // After 2020, and not in the future of a host that is up.
    assert!(started.unix_ms() > 1_577_836_800_000);
    let booted = Timestamp::EPOCH.saturating_add(crate::host::boot_time().unwrap());
    let up = crate::own::time_since_boot();
    assert!(started <= booted.saturating_add(up + std::time::Duration::from_secs(5)));
}

#[test]
fn a_process_that_ends_is_gone_after_the_next_look() {
    let mut processes = Processes::open().unwrap();
    let mut program = program();
    let number = program.id();
    assert_eq!(processes.start(number), None);
    processes.renew().unwrap();
    let start = processes.start(number).unwrap();
    assert!(
        image_path(number, start)
            .unwrap()
            .to_lowercase()
            .ends_with("cmd.exe")
    );
    // The same number with another start is another process.
    assert_eq!(image_path(number, ProcessStart(start.0 + 1)), None);
    program.kill().unwrap();
    program.wait().unwrap();
    drop(program);
    processes.renew().unwrap();
    assert_eq!(processes.start(number), None);
    assert_eq!(processes.describe(number), None);
}

#[test]
fn services_are_found_in_their_processes() {
    let by_process = service::catalog::list().unwrap();
    assert!(!by_process.is_empty());
    let processes = Processes::open().unwrap();
    for (process, names) in by_process {
        assert!(processes.start(process).is_some(), "{names:?}");
        assert!(names.iter().all(|name| !name.is_empty()));
    }
}
