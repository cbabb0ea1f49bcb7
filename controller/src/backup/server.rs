//! A Postgres database in and out of a backup, by Postgres' own programs.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, bail};
use tidemark_store::{DatabaseUrl, LibpqPlace};
use tokio::process::Command;

/// Characters of a program's complaint that are shown.
const COMPLAINT_CHARS_MAX: usize = 1_000;

/// Writes what the transaction of that snapshot sees to a file.
pub(super) async fn dump(place: &LibpqPlace, snapshot: &str, to: &Path) -> anyhow::Result<()> {
    let mut command = of("pg_dump", place);
    command
        .args([
            "--format=custom",
            "--no-owner",
            "--no-privileges",
            "--no-password",
            "--snapshot",
            snapshot,
            "--file",
        ])
        .arg(to)
        .arg("--dbname")
        .arg(&place.url);
    run("pg_dump", command).await
}

/// Brings it back into an empty database, the whole of it or nothing.
pub(super) async fn restore(place: &LibpqPlace, from: &Path) -> anyhow::Result<()> {
    let mut command = of("pg_restore", place);
    command
        .args([
            "--no-owner",
            "--no-privileges",
            "--no-password",
            "--exit-on-error",
            "--single-transaction",
            "--dbname",
        ])
        .arg(&place.url)
        .arg(from);
    run("pg_restore", command).await
}

/// Whether it is one of theirs and its list of contents can be read.
pub(super) async fn list(from: &Path) -> anyhow::Result<()> {
    let mut command = Command::new("pg_restore");
    command.arg("--list").arg(from);
    run("pg_restore", command).await
}

/// The place of a database that is a server's.
pub(super) fn place_of(database: &DatabaseUrl) -> anyhow::Result<LibpqPlace> {
    database.libpq().context("this database is no server's")
}

fn of(program: &str, place: &LibpqPlace) -> Command {
    let mut command = Command::new(program);
    if let Some(password) = &place.password {
        // Unlike arguments, other users cannot see it.
        command.env("PGPASSWORD", password.expose());
    }
    command
}

async fn run(name: &str, mut command: Command) -> anyhow::Result<()> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true);
    let ended = command.output().await.with_context(|| {
        format!("{name} cannot be started: install Postgres' client programs of the server's release (postgresql-client)")
    })?;
    if ended.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    let said: String = said.trim().chars().take(COMPLAINT_CHARS_MAX).collect();
    bail!("{name} failed ({}): {said}", ended.status)
}
