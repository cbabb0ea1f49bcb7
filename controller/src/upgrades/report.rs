//! What hosts say of their upgrades, and the pieces that they ask for.

use tidemark_model::release::PIECE_BYTES_MAX;
use tidemark_model::upgrade::{HostNews, HostStage, UpgradeReport};
use tidemark_model::{HostId, SessionId};
use tidemark_proto::convert::upgrade::{Piece, PieceWanted};
use tidemark_store::{StoreError, Upgrade, UpgradeHost};

use crate::app::App;
use crate::incidents::text::clean;

/// Takes what a host says of its program.
///
/// # Errors
/// When the database fails.
pub async fn take_report(
    app: &App,
    (host, session): (HostId, SessionId),
    report: UpgradeReport,
) -> Result<(), StoreError> {
    let news = report.news.clone();
    app.upgrades.note(host, session, report);
    app.upgrades.changed.notify_one();
    let Some(news) = news else {
        return Ok(());
    };
    let open = app.store.read().await?.upgrades_page(1).await?;
    // One that was stopped is told of the hosts that had begun, too.
    match open.first().filter(|one| one.manifest == news.manifest) {
        Some(upgrade) => take_news(app, upgrade, host, news).await,
        None => Ok(()),
    }
}

async fn take_news(
    app: &App,
    upgrade: &Upgrade,
    host: HostId,
    news: HostNews,
) -> Result<(), StoreError> {
    let mut tx = app.store.begin().await?;
    let hosts = tx.upgrade_hosts(upgrade.number).await?;
    let Some(found) = hosts.into_iter().find(|one| one.host == host) else {
        return Ok(());
    };
    if !may_follow(found.stage, news.stage) {
        return Ok(());
    }
    let before = found.stage;
    let told = UpgradeHost {
        stage: news.stage,
        since: app.clock.now(),
        text: clean(&news.text),
        ..found
    };
    tx.upgrade_host_update(upgrade.number, before, &told)
        .await?;
    tx.commit().await?;
    Ok(())
}

/// A host goes forward; of one that was given up for silent the end is taken that it comes to in the end.
const fn may_follow(before: HostStage, told: HostStage) -> bool {
    match before {
        HostStage::Waiting
        | HostStage::Offered
        | HostStage::Downloading
        | HostStage::Staged
        | HostStage::Switched => before as u8 != told as u8,
        HostStage::Overdue | HostStage::Missed => {
            matches!(told, HostStage::Healthy | HostStage::RolledBack)
        }
        HostStage::Healthy | HostStage::RolledBack | HostStage::Refused | HostStage::Left => false,
    }
}

/// A piece of a file, as much of it as is asked for and there; empty when there is none.
///
/// # Errors
/// When the database fails.
pub async fn piece(app: &App, wanted: PieceWanted) -> Result<Piece, StoreError> {
    let size = u64::from(PIECE_BYTES_MAX);
    // It is closed by nobody.
    let _place = app.upgrades.piece_places.acquire().await.ok();
    let mut tx = app.store.read().await?;
    let stored = tx
        .release_piece(wanted.sha256, wanted.offset / size)
        .await?
        .unwrap_or_default();
    app.metrics.release_pieces_sent.add(1);
    let from = usize::try_from(wanted.offset % size).unwrap_or(usize::MAX);
    let length = usize::try_from(wanted.length).unwrap_or(usize::MAX);
    let bytes = stored.into_iter().skip(from).take(length).collect();
    Ok(Piece {
        sha256: wanted.sha256,
        offset: wanted.offset,
        bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_has_ended_is_not_taken_back_by_a_late_word() {
        use HostStage::{Downloading, Healthy, Left, Offered, Overdue, RolledBack, Switched};
        assert!(may_follow(Offered, Downloading));
        assert!(may_follow(Offered, Healthy));
        assert!(
            !may_follow(Downloading, Downloading),
            "its deadline does not begin anew"
        );
        assert!(may_follow(Overdue, Healthy));
        assert!(!may_follow(Overdue, Switched));
        for ended in [Healthy, RolledBack, Left] {
            for told in HostStage::ALL {
                assert!(!may_follow(ended, told));
            }
        }
    }
}
