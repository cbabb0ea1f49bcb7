//! All windows, as they were last read from the store.

use std::sync::Arc;

use tidemark_calendar::Window;
use tidemark_model::Timestamp;
use tidemark_store::StoredWindow;

/// Windows that a controller keeps.
pub const WINDOWS_MAX: u32 = 500;

/// A window as it stands.
#[derive(Clone, Debug)]
pub struct Held {
    /// What it is.
    pub window: Arc<Window>,
    /// Its version.
    pub version: u64,
    /// When that was applied.
    pub applied_at: Timestamp,
    /// By whom.
    pub applied_by: String,
}

/// All windows, by name.
#[derive(Clone, Debug, Default)]
pub struct Book {
    /// The windows.
    pub windows: Vec<Held>,
    /// Changes with them.
    pub(super) edition: u64,
    /// Names and versions of what was read, with what this release cannot read.
    read: Vec<(String, u64)>,
}

impl Book {
    /// Whether it was made of these.
    pub(super) fn is_of(&self, stored: &[StoredWindow]) -> bool {
        let names = stored
            .iter()
            .map(|one| (one.spec.name.as_str(), one.version));
        names.eq(self
            .read
            .iter()
            .map(|(name, version)| (name.as_str(), *version)))
    }

    /// The book that follows this one.
    pub(super) fn next(&self, stored: Vec<StoredWindow>) -> Self {
        let read = stored
            .iter()
            .map(|one| (one.spec.name.clone(), one.version));
        let read = read.collect();
        let windows = stored.into_iter().filter_map(|stored| {
            let name = stored.spec.name.clone();
            match Window::read(stored.spec) {
                Ok(window) => Some(Held {
                    window: Arc::new(window),
                    version: stored.version,
                    applied_at: stored.applied_at,
                    applied_by: stored.applied_by,
                }),
                Err(error) => {
                    tracing::error!(window = name, %error, "a stored window cannot be read, and never comes");
                    None
                }
            }
        });
        Self {
            windows: windows.collect(),
            edition: self.edition.saturating_add(1),
            read,
        }
    }

    /// The window of that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Held> {
        self.windows.iter().find(|held| held.window.name() == name)
    }
}
