//! Shows live views what other controllers noted.

use std::sync::Arc;

use tidemark_store::{NoticeQuery, NoticeStart, StoreError};

use crate::app::App;

/// Notices read at once.
const PAGE: u32 = 1_000;
/// A commit that took longer than another one may bring numbers that are so much lower than what was read.
const OVERLAP: i64 = 1_000;
/// Looks without anything new after which no such commit is under way any more.
const QUIET_MAX: u32 = 10;

/// How far the notices were read.
#[derive(Debug, Default)]
pub(super) struct Notices {
    /// The newest one when the first look was made, and at the last look.
    read: Option<(i64, i64)>,
    quiet: u32,
}

impl Notices {
    /// Announces what came since the last look; what this controller noted itself was announced before.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn look(&mut self, app: &App) -> Result<(), StoreError> {
        let Some((first, last)) = self.read else {
            let newest = page(app, NoticeStart::Newest, 1).await?;
            let newest = newest.first().map_or(0, |notice| notice.id);
            self.read = Some((newest, newest));
            return Ok(());
        };
        let overlap = if self.quiet < QUIET_MAX { OVERLAP } else { 0 };
        let mut after = last.saturating_sub(overlap).max(first);
        loop {
            let notices = page(app, NoticeStart::After(after), PAGE).await?;
            let is_last = notices.len() < PAGE as usize;
            for notice in notices {
                after = notice.id;
                app.live.announce(Arc::new(notice));
            }
            if is_last {
                break;
            }
        }
        self.quiet = if after > last {
            0
        } else {
            self.quiet.saturating_add(1)
        };
        self.read = Some((first, after.max(last)));
        Ok(())
    }
}

async fn page(
    app: &App,
    start: NoticeStart,
    limit: u32,
) -> Result<Vec<tidemark_model::notice::Notice>, StoreError> {
    let query = NoticeQuery {
        start,
        host: None,
        kind: None,
        since: None,
        limit,
    };
    app.store.read().await?.notices_page(&query).await
}
