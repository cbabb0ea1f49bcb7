//! Which services run in which process, looked after on a thread of its own: the service control manager can hang.
//!
//! Nobody waits for it but the very first question, and that for a second at most.

pub(super) mod catalog;
mod tag;

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How old the list may become while nothing asks for a new one.
const LIST_AGE_MAX: Duration = Duration::from_secs(60);
/// How long the first question waits for the first list, which takes milliseconds.
const FIRST_LIST_TIMEOUT: Duration = Duration::from_secs(1);
/// Questions beyond so many are put again by the next sample.
const QUESTIONS_MAX: usize = 64;
/// Longest text for the services of one process, in characters.
const NAMES_CHARS_MAX: usize = 256;

/// Services by process.
#[derive(Debug)]
pub(super) struct Services {
    shared: Arc<Shared>,
    questions: SyncSender<Question>,
}

/// What the thread is asked to find out.
#[derive(Clone, Copy, Debug)]
enum Question {
    /// Which services there are: a process is not in the list.
    All,
    /// Which service of a process has this tag.
    Tag {
        /// The process.
        process: u32,
        /// The tag.
        tag: u32,
    },
}

#[derive(Debug, Default)]
struct Shared {
    catalog: Mutex<Catalog>,
    first: Condvar,
}

/// What is known.
#[derive(Debug, Default)]
struct Catalog {
    /// Counts changes; 0 before the first list.
    version: u64,
    by_process: HashMap<u32, Vec<String>>,
    /// `None` for a tag that the system does not know.
    by_tag: HashMap<(u32, u32), Option<String>>,
}

impl Services {
    /// Starts the thread, which ends after this is dropped. Where there is no thread to be had, no service is known.
    pub(super) fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let (questions, asked) = sync_channel(QUESTIONS_MAX);
        let worker = Arc::clone(&shared);
        // Without the thread every name stays unknown, which is what is shown then.
        thread::Builder::new()
            .name("services".to_owned())
            .spawn(move || worker.look_after(&asked))
            .ok();
        Self { shared, questions }
    }

    /// Changes whenever [`Services::name_of`] may say something else.
    pub(super) fn version(&self) -> u64 {
        self.shared.catalog().version
    }

    /// The service of a process; see [`super::process::Processes::service`].
    pub(super) fn name_of(&self, process: u32, tag: u32) -> Option<String> {
        let catalog = self.shared.first_catalog();
        let Some(names) = catalog.by_process.get(&process) else {
            // A full queue means that the list is made anew anyway.
            self.questions.try_send(Question::All).ok();
            return None;
        };
        match names.as_slice() {
            [name] => return Some(name.clone()),
            _ if tag == 0 => {}
            _ => match catalog.by_tag.get(&(process, tag)) {
                Some(Some(name)) => return Some(name.clone()),
                Some(None) => {}
                None => {
                    self.questions.try_send(Question::Tag { process, tag }).ok();
                }
            },
        }
        Some(names.join(", ").chars().take(NAMES_CHARS_MAX).collect())
    }
}

impl Shared {
    fn catalog(&self) -> MutexGuard<'_, Catalog> {
        self.catalog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`Shared::catalog`], once the first list is there or has taken too long.
    fn first_catalog(&self) -> MutexGuard<'_, Catalog> {
        let is_missing = |catalog: &mut Catalog| catalog.version == 0;
        let waited = self
            .first
            .wait_timeout_while(self.catalog(), FIRST_LIST_TIMEOUT, is_missing);
        let (mut catalog, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            // Nobody waits a second time.
            catalog.version = 1;
        }
        catalog
    }

    /// The thread: lists services when asked, and from time to time.
    fn look_after(&self, asked: &Receiver<Question>) {
        let mut next = Some(Question::All);
        loop {
            match next {
                Some(Question::All) => self.list(),
                Some(Question::Tag { process, tag }) => self.resolve(process, tag),
                None => return,
            }
            next = match asked.recv_timeout(LIST_AGE_MAX) {
                Ok(question) => Some(question),
                Err(RecvTimeoutError::Timeout) => Some(Question::All),
                Err(RecvTimeoutError::Disconnected) => None,
            };
        }
    }

    fn list(&self) {
        let listed = catalog::list();
        let mut catalog = self.catalog();
        // A manager that does not answer leaves what was known.
        if let Ok(by_process) = listed
            && catalog.by_process != by_process
        {
            catalog
                .by_tag
                .retain(|(process, _), _| by_process.contains_key(process));
            catalog.by_process = by_process;
            catalog.version += 1;
        }
        catalog.version = catalog.version.max(1);
        self.first.notify_all();
    }

    fn resolve(&self, process: u32, tag: u32) {
        if self.catalog().by_tag.contains_key(&(process, tag)) {
            return;
        }
        let name = tag::name(process, tag);
        let mut catalog = self.catalog();
        catalog.by_tag.insert((process, tag), name);
        catalog.version += 1;
    }
}

#[cfg(test)]
mod tests;
