//! What hosts say of their upgrades, and the pieces that they ask for.

use tidemark_model::release::PIECE_BYTES_MAX;
use tidemark_model::upgrade::{HostNews, HostStage, UpgradeReport};
use tidemark_model::{HostId, SessionId};
use tidemark_proto::convert::upgrade::{Piece, PieceWanted};
use tidemark_store::{StoreError, Tx, UpgradeHost};

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
    let now = app.clock.now();
    let mut tx = app.store.read().await?;
    let told = UpgradeReport {
        running: report.running.filter(|release| *release > 0),
        seen: report.seen,
        floor: report.floor,
        unable: report.unable.as_deref().map(clean),
        news: None,
    };
    let is_new = tx.upgrade_report(host).await?.as_ref() != Some(&told);
    let news = report.news.as_ref();
    let is_moved = moved_by(&mut tx, host, news).await?.is_some();
    drop(tx);
    // The one writer is asked only when something is another than before.
    if is_new || is_moved {
        let mut tx = app.store.begin().await?;
        tx.upgrade_report_put(host, now, &told).await?;
        // Since the look the driver may have noted that it offered what the host answers.
        if let Some(Moved { upgrade, from, to }) = moved_by(&mut tx, host, news).await? {
            let after = UpgradeHost { since: now, ..to };
            if !tx.upgrade_host_update(upgrade, from, &after).await? {
                return Err(StoreError::Stale { what: "upgrade" });
            }
        }
        tx.commit().await?;
    }
    if is_new {
        app.live.announce_upgrades();
    }
    app.upgrades.note(host, session, report);
    app.upgrades.changed.notify_one();
    Ok(())
}

/// A host that is further than it was.
struct Moved {
    upgrade: i64,
    from: HostStage,
    to: UpgradeHost,
}

async fn moved_by(
    tx: &mut Tx,
    host: HostId,
    news: Option<&HostNews>,
) -> Result<Option<Moved>, StoreError> {
    let Some(news) = news else {
        return Ok(None);
    };
    let newest = tx.upgrades_page(1).await?;
    // One that was stopped is told of the hosts that had begun, too.
    let Some(upgrade) = newest.first().filter(|one| one.manifest == news.manifest) else {
        return Ok(None);
    };
    let found = tx.upgrade_host_find(upgrade.number, host).await?;
    let found = found.filter(|found| may_follow(found.stage, news.stage));
    Ok(found.map(|found| Moved {
        upgrade: upgrade.number,
        from: found.stage,
        to: UpgradeHost {
            stage: news.stage,
            text: clean(&news.text),
            ..found
        },
    }))
}

/// A host goes forward; of one that was given up for silent the end is taken that it comes to in the end.
fn may_follow(before: HostStage, told: HostStage) -> bool {
    match before {
        HostStage::Waiting
        | HostStage::Offered
        | HostStage::Downloading
        | HostStage::Staged
        | HostStage::Switched => before != told,
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
                assert!(!may_follow(ended, *told));
            }
        }
    }
}
