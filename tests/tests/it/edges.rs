//! The structure that the design promises, as a test: which crate knows which, and what every file owes its reader.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};

/// One line an edge, `a -> b`; `a -> b (tests)` for what only a crate's own tests need.
const EDGES: &str = include_str!("../../edges.txt");
/// A file of more lines is split.
const LINES_MAX: usize = 800;
const SOURCE_FOLDERS: [&str; 5] = ["agent", "cli", "controller", "proto", "tests"];

#[test]
fn the_crates_know_each_other_as_checked_in() -> anyhow::Result<()> {
    let metadata = metadata()?;
    let wanted: BTreeSet<String> = EDGES
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    let found: BTreeSet<String> = metadata
        .workspace_packages()
        .iter()
        .flat_map(|package| edges_of(package))
        .collect();
    let new: Vec<_> = found.difference(&wanted).collect();
    let gone: Vec<_> = wanted.difference(&found).collect();
    assert!(
        new.is_empty() && gone.is_empty(),
        "the edges between crates differ from tests/edges.txt\n  new: {new:#?}\n  gone: {gone:#?}\n\
         A new edge is a decision about the architecture (docs/ARCHITECTURE.md): take the dependency back, or add the \
         line to tests/edges.txt and say why in the commit. Remove the lines of edges that are gone."
    );
    Ok(())
}

#[test]
fn pure_crates_reach_no_runtime_no_database_and_no_wire() -> anyhow::Result<()> {
    const RUNTIME: [&str; 2] = ["tokio", "hyper"];
    const WIRE: [&str; 3] = ["tonic", "prost", "tidemark-proto"];
    const DATABASE: [&str; 1] = ["sqlx"];
    let metadata = metadata()?;
    let pure = [&RUNTIME[..], &WIRE, &DATABASE].concat();
    let no_wire = [&WIRE[..], &["hyper"]].concat();
    let rules = [
        ("tidemark-model", &pure),
        ("tidemark-agent-core", &pure),
        ("tidemark-calendar", &pure),
        ("tidemark-detect", &pure),
        ("tidemark-history", &pure),
        ("tidemark-spool", &pure),
        ("tidemark-platform", &pure),
        ("tidemark-store", &no_wire),
    ];
    for (package, never) in rules {
        let reached = reach(&metadata, package)?;
        let broken: Vec<_> = never
            .iter()
            .filter(|name| reached.contains(**name))
            .collect();
        assert!(
            broken.is_empty(),
            "{package} reaches {broken:?}: move what needs it to the crate that uses {package}"
        );
    }
    let agent = reach(&metadata, "tidemark-agent")?;
    assert!(!agent.contains("tidemark-controller") && !agent.contains("sqlx"));
    let controller = reach(&metadata, "tidemark-controller")?;
    assert!(!controller.contains("tidemark-agent"));
    Ok(())
}

#[test]
fn only_the_store_speaks_sql() -> anyhow::Result<()> {
    let metadata = metadata()?;
    let speaks_sql = |package: &&&Package| {
        package
            .dependencies
            .iter()
            .any(|dependency| dependency.name == "sqlx")
    };
    let packages = metadata.workspace_packages();
    let speakers: Vec<&str> = packages
        .iter()
        .filter(speaks_sql)
        .map(|package| package.name.as_str())
        .collect();
    assert_eq!(
        speakers,
        ["tidemark-store"],
        "SQL belongs in controller/store: add a method there"
    );
    Ok(())
}

#[test]
fn what_the_compiler_cannot_check_is_in_the_platform_crate_alone() -> anyhow::Result<()> {
    let root = root()?;
    for package in metadata()?.workspace_packages() {
        let manifest = fs::read_to_string(&package.manifest_path)?;
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "{} does not take the workspace's lints: add `[lints]` with `workspace = true`",
            package.manifest_path
        );
    }
    let workspace = fs::read_to_string(root.join("Cargo.toml"))?;
    let denied = format!("{UNSAFE_LINT} = \"deny\"");
    assert!(workspace.contains(&denied), "Cargo.toml lacks {denied}");
    let platform = root.join("agent/platform");
    for (path, content) in sources(&root)? {
        // The lint is denied, so code that breaks it has to name it.
        assert!(
            path.starts_with(&platform) || !content.contains(UNSAFE_LINT),
            "{}: unsafe code goes to agent/platform, behind a safe function",
            path.display()
        );
    }
    Ok(())
}

/// Written so that this file does not hold it.
const UNSAFE_LINT: &str = concat!("unsafe", "_code");

#[test]
fn every_file_says_what_it_owns_and_is_short_enough_to_read() -> anyhow::Result<()> {
    let root = root()?;
    let mut files = 0;
    for (path, content) in sources(&root)? {
        let name = path.strip_prefix(&root)?.display();
        assert!(
            content.starts_with("//!"),
            "{name} does not begin with `//!`: say in 1 to 5 lines what it owns and what it must not know"
        );
        let lines = content.lines().count();
        assert!(
            lines <= LINES_MAX,
            "{name} has {lines} lines; split it by subject below {LINES_MAX}"
        );
        let is_vague = [
            "util", "utils", "helpers", "common", "misc", "manager", "mod",
        ]
        .iter()
        .any(|vague| path.file_stem() == Some(OsStr::new(vague)));
        assert!(!is_vague, "{name}: name the file after what it owns");
        files += 1;
    }
    assert!(files > 200, "only {files} files were found");
    Ok(())
}

#[test]
fn both_databases_have_the_same_migrations() -> anyhow::Result<()> {
    let folder = root()?.join("migrations");
    let sqlite = migrations(&folder.join("sqlite"))?;
    let postgres = migrations(&folder.join("postgres"))?;
    assert_eq!(
        sqlite, postgres,
        "write each migration for both databases, under the same name"
    );
    for (position, name) in sqlite.iter().enumerate() {
        let number = format!("{:04}_", position + 1);
        assert!(
            name.starts_with(&number) && name.ends_with(".sql"),
            "{name}: migrations are numbered without holes, as in {number}add_hosts.sql"
        );
    }
    assert!(!sqlite.is_empty());
    Ok(())
}

fn metadata() -> anyhow::Result<Metadata> {
    let manifest = root()?.join("Cargo.toml");
    let mut command = MetadataCommand::new();
    command
        .manifest_path(manifest)
        .other_options(vec!["--locked".to_owned(), "--offline".to_owned()]);
    command.exec().context("cargo metadata failed")
}

fn root() -> anyhow::Result<PathBuf> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(tests
        .parent()
        .context("tests/ lies in the workspace")?
        .to_owned())
}

fn edges_of(package: &Package) -> BTreeSet<String> {
    let inside = package
        .dependencies
        .iter()
        .filter(|dependency| dependency.path.is_some());
    let edge = |to: &str| format!("{} -> {}", short(&package.name), short(to));
    let firm: BTreeSet<String> = inside
        .clone()
        .filter(|dependency| dependency.kind != DependencyKind::Development)
        .map(|dependency| edge(&dependency.name))
        .collect();
    let of_tests: Vec<String> = inside
        .map(|dependency| edge(&dependency.name))
        .filter(|edge| !firm.contains(edge))
        .map(|edge| format!("{edge} (tests)"))
        .collect();
    firm.into_iter().chain(of_tests).collect()
}

fn short(package: &str) -> &str {
    package.strip_prefix("tidemark-").unwrap_or(package)
}

/// The names of all packages that `package` is built with.
fn reach(metadata: &Metadata, package: &str) -> anyhow::Result<BTreeSet<String>> {
    let names: BTreeMap<&PackageId, &str> = metadata
        .packages
        .iter()
        .map(|package| (&package.id, package.name.as_str()))
        .collect();
    let resolve = metadata
        .resolve
        .as_ref()
        .context("cargo resolved nothing")?;
    let nodes: BTreeMap<&PackageId, _> =
        resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let start = names
        .iter()
        .find(|(_, name)| **name == package)
        .map(|(id, _)| *id);
    let mut open = vec![start.with_context(|| format!("there is no package {package}"))?];
    let mut seen = BTreeSet::new();
    while let Some(id) = open.pop() {
        let node = nodes.get(id).context("every package is resolved")?;
        let built_with = node.deps.iter().filter(|dependency| {
            let mut kinds = dependency.dep_kinds.iter();
            kinds.any(|kind| kind.kind == DependencyKind::Normal)
        });
        for dependency in built_with {
            if seen.insert(&dependency.pkg) {
                open.push(&dependency.pkg);
            }
        }
    }
    let reached = seen.iter().filter_map(|id| names.get(id));
    Ok(reached.map(|name| (*name).to_owned()).collect())
}

#[test]
fn every_test_that_is_named_as_a_proof_is_there() -> anyhow::Result<()> {
    let root = root()?;
    let page = fs::read_to_string(root.join("docs/RELIABILITY.md"))?;
    let sources = sources(&root)?;
    // Between two backticks; a test's name is a sentence.
    let is_sentence = |word: &&str| word.matches('_').count() >= 4;
    let named: BTreeSet<&str> = page.split('`').filter(is_sentence).collect();
    assert!(named.len() > 20, "only {named:?} are named");
    for name in named {
        let owners = [format!("fn {name}("), format!("mod {name} {{")];
        let is_there = |(_, text): &(_, String)| owners.iter().any(|owner| text.contains(owner));
        assert!(
            sources.iter().any(is_there),
            "docs/RELIABILITY.md names {name}, which is no test"
        );
    }
    Ok(())
}

/// Every Rust file of the product, with its content.
fn sources(root: &Path) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let mut folders: Vec<PathBuf> = SOURCE_FOLDERS.iter().map(|name| root.join(name)).collect();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension() == Some(OsStr::new("rs")) {
                let content = fs::read_to_string(&path)?;
                found.push((path, content));
            }
        }
    }
    Ok(found)
}

fn migrations(folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}
