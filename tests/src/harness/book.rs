//! The documentation as the tests read it: pages in the order of the book, and in them the blocks that a reader types or
//! writes. What a block's first line says beside its language is for the tests alone:
//!
//! - `on=web-1`: on that machine, not the controller's;
//! - `background`: stays running, as a terminal of its own does;
//! - `wait`: is tried until it prints what stands there;
//! - `exit=0|1`: may end with any of these codes;
//! - `file=PATH`: is written into that file;
//! - `not-run="reason"`: cannot run in a test.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;

use super::wine::workspace;

/// Where the pages lie.
#[must_use]
pub fn folder() -> PathBuf {
    workspace().join("docs")
}

/// One page.
#[derive(Clone, Debug)]
pub struct Page {
    /// Its file, from the book's folder on.
    pub name: String,
    /// What stands in it.
    pub text: String,
    /// Its fenced blocks.
    pub blocks: Vec<Block>,
}

/// One fenced block.
#[derive(Clone, Debug)]
pub struct Block {
    /// `console`, `toml`, ...; empty without one.
    pub language: String,
    attributes: BTreeMap<String, String>,
    /// Its lines.
    pub lines: Vec<String>,
}

/// A command with what it is to print.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// The command.
    pub command: String,
    /// The lines that follow it.
    pub expected: Vec<String>,
}

/// Every page, in the order in which the book has them.
///
/// # Errors
/// When a page cannot be read.
pub fn pages() -> anyhow::Result<Vec<Page>> {
    let summary = fs::read_to_string(folder().join("SUMMARY.md"))?;
    let links = summary.lines().filter_map(|line| {
        let (_, rest) = line.split_once("](")?;
        Some(rest.split_once(')')?.0.to_owned())
    });
    links.map(Page::read).collect()
}

impl Page {
    fn read(name: String) -> anyhow::Result<Self> {
        let text = fs::read_to_string(folder().join(&name)).with_context(|| name.clone())?;
        let blocks = blocks(&text).with_context(|| name.clone())?;
        Ok(Self { name, text, blocks })
    }
}

fn blocks(text: &str) -> anyhow::Result<Vec<Block>> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.trim_start().strip_prefix("```") else {
            continue;
        };
        let mut block = Block::of_info(info)?;
        loop {
            let line = lines.next().context("a block has no end")?;
            if line.trim_start().starts_with("```") {
                break;
            }
            block.lines.push(line.to_owned());
        }
        found.push(block);
    }
    Ok(found)
}

impl Block {
    fn of_info(info: &str) -> anyhow::Result<Self> {
        let (language, mut rest) = info.split_once(',').unwrap_or((info, ""));
        let mut attributes = BTreeMap::new();
        while !rest.is_empty() {
            let end = rest.find([',', '=']).unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            let (value, after) = match after.strip_prefix('=') {
                None => ("", after),
                Some(quoted) if quoted.starts_with('"') => quoted
                    .get(1..)
                    .and_then(|text| text.split_once('"'))
                    .with_context(|| format!("a quote has no end: {info}"))?,
                Some(plain) => plain.split_at(plain.find(',').unwrap_or(plain.len())),
            };
            let known = ["on", "background", "wait", "exit", "file", "not-run"];
            anyhow::ensure!(known.contains(&name), "{name:?} is unknown: {info}");
            attributes.insert(name.to_owned(), value.to_owned());
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        Ok(Self {
            language: language.trim().to_owned(),
            attributes,
            lines: Vec::new(),
        })
    }

    /// What its first line says under that name.
    #[must_use]
    pub fn says(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }

    /// The commands in it, each with what follows it. A line that ends with a backslash goes on.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        let mut goes_on = false;
        for line in &self.lines {
            let begun = line.strip_prefix("$ ");
            match (begun, steps.last_mut()) {
                (Some(command), _) if !goes_on => steps.push(Step {
                    command: command.to_owned(),
                    expected: Vec::new(),
                }),
                (_, Some(last)) if goes_on => last.command.push_str(line.trim_start()),
                (_, Some(last)) => last.expected.push(line.clone()),
                (_, None) => {}
            }
            let last = steps.last_mut();
            goes_on = last.is_some_and(|last| {
                let is_open = last.expected.is_empty() && last.command.ends_with('\\');
                if is_open {
                    last.command.pop();
                }
                is_open
            });
        }
        steps
    }
}
