//! All windows, as they were last read from the store.

use std::sync::Arc;

use tidemark_calendar::Window;
use tidemark_model::Timestamp;
use tidemark_store::DocumentVersion;

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
    pub(super) fn is_of(&self, stored: &[DocumentVersion]) -> bool {
        let names = stored.iter().map(|one| (one.name.as_str(), one.version));
        names.eq(self
            .read
            .iter()
            .map(|(name, version)| (name.as_str(), *version)))
    }

    /// The book that follows this one.
    pub(super) fn next(&self, stored: Vec<DocumentVersion>) -> Self {
        let read = stored.iter().map(|one| (one.name.clone(), one.version));
        let read = read.collect();
        let windows = stored.into_iter().filter_map(|stored| {
            Some(Held {
                window: Arc::new(window_of(&stored)?),
                version: stored.version,
                applied_at: stored.at,
                applied_by: stored.author,
            })
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

/// What a version says; `None` for a deletion, and for one that this release cannot read.
#[must_use]
pub fn window_of(version: &DocumentVersion) -> Option<Window> {
    let spec = serde_json::from_str(version.body.as_deref()?);
    let window = spec
        .map_err(|error| error.to_string())
        .and_then(|spec| Window::read(spec).map_err(|error| error.to_string()));
    window
        .inspect_err(|error| {
            tracing::error!(
                window = version.name,
                version = version.version,
                error,
                "a stored window cannot be read, and never comes; apply it again"
            );
        })
        .ok()
}
