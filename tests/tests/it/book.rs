//! The documentation: its commands are run in the order in which a new user reads them, its links lead somewhere, and what
//! cannot be run here is on a list.

mod expected;
mod links;
mod reader;

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use tidemark_tests::harness::book::{self, Page};
use tidemark_tests::harness::process::built;
use tidemark_tests::harness::{Finished, on_own_network};
use tokio::process::Command;

use reader::Reader;

/// The programs whose command lines are held against what they understand.
const PROGRAMS: [&str; 3] = ["tidemark", "tidemark-agent", "tidemark-controller"];

/// What a command line of the documentation begins with.
const COMMANDS: [&str; 12] = [
    "$ ",
    "tidemark ",
    "tidemark-agent ",
    "tidemark-controller ",
    "apt ",
    "cargo ",
    "cp ",
    "systemctl ",
    "fleetsim ",
    "tests/run",
    "deploy/",
    "TIDEMARK_",
];

#[test]
fn a_new_user_gets_through_the_book_by_its_commands_alone() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let mut reader = Reader::sit_down(machine).await?;
        let read = async {
            for page in book::pages()? {
                reader
                    .read(&page)
                    .await
                    .with_context(|| page.name.clone())?;
            }
            anyhow::Ok(())
        }
        .await;
        // What the service started belongs to no process of the test.
        reader.stand_up().await?;
        read
    })
}

#[test]
fn what_no_test_runs_is_on_the_list() -> anyhow::Result<()> {
    let mut list = String::new();
    for page in book::pages()? {
        for block in &page.blocks {
            let reason = match (&*block.language, block.says("not-run")) {
                (_, Some(reason)) => reason,
                ("console", None) => continue,
                ("powershell", None) => "needs Windows",
                _ => "a reference: its words are checked",
            };
            anyhow::ensure!(!reason.is_empty(), "{}: a reason is missing", page.name);
            for line in &block.lines {
                let is_command = block.language == "powershell"
                    || COMMANDS.iter().any(|command| line.starts_with(command));
                if is_command {
                    writeln!(
                        list,
                        "{}: {reason}: {}",
                        page.name,
                        line.trim_start_matches("$ ")
                    )?;
                }
            }
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/book/not_run.txt");
    if std::env::var_os("TIDEMARK_TEST_WRITE_LISTS").is_some() {
        fs::write(&path, &list)?;
    }
    let known = fs::read_to_string(&path)?;
    let news: Vec<&str> = list
        .lines()
        .filter(|line| !known.lines().any(|one| one == *line))
        .collect();
    assert!(
        list == known,
        "commands of the documentation that no test runs are not those of tests/tests/it/book/not_run.txt. Let the test run \
         them, or put them on the list with TIDEMARK_TEST_WRITE_LISTS=1. New: {news:#?}"
    );
    Ok(())
}

/// Stands for a program: asks the real one for help on the same words, which fails when it does not know one of them.
const ASKS_FOR_HELP: &str =
    "#!/bin/sh\n\"PROGRAM\" \"$@\" --help >/dev/null 2>>\"$0.said\" || echo \"$0 $*\" >>FAILED\n";

/// Makes a folder of such programs.
fn understudies(folder: &Path) -> anyhow::Result<()> {
    let failed = folder.join("failed");
    fs::write(&failed, "")?;
    for program in PROGRAMS {
        let path = folder.join(program);
        let script = ASKS_FOR_HELP
            .replace("PROGRAM", &built(program)?.display().to_string())
            .replace("FAILED", &failed.display().to_string());
        fs::write(&path, script)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// Every command line of a page, of blocks and of sentences, as far as it is one and not a pattern of several.
fn command_lines(page: &Page) -> Vec<String> {
    let begins = |line: &str| {
        PROGRAMS
            .iter()
            .any(|program| line.starts_with(&format!("{program} ")))
    };
    let mut lines: Vec<String> = Vec::new();
    for block in &page.blocks {
        lines.extend(block.steps().into_iter().map(|step| step.command));
        lines.extend(block.lines.iter().cloned());
    }
    let mut rest = &*page.text;
    while let Some((_, after)) = rest.split_once('`') {
        let Some((code, after)) = after.split_once('`') else {
            break;
        };
        lines.push(code.replace('\n', " "));
        rest = after;
    }
    lines.retain(|line| {
        // A pattern of several, what a shell would fill in, and the first half of a line.
        let parts = ["[", "...", "$(", "…", "|"];
        let is_pattern = parts.iter().any(|part| line.contains(part)) || line.ends_with('\\');
        begins(line) && !is_pattern
    });
    lines
}

#[test]
fn the_documentation_names_no_word_that_the_programs_do_not_know() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        understudies(machine.folder())?;
        let mut tried = 0;
        for page in book::pages()? {
            for line in command_lines(&page) {
                // Names in capitals stand for what a reader puts there.
                let line = reader::with_numbers(&line);
                let mut shell = Command::new("/bin/bash");
                shell.args(["-c", &line]).current_dir(machine.folder());
                shell.env_clear().env("PATH", machine.folder());
                Finished::of(shell).await?;
                tried += 1;
                let failed = fs::read_to_string(machine.folder().join("failed"))?;
                let said = |program: &&str| {
                    fs::read_to_string(machine.folder().join(format!("{program}.said")))
                        .unwrap_or_default()
                };
                anyhow::ensure!(
                    failed.is_empty(),
                    "{}: `{line}` is not understood: {}",
                    page.name,
                    PROGRAMS.iter().map(said).collect::<String>()
                );
            }
        }
        anyhow::ensure!(tried > 150, "only {tried} command lines were found");
        Ok(())
    })
}

#[test]
fn the_book_is_built_and_each_of_its_links_leads_somewhere() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let to = machine.folder().join("book");
        let mut build = Command::new("mdbook");
        build
            .arg("build")
            .arg(book::folder())
            .arg("--dest-dir")
            .arg(&to);
        let built = Finished::of(build)
            .await
            .context("tests/run installs mdbook")?;
        for word in ["WARN", "ERROR"] {
            anyhow::ensure!(!built.stderr.contains(word), "{}", built.stderr);
        }
        built.succeeded()?;
        let (pages, links) = links::follow(&to)?;
        anyhow::ensure!(pages > 60 && links > 500, "{links} links on {pages} pages");
        Ok(())
    })
}
