//! A new user with two machines, who types what the book says, and nothing else.

use std::collections::BTreeMap;
use std::fs;

use anyhow::Context as _;
use tidemark_tests::harness::book::{Block, Page, Step};
use tidemark_tests::harness::process::built;
use tidemark_tests::harness::{Machine, Neighbour, Process, STARTING, Stage, until};

use super::expected::{Extent, Words, matched, replaced};

/// The controller's machine.
const HOME: &str = "tide-1";
/// The second host.
const OTHER: &str = "web-1";
/// Ports of the second host: few, so that a leak has an end within the test.
const PORTS: (u16, u16) = (20_000, 20_999);
/// A service of the reader's own, that leaks.
const SERVICE: &str = r#"#!/bin/sh
case "$1" in
start) setsid HOME/appsvc leak --per-second 6 --to 127.0.0.1:9000 --sockets 700 >/dev/null 2>&1 </dev/null & echo $! > HOME/appsvc-pid;;
stop) kill $(cat HOME/appsvc-pid) && while kill -0 $(cat HOME/appsvc-pid) 2>/dev/null; do sleep 0.1; done;;
status) kill -0 $(cat HOME/appsvc-pid) 2>/dev/null || exit 3;;
esac
"#;
/// What a test cannot wait for, and that both machines are one to the kernel.
const SETTINGS: &str = "[remediation]\nhold = \"5s\"\nown_host = \"none\"\n";
/// Commands that are given these settings beside what the book says.
const UP: (&str, &str) = ("tidemark-controller up", "--config settings.toml");
/// How often the second host's agent samples.
const AGENT: [(&str, &str); 1] = [("TIDEMARK_INTERVAL", "1s")];

/// Who reads.
pub struct Reader<'m> {
    machine: &'m Machine,
    stages: BTreeMap<&'static str, Stage>,
    /// What stays running, by machine and program.
    running: BTreeMap<(String, String), Process>,
    words: Words,
    started: usize,
    _neighbour: Neighbour,
    _service: Process,
}

impl<'m> Reader<'m> {
    /// Both machines, with the service that leaks on the second.
    ///
    /// # Errors
    /// When they cannot be made.
    pub async fn sit_down(machine: &'m Machine) -> anyhow::Result<Self> {
        let neighbour = Neighbour::start(machine, (1, OTHER), PORTS).await?;
        let home = Stage::set(machine, HOME, None, &[]).await?;
        fs::write(home.home().join("settings.toml"), SETTINGS)?;
        let other = Stage::set(machine, OTHER, Some(&neighbour), &AGENT).await?;
        let there = other.home().display().to_string();
        fs::copy(built("port_eater")?, other.home().join("appsvc"))?;
        fs::write(other.home().join("init"), SERVICE.replace("HOME", &there))?;
        let service = neighbour.eat("sink", "serve --at 127.0.0.1:9000")?;
        other
            .run("mkdir -p /etc/init.d && install -m 755 init /etc/init.d/appsvc && /etc/init.d/appsvc start")
            .await?
            .succeeded()?;
        let address = neighbour.near_address().to_string();
        Ok(Self {
            machine,
            stages: BTreeMap::from([(HOME, home), (OTHER, other)]),
            running: BTreeMap::new(),
            words: Words::from([("ADDRESS".to_owned(), address)]),
            started: 0,
            _neighbour: neighbour,
            _service: service,
        })
    }

    /// Does everything that a page says.
    ///
    /// # Errors
    /// What does not go as the page says.
    pub async fn read(&mut self, page: &Page) -> anyhow::Result<()> {
        for block in &page.blocks {
            if let Some(path) = block.says("file") {
                self.write(block, path).await?;
            }
            if block.language != "console" || block.says("not-run").is_some() {
                continue;
            }
            for step in block.steps() {
                let done = if block.says("background").is_some() {
                    self.start(block, &step).await
                } else {
                    self.run(block, &step).await
                };
                done.with_context(|| format!("$ {}", step.command))?;
            }
        }
        Ok(())
    }

    /// Ends what the second host's service started.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn stand_up(mut self) -> anyhow::Result<()> {
        self.running.clear();
        let stopped = self.stage(OTHER)?.run("/etc/init.d/appsvc stop").await?;
        stopped.succeeded().map(drop)
    }

    fn stage(&self, name: &str) -> anyhow::Result<&Stage> {
        self.stages
            .get(name)
            .with_context(|| format!("there is no machine {name}"))
    }

    fn on(&self, block: &Block) -> anyhow::Result<&Stage> {
        self.stage(block.says("on").unwrap_or(HOME))
    }

    async fn write(&self, block: &Block, path: &str) -> anyhow::Result<()> {
        let stage = self.on(block)?;
        let text = replaced(&block.lines.join("\n"), &self.words);
        fs::write(stage.home().join("written"), text + "\n")?;
        let put = format!("mkdir -p \"$(dirname {path})\" && cp written {path}");
        stage.run(&put).await?.succeeded().map(drop)
    }

    async fn start(&mut self, block: &Block, step: &Step) -> anyhow::Result<()> {
        let program = step
            .command
            .split(' ')
            .next()
            .unwrap_or_default()
            .to_owned();
        let on = block.says("on").unwrap_or(HOME).to_owned();
        let terminal = (on, program.clone());
        if let Some(mut before) = self.running.remove(&terminal) {
            before.interrupt()?;
            before.wait(STARTING).await?;
        }
        self.started += 1;
        let mut line = replaced(&step.command, &self.words);
        if line.starts_with(UP.0) {
            line = format!("{line} {}", UP.1);
        }
        let name = format!("{program}-{}", self.started);
        let mut process = self.on(block)?.start(self.machine, &name, &line)?;
        let learnt = until("what it prints", STARTING, async || {
            anyhow::ensure!(process.ended()?.is_none(), "it ended: {}", process.said());
            matched(
                &step.expected,
                &process.stdout()?,
                Extent::Beginning,
                &self.words,
            )
        })
        .await
        .with_context(|| process.said())?;
        self.words.extend(learnt);
        self.running.insert(terminal, process);
        Ok(())
    }

    async fn run(&mut self, block: &Block, step: &Step) -> anyhow::Result<()> {
        let line = replaced(&step.command, &self.words);
        let codes = block.says("exit").unwrap_or("0");
        let mut last = None;
        let is_tried_again = block.says("wait").is_some();
        let found = until("what it prints", STARTING, async || {
            let finished = self.on(block)?.run(&line).await?;
            let code = finished
                .code
                .map(|code| code.to_string())
                .unwrap_or_default();
            let is_well = codes.split('|').any(|one| one == code);
            let words = if step.expected.is_empty() {
                Some(Words::new())
            } else {
                matched(&step.expected, &finished.stdout, Extent::Whole, &self.words)?
            };
            let found = words.filter(|_| is_well);
            anyhow::ensure!(is_tried_again || found.is_some(), "{finished:#?}");
            last = Some(finished);
            Ok(found)
        })
        .await;
        let learnt = found.with_context(|| format!("it printed {last:#?}"))?;
        self.words.extend(learnt);
        Ok(())
    }
}

/// A command line with numbers where a reader puts what is numbered.
pub fn with_numbers(line: &str) -> String {
    let numbers = ["ID", "ACTION_ID", "NUMBER", "RUN", "SEQ"].map(|word| (word, "7"));
    let words = numbers.into_iter().chain([("ADDRESS", "127.0.0.1")]);
    let words: Words = words
        .map(|(word, value)| (word.to_owned(), value.to_owned()))
        .collect();
    replaced(line, &words)
}
