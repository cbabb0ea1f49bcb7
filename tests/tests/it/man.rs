//! Manual pages: one for each command of each program, which `man` reads without a complaint.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use tidemark_tests::harness::{Finished, on_own_network, program};
use tokio::process::Command;

/// The commands of a program or of one of its commands, by its help.
async fn commands(name: &str, path: &[String]) -> anyhow::Result<Vec<String>> {
    let mut help = program(name)?;
    help.args(path).arg("--help");
    let said = Finished::of(help).await?.succeeded()?;
    let list = said.lines().skip_while(|line| *line != "Commands:").skip(1);
    let list = list.take_while(|line| !line.is_empty());
    // What is indented deeper goes on with the line before.
    let list = list.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = list.filter_map(|line| line.split_whitespace().next());
    Ok(names
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect())
}

/// The pages that a program must have.
async fn wanted(name: &str) -> anyhow::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let mut open = vec![vec![]];
    while let Some(path) = open.pop() {
        let page = [&[name.to_owned()], &path[..]].concat().join("-");
        found.insert(format!("{page}.1"));
        for command in commands(name, &path).await? {
            open.push([&path[..], &[command]].concat());
        }
    }
    Ok(found)
}

async fn assert_reads_well(page: &Path) -> anyhow::Result<()> {
    let mut man = Command::new("man");
    man.args(["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"])
        .arg(page);
    man.env("MANROFFSEQ", "").env("LC_ALL", "C.UTF-8");
    let read = Finished::of(man).await.context("tests/run installs man")?;
    anyhow::ensure!(
        read.code == Some(0) && read.stderr.is_empty(),
        "{}: {}",
        page.display(),
        read.stderr
    );
    Ok(())
}

#[test]
fn every_command_has_a_manual_page_that_reads_well() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        for name in ["tidemark", "tidemark-agent", "tidemark-controller"] {
            let folder = machine.folder().join(format!("man-of-{name}"));
            fs::create_dir(&folder)?;
            let mut write = program(name)?;
            write.arg("man").arg(&folder);
            Finished::of(write).await?.succeeded()?;
            let written: BTreeSet<String> = fs::read_dir(&folder)?
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                .collect::<anyhow::Result<_>>()?;
            let wanted = wanted(name).await?;
            anyhow::ensure!(wanted.len() >= 8, "{name}: {wanted:?}");
            assert_eq!(
                written, wanted,
                "{name}: left are the pages, right the commands"
            );
            for page in &written {
                assert_reads_well(&folder.join(page)).await?;
            }
        }
        Ok(())
    })
}
