//! Maintenance windows: which there are, when each host is in one, whom they silence, and whether ports last until one.
//! What a window is and when, `tidemark-calendar` knows.

mod agenda;
mod book;
mod plan;
pub mod run;
mod survey;

use tidemark_model::window::Occurrence;
use tidemark_model::{HostId, Timestamp};
use tidemark_store::{DocumentKind, StoreError};

pub use agenda::{Agenda, Entry};
pub use book::{Book, Held, WINDOWS_MAX, window_of};
pub use plan::plan;
pub use survey::{Survey, survey};

use crate::app::App;

/// Takes in what the store has, and plans every host if that is something else than before.
///
/// # Errors
/// When the database fails; what was known stays.
pub async fn refresh(app: &App) -> Result<(), StoreError> {
    let mut tx = app.store.read().await?;
    let stored = tx
        .documents_standing(DocumentKind::Window, WINDOWS_MAX)
        .await?;
    drop(tx);
    let known = app.windows.load();
    if !known.is_of(&stored) {
        app.windows.store(std::sync::Arc::new(known.next(stored)));
    }
    plan(app, app.clock.now());
    Ok(())
}

/// The window that counts for all of these hosts: that of the host whose deadline is the last. `None` when one of them has
/// none: nobody may rely on a window for it then.
#[must_use]
pub fn standing_of(app: &App, hosts: &[HostId], now: Timestamp) -> Option<(Entry, Occurrence)> {
    let mut last: Option<(Entry, Occurrence)> = None;
    for host in hosts {
        let one = app.live.read(*host, |live| {
            let standing = live.agenda.standing(now);
            standing.map(|(entry, at)| (entry.clone(), at))
        });
        let one = one.flatten()?;
        let is_later = last
            .as_ref()
            .is_none_or(|(_, at)| at.deadline(now) < one.1.deadline(now));
        if is_later {
            last = Some(one);
        }
    }
    last
}

/// The window that silences incidents on these hosts, and until when: on every host one does, so that nothing is hidden that
/// another host still has.
#[must_use]
pub fn silence_on(app: &App, hosts: &[HostId], now: Timestamp) -> Option<(Entry, Timestamp)> {
    let mut first: Option<(Entry, Timestamp)> = None;
    for host in hosts {
        let one = app.live.read(*host, |live| {
            let silence = live.agenda.silence(now);
            silence.map(|(entry, until)| (entry.clone(), until))
        });
        let one = one.flatten()?;
        if first.as_ref().is_none_or(|(_, until)| one.1 < *until) {
            first = Some(one);
        }
    }
    first
}
