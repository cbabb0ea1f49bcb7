//! The desk of upgrades: judges what is offered, has its file fetched piece by piece, puts it on disk and asks the supervisor to
//! switch. Everything that stands in the way is told to the controller.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use tidemark_agent_core::upgrades::{Approved, Fetch, Fetched, Judged, Staged, Switch, judge};
use tidemark_model::release::{ManifestDigest, SignedManifest, Target};
use tidemark_model::upgrade::{HostNews, HostStage, UpgradeReport};
use tidemark_proto::convert::upgrade::{Piece, PieceWanted};
use tidemark_runtime::Clock;

use super::feed::{Outbox, UpgradeFeed, UpgradeMessage};
use super::memory::{Kept, MemoryFile, switch_of};
use super::said;
use super::versions::{Part, Versions};
use crate::actions::lockdown::Lockdown;
use crate::actions::policy_file::PolicyFile;
use crate::owned_thread::{Joined, OwnedThread};

/// Why an agent that nobody supervises takes no release, and what to do about it.
const WITHOUT_SUPERVISOR: &str = if cfg!(windows) {
    "this agent runs without a supervisor that could go back: its policy took no releases when the service began; restart the service"
} else {
    "this agent runs without a supervisor that could go back: start it by `tidemark-agent supervise`, or upgrade it by its package"
};
/// Messages that wait for the desk.
const MESSAGES_MAX: usize = 8;
/// How long the desk may take to end.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// What a desk works with.
pub(crate) struct DeskParts {
    /// The agent's folder.
    pub(crate) folder: PathBuf,
    /// Whose signatures count.
    pub(crate) policy: PolicyFile,
    /// By which supervisor the agent runs, as which release; `None` without one, 0 as the installed program.
    pub(crate) supervised: Option<u32>,
    /// The host's time.
    pub(crate) clock: Clock,
}

/// The running desk.
#[derive(Debug)]
pub(crate) struct Desk {
    thread: OwnedThread,
    feed: UpgradeFeed,
}

impl Desk {
    /// Starts it.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(parts: DeskParts) -> io::Result<Self> {
        let (sender, messages) = sync_channel(MESSAGES_MAX);
        let outbox = Arc::new(Outbox::default());
        let feed = UpgradeFeed::new(sender, Arc::clone(&outbox));
        let work = Work::of(parts, outbox);
        let thread = OwnedThread::start("upgrades", move || work.run(&messages))?;
        Ok(Self { thread, feed })
    }

    /// The session's end of it.
    pub(crate) fn feed(&self) -> UpgradeFeed {
        self.feed.clone()
    }

    /// Ends it.
    pub(crate) async fn stop(self) {
        self.feed.hand(UpgradeMessage::End);
        match self.thread.join_within(END_PATIENCE).await {
            Joined::Ended => {}
            Joined::Panicked => tracing::error!("the desk of upgrades panicked"),
            Joined::LeftBehind => tracing::warn!("the desk of upgrades hangs and is left behind"),
        }
    }
}

/// A file that is being fetched.
struct Fetching {
    fetch: Fetch,
    part: Part,
    approved: Approved,
}

struct Work {
    parts: DeskParts,
    lockdown: Lockdown,
    versions: Versions,
    memory: MemoryFile,
    target: Option<Target>,
    outbox: Arc<Outbox>,
    fetching: Option<Fetching>,
    /// What became of the last offer; what the switch says stands behind it.
    news: Option<HostNews>,
}

impl Work {
    fn of(parts: DeskParts, outbox: Arc<Outbox>) -> Self {
        Self {
            lockdown: Lockdown::in_folder(&parts.folder),
            versions: Versions::in_folder(&parts.folder),
            memory: MemoryFile::of_agent(&parts.folder),
            target: Target::of_this_build(),
            fetching: None,
            news: None,
            outbox,
            parts,
        }
    }

    fn run(mut self, messages: &Receiver<UpgradeMessage>) {
        while let Ok(message) = messages.recv() {
            match message {
                UpgradeMessage::Opened => self.tell(),
                UpgradeMessage::Offered(signed) => self.take_offer(&signed),
                UpgradeMessage::Piece(piece) => self.take_piece(&piece),
                UpgradeMessage::Committed => {
                    self.news = None;
                    self.tell();
                }
                UpgradeMessage::End => return,
            }
        }
    }

    /// Tells how the host stands, and asks for what is missing: an earlier session may have lost the question.
    fn tell(&self) {
        let kept = self.memory.read::<Kept>();
        let switch = switch_of(&self.parts.folder).unwrap_or_default();
        let seen = kept.as_ref().map(|kept| kept.seen.clone());
        let report = UpgradeReport {
            running: self.parts.supervised.filter(|release| *release > 0),
            seen: seen.unwrap_or_default().release,
            floor: switch.floor(),
            unable: self.unable(),
            news: self.news.clone().or_else(|| self.news_of(&switch)),
        };
        self.outbox.put(|waiting| waiting.report = Some(report));
        self.ask();
    }

    /// Asks for the next piece of what is fetched, if anything is.
    fn ask(&self) {
        let next = self.fetching.as_ref().map(|one| one.fetch.next());
        let wanted = next.map(|piece| PieceWanted {
            sha256: piece.sha256,
            offset: piece.offset,
            length: piece.length,
        });
        self.outbox.put(|waiting| waiting.wanted = wanted);
    }

    /// Why no release whatever could be taken.
    fn unable(&self) -> Option<String> {
        let takes = self
            .parts
            .policy
            .read()
            .policy
            .map(|policy| policy.release_threshold);
        match takes {
            Err(why) => Some(format!("the host's policy cannot be used: {why}")),
            Ok(None) => Some(
                "the host's policy takes no releases: list release keys and [releases] in policy.toml"
                    .to_owned(),
            ),
            Ok(Some(_)) if self.parts.supervised.is_none() => Some(WITHOUT_SUPERVISOR.to_owned()),
            Ok(Some(_)) => self.memory.read::<Kept>().err(),
        }
    }

    /// What the supervisor made of the last release.
    fn news_of(&self, switch: &Switch) -> Option<HostNews> {
        let news = |version: &Staged, stage| HostNews {
            manifest: version.manifest,
            stage,
            text: format!("version {}", version.version),
        };
        if let Some(trial) = switch.on_trial() {
            return Some(news(trial, HostStage::Switched));
        }
        let current = switch.current();
        let failed = switch.failed();
        let is_later = |release: u32| current.is_none_or(|one| one.release < release);
        match failed.filter(|failed| is_later(failed.release)) {
            Some(failed) => Some(HostNews {
                manifest: failed.manifest,
                stage: HostStage::RolledBack,
                text: failed.reason.clone(),
            }),
            None => current.map(|current| news(current, HostStage::Healthy)),
        }
    }

    fn take_offer(&mut self, signed: &SignedManifest) {
        let digest = signed.digest();
        let is_fetched = self
            .fetching
            .as_ref()
            .is_some_and(|one| one.approved.digest == digest);
        if !is_fetched && let Err(why) = self.begin(signed) {
            tracing::warn!(reason = why, "a release is not taken");
            self.news = Some(HostNews {
                manifest: digest,
                stage: HostStage::Refused,
                text: why,
            });
        }
        self.tell();
    }

    /// Begins with what is offered, or says why not. What was tried before is not tried again.
    fn begin(&mut self, signed: &SignedManifest) -> Result<(), String> {
        if let Some(why) = self.unable() {
            return Err(why);
        }
        let switch = switch_of(&self.parts.folder)?;
        if self.is_known(&switch, signed.digest()) {
            self.news = None;
            return Ok(());
        }
        let mut kept: Kept = self.memory.read()?;
        kept.seen.floor = kept.seen.floor.max(switch.floor());
        let policy = self.parts.policy.read().policy;
        let approved = judge(
            signed,
            &Judged {
                policy: policy.as_ref().map_err(String::as_str),
                seen: &kept.seen,
                target: self.target,
                lockdown: self.lockdown.holds(),
                now: self.parts.clock.now(),
            },
        );
        let approved = approved.map_err(|refusal| refusal.to_string())?;
        // From here on nothing older is taken, whatever becomes of this one.
        kept.seen = approved.seen.clone();
        self.memory.write(&kept).map_err(cannot_be_kept)?;
        if let Some(former) = self.fetching.take() {
            former.part.discard();
        }
        let staged = staged(&approved);
        if self.versions.is_whole(&staged) {
            return self.stage(staged);
        }
        let part = self
            .versions
            .begin(approved.manifest.release)
            .map_err(cannot_be_kept)?;
        self.news = Some(HostNews {
            manifest: approved.digest,
            stage: HostStage::Downloading,
            text: format!("{} bytes", approved.file.length),
        });
        self.fetching = Some(Fetching {
            fetch: Fetch::of(approved.file.clone()),
            part,
            approved,
        });
        Ok(())
    }

    /// Whether the switch says what became of that manifest.
    fn is_known(&self, switch: &Switch, digest: ManifestDigest) -> bool {
        let news = self.news_of(switch);
        news.is_some_and(|news| news.manifest == digest)
    }

    fn take_piece(&mut self, piece: &Piece) {
        let Some(mut fetching) = self.fetching.take() else {
            return;
        };
        let release = fetching.approved.manifest.release;
        let taken = fetching
            .fetch
            .take((piece.sha256, piece.offset), &piece.bytes);
        let taken = taken.map_err(|refusal| refusal.to_string());
        let written = taken.and_then(|fetched| {
            fetching.part.write(&piece.bytes).map_err(cannot_be_kept)?;
            Ok(fetched)
        });
        let manifest = fetching.approved.digest;
        let done = match written {
            // Nothing else changed: a report for each piece would be work for the controller's database.
            Ok(Fetched::More) => {
                self.fetching = Some(fetching);
                return self.ask();
            }
            Ok(Fetched::Whole) => self
                .versions
                .finish(release, fetching.part)
                .map_err(cannot_be_kept)
                .and_then(|()| self.stage(staged(&fetching.approved))),
            Err(why) => {
                fetching.part.discard();
                Err(why)
            }
        };
        if let Err(text) = done {
            tracing::warn!(release, reason = text, "a release is given up");
            self.news = Some(HostNews {
                manifest,
                stage: HostStage::Refused,
                text,
            });
        }
        self.tell();
    }

    /// The file is whole: it is noted for the supervisor, which is asked to switch.
    fn stage(&mut self, version: Staged) -> Result<(), String> {
        let mut kept: Kept = self.memory.read()?;
        self.news = Some(HostNews {
            manifest: version.manifest,
            stage: HostStage::Staged,
            text: format!("version {}", version.version),
        });
        tracing::info!(
            release = version.release,
            version = version.version,
            "a release is staged"
        );
        kept.staged = Some(version);
        self.memory.write(&kept).map_err(cannot_be_kept)?;
        said::say(said::SWITCH);
        Ok(())
    }
}

fn staged(approved: &Approved) -> Staged {
    Staged {
        release: approved.manifest.release,
        version: approved.manifest.version.clone(),
        manifest: approved.digest,
        sha256: approved.file.sha256,
        floor: approved.manifest.floor,
    }
}

fn cannot_be_kept(error: io::Error) -> String {
    format!("it cannot be kept on this host's disk: {error}")
}

#[cfg(test)]
mod tests;
