//! Follows a log from its first entry to its last and holds it against everything that was signed of it.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use serde::Serialize;
use tidemark_model::audit_log::{Chain, Checkpoint, Entry, LINE_BYTES_MAX, LogKey, NOTE_BYTES_MAX};

use super::super::Ctx;
use super::super::show::show_once;
use super::next_lines;
use crate::api::Api;
use crate::args::AuditVerifyArgs;
use crate::failure::Failure;
use crate::render::sheet::{Sheet, Value};
use crate::render::text::visible;
use crate::render::{Report, Screen};

/// Hosts that are named when many contradict the log.
const NAMED_MAX: usize = 5;

/// Verifies, and says what was verified.
pub async fn verify(ctx: &Ctx<'_>, wanted: &AuditVerifyArgs) -> Result<(), Failure> {
    let verified = match &wanted.file {
        Some(file) => of_file(file, wanted)?,
        None => of_controller(&ctx.api()?, wanted).await?,
    };
    show_once(ctx, &verified)
}

/// A checkpoint that the log must meet, and where it comes from.
struct Signed {
    from: String,
    checkpoint: Checkpoint,
}

/// Holds the log against what was signed, the smallest first.
struct Verifier {
    chain: Chain,
    signed: Vec<Signed>,
    met: usize,
    /// Whose checkpoints do not agree, and why.
    contradicted: Vec<String>,
}

impl Verifier {
    fn new(mut signed: Vec<Signed>) -> Self {
        signed.sort_by_key(|one| one.checkpoint.size);
        Self {
            chain: Chain::default(),
            signed,
            met: 0,
            contradicted: Vec::new(),
        }
    }

    fn take(&mut self, line: &str) -> Result<(), Failure> {
        let place = self.chain.size().saturating_add(1);
        let entry = Entry::from_line(line)
            .map_err(|fault| Failure::Tampered(format!("entry {place}: {}", told(&fault))))?;
        self.chain
            .take(&entry)
            .map_err(|fault| Failure::Tampered(fault.to_string()))?;
        self.meet();
        Ok(())
    }

    fn meet(&mut self) {
        while let Some(next) = self.signed.get(self.met)
            && next.checkpoint.size <= self.chain.size()
        {
            if let Err(fault) = self.chain.meets(&next.checkpoint) {
                self.contradicted.push(format!("{}: {fault}", next.from));
            }
            self.met += 1;
        }
    }

    fn end(mut self, key: Option<&LogKey>, source: &'static str) -> Result<Verified, Failure> {
        let left = self.signed.split_off(self.met.min(self.signed.len()));
        for one in left {
            if let Err(fault) = self.chain.meets(&one.checkpoint) {
                self.contradicted.push(format!("{}: {fault}", one.from));
            }
        }
        if !self.contradicted.is_empty() {
            let count = self.contradicted.len();
            self.contradicted.truncate(NAMED_MAX);
            let mut text = self.contradicted.join("; ");
            if count > NAMED_MAX {
                text.push_str(&format!("; and {} more", count - NAMED_MAX));
            }
            return Err(Failure::Tampered(text));
        }
        Ok(Verified {
            entries: self.chain.size(),
            root: self.chain.root().to_string(),
            checkpoints: self.met,
            key: key.map(ToString::to_string),
            key_source: source,
        })
    }
}

/// A fault with what it comes from.
fn told(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

fn opened(note: &str, key: &LogKey, from: String) -> Result<Signed, Failure> {
    match Checkpoint::open(note, key) {
        Ok(checkpoint) => Ok(Signed { from, checkpoint }),
        Err(fault) => Err(Failure::Tampered(format!("{from}: {fault}"))),
    }
}

fn kept(paths: &[std::path::PathBuf], key: &LogKey) -> Result<Vec<Signed>, Failure> {
    let read = |path: &std::path::PathBuf| {
        let note = read_note(path)?;
        opened(&note, key, format!("checkpoint {}", path.display()))
    };
    paths.iter().map(read).collect()
}

fn read_note(path: &Path) -> Result<String, Failure> {
    let failed = |source| Failure::File {
        what: "checkpoint",
        path: path.to_owned(),
        source,
    };
    let mut note = String::new();
    let limit = u64::try_from(NOTE_BYTES_MAX).unwrap_or(u64::MAX) + 1;
    let file = File::open(path).map_err(failed)?;
    file.take(limit).read_to_string(&mut note).map_err(failed)?;
    Ok(note)
}

fn of_file(path: &Path, wanted: &AuditVerifyArgs) -> Result<Verified, Failure> {
    let failed = |source| Failure::File {
        what: "export",
        path: path.to_owned(),
        source,
    };
    let signed = match &wanted.key {
        Some(key) => kept(&wanted.checkpoint, key)?,
        None => Vec::new(),
    };
    let mut verifier = Verifier::new(signed);
    let mut lines = BufReader::new(File::open(path).map_err(failed)?);
    let limit = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX) + 1;
    loop {
        let mut line = Vec::new();
        let count = lines
            .by_ref()
            .take(limit)
            .read_until(b'\n', &mut line)
            .map_err(failed)?;
        if count == 0 {
            return verifier.end(wanted.key.as_ref(), "given");
        }
        let place = verifier.chain.size().saturating_add(1);
        let text = line
            .strip_suffix(b"\n")
            .and_then(|line| std::str::from_utf8(line).ok());
        let Some(text) = text else {
            return Err(Failure::Tampered(format!(
                "entry {place}: the line is cut, too long or no text"
            )));
        };
        verifier.take(text)?;
    }
}

async fn of_controller(api: &Api, wanted: &AuditVerifyArgs) -> Result<Verified, Failure> {
    let status = api.audit_status().await?;
    let told_key = status
        .key
        .as_deref()
        .and_then(|key| key.parse::<LogKey>().ok());
    let (key, source) = match (&wanted.key, told_key) {
        (Some(key), Some(told)) if *key != told => {
            return Err(Failure::Tampered(format!(
                "the controller signs its log with another key: {told}"
            )));
        }
        (Some(key), _) => (Some(key.clone()), "given"),
        (None, told) => (told, "told by the controller"),
    };
    let mut signed = Vec::new();
    if let Some(key) = &key {
        signed.extend(kept(&wanted.checkpoint, key)?);
        if let Some(note) = &status.checkpoint {
            signed.push(opened(note, key, "the newest checkpoint".to_owned())?);
        }
    } else if !wanted.checkpoint.is_empty() {
        return Err(Failure::usage(
            "--checkpoint needs --key: the controller tells none",
        ));
    }
    let mut strangers = Vec::new();
    if let (Some(key), true) = (&key, wanted.witnesses) {
        for witness in api.audit_witnesses().await? {
            let name = witness.host_name.as_deref().unwrap_or(&witness.host);
            match opened(&witness.note, key, format!("host {name}")) {
                Ok(one) => signed.push(one),
                Err(failure) => strangers.push(failure.to_string()),
            }
        }
    }
    let mut verifier = Verifier::new(signed);
    verifier.contradicted = strangers;
    while let Some((lines, _)) = next_lines(api, verifier.chain.size()).await? {
        for line in lines.lines() {
            verifier.take(line)?;
        }
    }
    verifier.end(key.as_ref(), source)
}

/// What was verified.
#[derive(Debug, Serialize)]
struct Verified {
    entries: u64,
    root: String,
    checkpoints: usize,
    key: Option<String>,
    key_source: &'static str,
}

impl Report for Verified {
    fn table(&self, _screen: &Screen) -> String {
        let signed = match (self.checkpoints, &self.key) {
            (0, _) => "no signed checkpoint was there to hold it against: that its end was cut, nobody could see".to_owned(),
            (1, Some(key)) => format!("it meets 1 signed checkpoint (key {}, {})", visible(key), self.key_source),
            (count, key) => format!(
                "it meets {count} signed checkpoints (key {}, {})",
                visible(key.as_deref().unwrap_or("none")),
                self.key_source
            ),
        };
        format!(
            "The audit log is as it was written: {} entries, root {}\n{signed}\n",
            self.entries, self.root
        )
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        Sheet {
            header: vec!["entries", "root", "checkpoints", "key"],
            rows: vec![vec![
                Value::number(i64::try_from(self.entries).unwrap_or(i64::MAX)),
                Value::text(&self.root),
                Value::number(i64::try_from(self.checkpoints).unwrap_or(i64::MAX)),
                Value::text(self.key.as_deref().unwrap_or_default()),
            ]],
        }
    }
}
