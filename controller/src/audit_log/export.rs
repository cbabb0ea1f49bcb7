//! The log taken elsewhere as it grows: to a file of JSON lines, or to syslog. What was taken is remembered in the database, so
//! that each entry goes out once at least, through restarts and while the other side is away.

mod syslog;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tidemark_store::{Kept, StoreError};
use tokio::io::AsyncWriteExt as _;

use crate::api::audit_log::line;
use crate::app::App;
use crate::gateway::outcome::chain;

pub use syslog::{SyslogTarget, Way};

/// How often it is looked for entries.
const PERIOD: Duration = Duration::from_secs(1);
/// Entries that are taken at once.
const PAGE: u32 = 500;
/// Longest that one page may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is told of the log elsewhere, and how often it is signed.
#[derive(Clone, Debug)]
pub struct AuditLogRules {
    /// Time between checkpoints.
    pub checkpoint_every: Duration,
    /// A file that entries are appended to.
    pub file: Option<PathBuf>,
    /// A syslog server.
    pub syslog: Option<SyslogTarget>,
}

impl Default for AuditLogRules {
    fn default() -> Self {
        Self {
            checkpoint_every: super::CHECKPOINT_PERIOD,
            file: None,
            syslog: None,
        }
    }
}

/// How one export stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportStanding {
    /// The last entry that was taken.
    pub position: u64,
    /// Entries behind it that wait.
    pub lag: u64,
    /// Why the last attempt failed; `None` when it did not.
    pub error: Option<String>,
}

/// Every export, by its name.
#[derive(Debug, Default)]
pub struct Exports(Mutex<BTreeMap<String, ExportStanding>>);

impl Exports {
    /// How each of them stands.
    #[must_use]
    pub fn standings(&self) -> BTreeMap<String, ExportStanding> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn put(&self, name: &str, standing: ExportStanding) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(name.to_owned(), standing);
    }
}

/// Why entries were not taken.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the other side does not take it")]
    Io(#[from] io::Error),
    #[error("the other side does not answer within {} s", PATIENCE.as_secs())]
    TimedOut,
}

/// Where it goes.
enum Sink {
    File(PathBuf),
    Syslog(Box<syslog::Sender>),
}

/// The task of one export.
pub struct Exporter {
    app: Arc<App>,
    name: String,
    sink: Sink,
}

impl Exporter {
    /// One for each place that the rules name.
    #[must_use]
    pub fn all(app: &Arc<App>, rules: &AuditLogRules) -> Vec<Self> {
        let of = |name: String, sink: Sink| Self {
            app: Arc::clone(app),
            name,
            sink,
        };
        let file = rules
            .file
            .as_ref()
            .map(|path| of(format!("file {}", path.display()), Sink::File(path.clone())));
        let syslog = rules.syslog.as_ref().map(|target| {
            let sender = syslog::Sender::new(target.clone());
            of(
                format!("syslog {}", target.text),
                Sink::Syslog(Box::new(sender)),
            )
        });
        file.into_iter().chain(syslog).collect()
    }

    /// Runs until the stop.
    pub async fn run(mut self) {
        let stop = self.app.life.stop_token();
        let mut is_failing = false;
        loop {
            let taken = self.activate().await;
            match &taken {
                Ok(_) => is_failing = false,
                Err(error) => {
                    self.app.metrics.audit_log_export_failed.add(1);
                    if !std::mem::replace(&mut is_failing, true) {
                        tracing::warn!(
                            export = self.name,
                            error = chain(error),
                            "the audit log is not exported; it is tried again"
                        );
                    }
                }
            }
            if matches!(taken, Ok(count) if count >= PAGE as usize) && !stop.is_cancelled() {
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PERIOD) => {}
            }
        }
    }

    /// Takes the next entries, and says how many.
    async fn activate(&mut self) -> Result<usize, ExportError> {
        let (position, generation) = self.position().await?;
        let taken = self.take(position, generation).await;
        let (head, _) = self.app.store.read().await?.audit_head().await?;
        let now_at = match &taken {
            Ok(page) => page.last().map_or(position, |(seq, _)| *seq),
            Err(_) => position,
        };
        let lag = head.saturating_sub(now_at);
        let metrics = &self.app.metrics;
        match &self.sink {
            Sink::File(_) => metrics.audit_log_file_lag.set(lag),
            Sink::Syslog(_) => metrics.audit_log_syslog_lag.set(lag),
        }
        let standing = ExportStanding {
            position: now_at,
            lag,
            error: taken.as_ref().err().map(chain),
        };
        self.app.audit_log.exports.put(&self.name, standing);
        let page = taken?;
        metrics.audit_log_exported.add(page.len() as u64);
        Ok(page.len())
    }

    async fn take(
        &mut self,
        position: u64,
        generation: Option<u64>,
    ) -> Result<Vec<Kept>, ExportError> {
        let page = self
            .app
            .store
            .read()
            .await?
            .audit_after(position, PAGE)
            .await?;
        let Some((last, _)) = page.last() else {
            return Ok(page);
        };
        let (last, sink) = (*last, &mut self.sink);
        let sent = async {
            match sink {
                Sink::File(path) => append(path, &page).await,
                Sink::Syslog(sender) => sender.send(&page).await,
            }
        };
        tokio::time::timeout(PATIENCE, sent)
            .await
            .map_err(|_| ExportError::TimedOut)??;
        self.keep(last, generation).await?;
        Ok(page)
    }

    fn key(&self) -> String {
        format!("audit_export {}", self.name)
    }

    /// The last entry that was taken, and the generation of that setting.
    async fn position(&self) -> Result<(u64, Option<u64>), StoreError> {
        let found = self
            .app
            .store
            .read()
            .await?
            .setting_find(&self.key())
            .await?;
        Ok(match found {
            Some(setting) => (setting.value.parse().unwrap_or(0), Some(setting.generation)),
            None => (0, None),
        })
    }

    /// Another controller that exports to the same place may have been quicker: both sent it then.
    async fn keep(&self, position: u64, generation: Option<u64>) -> Result<(), StoreError> {
        let (key, value) = (self.key(), position.to_string());
        let mut tx = self.app.store.begin().await?;
        let kept = match generation {
            Some(generation) => tx.setting_replace(&key, generation, &value).await,
            None => tx.setting_insert(&key, &value).await,
        };
        match kept {
            Ok(()) => tx.commit().await,
            Err(StoreError::Stale { .. } | StoreError::AlreadyExists { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Appends the lines, and takes them for written once they are on disk.
async fn append(path: &Path, page: &[Kept]) -> io::Result<()> {
    let mut options = tokio::fs::OpenOptions::new();
    let mut file = options.append(true).create(true).open(path).await?;
    let lines: String = page.iter().map(line).collect();
    file.write_all(lines.as_bytes()).await?;
    file.sync_data().await
}
