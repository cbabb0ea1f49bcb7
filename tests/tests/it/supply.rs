//! What users can know of what they install: bills of materials that name what is linked, and programs and packages that
//! neither tell where they were built nor differ by it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use regex::bytes::Regex;
use serde_json::Value;
use tidemark_tests::harness::process::built;
use tidemark_tests::harness::wine::{built_agent, stripped, workspace};
use tidemark_tests::harness::{Finished, Machine, on_own_network};
use tokio::process::Command;

use crate::manifests::python;

const WINDOWS: &str = "x86_64-win7-windows-gnu";
const AGENT: &str = "tidemark-agent";

/// The system that this machine's programs are for.
fn linux() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}

/// A bill of materials, and where it was written.
struct Bill {
    path: PathBuf,
    content: Value,
}

impl Bill {
    async fn of(
        machine: &Machine,
        program: &str,
        target: &str,
        file: &Path,
    ) -> anyhow::Result<Self> {
        let mut write = Command::new(workspace().join("deploy/sbom.py"));
        write
            .args([program, "--target", target, "--file"])
            .arg(file);
        write.env("SOURCE_DATE_EPOCH", "1700000000");
        let written = Finished::of(write).await?.succeeded()?;
        let path = machine
            .folder()
            .join(format!("{program}-{target}.cdx.json"));
        fs::write(&path, &written)?;
        let content = serde_json::from_str(&written)?;
        Ok(Self { path, content })
    }

    fn components(&self) -> impl Iterator<Item = &Value> {
        self.content["components"].as_array().into_iter().flatten()
    }

    /// Its components by name, as `rustls 0.23.46`.
    fn names(&self) -> BTreeSet<String> {
        let named = |one: &Value| Some(format!("{} {}", text(one, "name")?, text(one, "version")?));
        self.components().filter_map(named).collect()
    }

    fn lists(&self, name: &str) -> bool {
        self.components().any(|one| one["name"] == name)
    }

    /// That what uses what is told of every component, from the program down.
    fn ensure_connected(&self) -> anyhow::Result<()> {
        let used: BTreeMap<&str, &Value> = self.content["dependencies"]
            .as_array()
            .context("dependencies")?
            .iter()
            .filter_map(|one| Some((text(one, "ref")?, &one["dependsOn"])))
            .collect();
        let program = &self.content["metadata"]["component"];
        let mut open = vec![text(program, "bom-ref").context("the program")?];
        let mut reached = BTreeSet::new();
        while let Some(one) = open.pop() {
            if reached.insert(one) {
                let uses = used.get(one).with_context(|| format!("nothing of {one}"))?;
                open.extend(
                    uses.as_array()
                        .into_iter()
                        .flatten()
                        .filter_map(Value::as_str),
                );
            }
        }
        let listed = self.components().filter_map(|one| text(one, "bom-ref"));
        let lost: Vec<_> = listed.filter(|one| !reached.contains(one)).collect();
        ensure!(lost.is_empty(), "used by nothing: {lost:?}");
        Ok(())
    }
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value[key].as_str()
}

/// The checksums of Cargo.lock, by name and version.
fn locked() -> anyhow::Result<BTreeMap<(String, String), Option<String>>> {
    let lock: toml::Table = fs::read_to_string(workspace().join("Cargo.lock"))?.parse()?;
    let packages = lock["package"].as_array().context("packages")?;
    let said = |package: &toml::Value, key| package.get(key)?.as_str().map(str::to_owned);
    let entry = |package| {
        let named = (said(package, "name")?, said(package, "version")?);
        Some((named, said(package, "checksum")))
    };
    Ok(packages.iter().filter_map(entry).collect())
}

/// That each crate of a bill is the one of Cargo.lock.
fn ensure_locked(bill: &Bill) -> anyhow::Result<()> {
    let locked = locked()?;
    let mut crates = 0;
    for one in bill.components() {
        if !text(one, "purl").is_some_and(|purl| purl.starts_with("pkg:cargo/")) {
            continue;
        }
        crates += 1;
        let named = text(one, "name").zip(text(one, "version"));
        let (name, version) = named.context("a name and a version")?;
        let checksum = locked
            .get(&(name.to_owned(), version.to_owned()))
            .with_context(|| format!("{name} {version} is not in Cargo.lock"))?;
        ensure!(checksum.is_some(), "{name} comes from nowhere");
        ensure!(
            one["hashes"][0]["content"].as_str() == checksum.as_deref(),
            "{name}: {one}"
        );
        ensure!(one["licenses"][0]["expression"].is_string(), "{one}");
    }
    ensure!(crates > 100, "only {crates} crates");
    Ok(())
}

#[test]
fn a_bill_of_materials_lists_what_is_linked_and_nothing_else() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let linux = linux();
        let mut bills = Vec::new();
        for (program, target) in [
            (AGENT, &*linux),
            ("tidemark-controller", &linux),
            ("tidemark", &linux),
            (AGENT, WINDOWS),
        ] {
            let bill = Bill::of(machine, program, target, &built(program)?).await?;
            ensure_locked(&bill)?;
            bill.ensure_connected()?;
            ensure!(bill.lists("rustls"), "{program}");
            // For tests, for builds, and what works at compile time alone.
            for name in [
                "proptest",
                "cargo_metadata",
                "tree-sitter",
                "protox",
                "serde_derive",
            ] {
                ensure!(!bill.lists(name), "{program}: {name}");
            }
            bills.push(bill);
        }
        let [agent, controller, cli, windows] = &bills[..] else {
            anyhow::bail!("four bills");
        };
        ensure!(windows.lists("windows-sys") && !agent.lists("windows-sys"));
        // What is in the controller beside crates.
        for name in ["sqlite", "uplot"] {
            ensure!(controller.lists(name) && !cli.lists(name), "{name}");
        }
        let mut validate = python();
        validate.arg(workspace().join("tests/sbom_check.py"));
        validate.args(bills.iter().map(|bill| &bill.path));
        Finished::of(validate).await?.succeeded()?;
        // And that this finds what is wrong.
        let wrong = machine.folder().join("wrong.json");
        let content = fs::read_to_string(&agent.path)?;
        fs::write(&wrong, content.replace("\"library\"", "\"libary\""))?;
        let mut validate = python();
        validate
            .arg(workspace().join("tests/sbom_check.py"))
            .arg(&wrong);
        let refused = Finished::of(validate).await?;
        ensure!(refused.stderr.contains("libary"), "{}", refused.stderr);
        Ok(())
    })
}

#[test]
fn the_program_for_windows_names_crates_of_its_bill_and_no_path_of_this_machine()
-> anyhow::Result<()> {
    on_own_network(async |machine| {
        let agent = built_agent()?;
        let bill = Bill::of(machine, AGENT, WINDOWS, &agent).await?;
        let content = stripped(&agent, machine.folder()).await?;
        // Places of panics.
        let source =
            Regex::new(r"/cargo/registry/src/[^/]+/([0-9A-Za-z_-]+)-(\d+\.\d+\.\d+[^/]*)/")?;
        let mut named = BTreeSet::new();
        for [name, version] in source
            .captures_iter(&content)
            .map(|found| found.extract().1)
        {
            named.insert(format!(
                "{} {}",
                String::from_utf8_lossy(name),
                String::from_utf8_lossy(version)
            ));
        }
        ensure!(named.len() > 20, "{named:?}");
        // The standard library is one component of the bill, with crates of its own.
        let mut ask = Command::new("rustc");
        ask.args(["--print", "sysroot"]).current_dir(workspace());
        let sysroot = Finished::of(ask).await?.succeeded()?;
        let library = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/Cargo.lock");
        let library = fs::read_to_string(library)?;
        let is_of_library = |one: &str| {
            let entry = one.replacen(' ', "\"\nversion = \"", 1);
            library.contains(&format!("name = \"{entry}\""))
        };
        let listed = bill.names();
        let unlisted: Vec<_> = named
            .iter()
            .filter(|one| !listed.contains(*one) && !is_of_library(one))
            .collect();
        ensure!(unlisted.is_empty(), "not in the bill: {unlisted:?}");
        let file = machine.folder().join("stripped");
        no_path_is_in(&file, workspace()).await?.succeeded()?;
        // The header of a program for Windows says when it was linked; what strips it here would write the time of that.
        let linked = fs::read(&agent)?;
        let header = u32_at(&linked, 0x3c)?;
        ensure!(u32_at(&linked, header + 8)? == 0, "it has a time");
        Ok(())
    })
}

fn u32_at(content: &[u8], place: u32) -> anyhow::Result<u32> {
    let place = usize::try_from(place)?;
    let bytes = content.get(place..place + 4).context("a longer file")?;
    Ok(u32::from_le_bytes(bytes.try_into()?))
}

/// Asks the scripts whether a program that was built of these sources holds a path of this machine.
async fn no_path_is_in(program: &Path, sources: &Path) -> anyhow::Result<Finished> {
    let mut ask = Command::new("bash");
    ask.args([
        "-c",
        r#"workspace=$1; . "$0/deploy/shipped.sh"; carries_no_path "$2""#,
    ]);
    ask.arg(workspace()).arg(sources).arg(program);
    ask.current_dir(workspace());
    Finished::of(ask).await
}

#[test]
fn a_program_that_is_built_as_shipped_is_the_same_wherever_it_is_built() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        let mut programs = Vec::new();
        for (folder, flags) in [
            ("one", "use_shipped_names"),
            ("other/place", "use_shipped_names"),
            ("plain", ":"),
        ] {
            let sources = machine.folder().join(folder);
            fs::create_dir_all(sources.join("agent"))?;
            // One that panics in places of its own, of a crate and of the standard library.
            fs::write(
                sources.join("Cargo.toml"),
                "[package]\nname = \"small\"\nedition = \"2024\"\n[[bin]]\nname = \"small\"\npath = \"agent/main.rs\"\n[dependencies]\nbytes = \"1\"\n",
            )?;
            fs::write(
                sources.join("agent/main.rs"),
                "fn main() {\n    let bytes = bytes::Bytes::from(std::env::args().next().expect(\"a name\"));\n    println!(\"{:?}\", bytes.slice(bytes.len() / 2..).len());\n}\n",
            )?;
            fs::copy(
                workspace().join("rust-toolchain.toml"),
                sources.join("rust-toolchain.toml"),
            )?;
            let script = format!(
                r#"cd "$1"; workspace=$1; . "$0/deploy/shipped.sh"; {flags}; unset CARGO_TARGET_DIR; cargo build --offline --quiet && strip target/debug/small"#
            );
            let mut build = Command::new("bash");
            build.args(["-ec", &script]).arg(workspace()).arg(&sources);
            Finished::of(build).await?.succeeded()?;
            let program = sources.join("target/debug/small");
            programs.push((
                fs::read(&program)?,
                no_path_is_in(&program, &sources).await?,
            ));
        }
        let [(one, told), (other, _), (_, of_plain)] = &programs[..] else {
            anyhow::bail!("three programs");
        };
        ensure!(one == other, "they differ by where they were built");
        ensure!(told.code == Some(0), "{}", told.stderr);
        // Names there are, and the look at them sees those of a program that was built in another way.
        let is_in = |program: &[u8], name: &str| -> anyhow::Result<bool> {
            Ok(Regex::new(&regex::escape(name))?.is_match(program))
        };
        ensure!(is_in(one, "/cargo/registry/src/")?);
        ensure!(of_plain.code == Some(1), "{}", of_plain.stderr);
        ensure!(
            of_plain.stderr.contains("holds a path of this machine"),
            "{}",
            of_plain.stderr
        );
        Ok(())
    })
}

#[test]
fn the_same_program_makes_the_same_msi_with_its_bill_inside() -> anyhow::Result<()> {
    on_own_network(async |machine| {
        // Nothing looks into it.
        let program = machine.folder().join("agent.exe");
        let mut made = Vec::new();
        for (name, content) in [
            ("one", "a program"),
            ("two", "a program"),
            ("three", "another"),
        ] {
            fs::write(&program, content)?;
            let msi = machine.folder().join(name);
            let mut pack = Command::new(workspace().join("deploy/windows/msi.sh"));
            pack.args(["--version", "1.2.3", "--exe"])
                .arg(&program)
                .arg("--output")
                .arg(&msi);
            Finished::of(pack).await?.succeeded()?;
            made.push(fs::read(&msi)?);
        }
        ensure!(made[0] == made[1], "the same program makes another MSI");
        ensure!(made[0] != made[2]);
        let mut unpack = Command::new("msiextract");
        unpack
            .arg("--directory")
            .arg(machine.folder())
            .arg(machine.folder().join("three"));
        let unpacked = Finished::of(unpack).await?.succeeded()?;
        let bill = unpacked
            .lines()
            .find(|line| line.ends_with("tidemark-agent.cdx.json"));
        let bill = machine.folder().join(bill.context("a bill of materials")?);
        let bill: Value = serde_json::from_str(&fs::read_to_string(bill)?)?;
        let listed = text(&bill["metadata"]["component"]["hashes"][0], "content");
        let mut digest = Command::new("sha256sum");
        digest.arg(&program);
        let digest = Finished::of(digest).await?.succeeded()?;
        ensure!(
            listed.is_some_and(|listed| digest.starts_with(listed)),
            "{listed:?} {digest}"
        );
        Ok(())
    })
}
