//! Hears what other controllers on the same Postgres did, and does at once what would otherwise wait for the next look at the
//! tables. Behind it the looks go on: news may be missed. On SQLite there is nobody to hear.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tidemark_model::{HostId, HostState};
use tidemark_store::{Backend, Listener, News, StoreError};

use crate::app::App;
use crate::app::identities::profile_of;
use crate::gateway::outcome::chain;
use crate::{budgets, maintain};

/// Between two looks at who is shut out and which hosts have other labels: a revocation holds everywhere within 5 s, also when
/// nobody heard of it, and so does a release, and what a changed label shows to whom.
const LOOK_PERIOD: Duration = Duration::from_secs(4);
/// Before the first try to listen again, and the longest time between two.
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_LAST: Duration = Duration::from_secs(30);
/// Hosts read at once.
const HOSTS_MAX: u32 = 1_000;

/// Runs until the stop.
pub async fn run(app: Arc<App>) {
    if app.store.backend() == Backend::Sqlite {
        return;
    }
    let stop = app.life.stop_token();
    let work = async {
        tokio::join!(listen(&app), look(&app));
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = work => {}
    }
}

async fn listen(app: &App) {
    let mut pause = RETRY_FIRST;
    loop {
        match begin(app).await {
            Ok(Some(listener)) => {
                pause = RETRY_FIRST;
                let lost = hear(app, listener).await;
                tracing::warn!(
                    error = chain(&lost),
                    "news of other controllers are not heard; it is tried again, and their tables are looked at meanwhile"
                );
            }
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(
                    error = chain(&error),
                    "news of other controllers cannot be heard yet"
                );
            }
        }
        app.metrics.news_heard.set(0);
        tokio::time::sleep(pause).await;
        pause = pause.saturating_mul(2).min(RETRY_LAST);
    }
}

/// Listens first, and then takes in what was missed before.
async fn begin(app: &App) -> Result<Option<Listener>, StoreError> {
    let listener = app.store.listen().await?;
    if listener.is_some() {
        app.metrics.news_heard.set(1);
        take_in_hosts(app).await?;
        app.remediation.changed.notify_one();
    }
    Ok(listener)
}

async fn hear(app: &App, mut listener: Listener) -> StoreError {
    loop {
        let news = match listener.next().await {
            Ok(Some(news)) => news,
            Ok(None) => continue,
            Err(error) => return error,
        };
        let taken = match news {
            News::Actions => {
                app.remediation.changed.notify_one();
                Ok(())
            }
            News::Host(host) => app.learn_host(host).await,
            News::Documents => take_in_documents(app).await,
            News::Lease => {
                app.leader.look();
                Ok(())
            }
            News::Incidents(news) => {
                if news.from != app.leader.holder() {
                    let hosts = news.hosts.unwrap_or_else(|| app.live.ids());
                    app.live.hear_of_incidents(&hosts);
                    app.causes_wanted.notify_one();
                }
                Ok(())
            }
            News::Sessions => {
                app.company.told.notify_one();
                Ok(())
            }
        };
        if let Err(error) = taken {
            tracing::warn!(
                error = chain(&error),
                "news of another controller cannot be taken in; the next look will"
            );
        }
    }
}

async fn take_in_documents(app: &App) -> Result<(), StoreError> {
    maintain::refresh(app).await?;
    budgets::refresh(app).await
}

/// Hosts that enrolled at another controller.
async fn take_in_hosts(app: &App) -> Result<(), StoreError> {
    let mut tx = app.store.read().await?;
    tx.hosts_each(|host| {
        if app.live.read(host.id, |_| ()).is_none() {
            app.live.put(profile_of(&host));
        }
    })
    .await
}

async fn look(app: &App) {
    loop {
        tokio::time::sleep(LOOK_PERIOD).await;
        if let Err(error) = hold_standings(app).await {
            tracing::warn!(
                error = chain(&error),
                "who is shut out cannot be read; it is tried again shortly"
            );
        }
        if let Err(error) = hold_labels(app).await {
            tracing::warn!(
                error = chain(&error),
                "which hosts have other labels cannot be read; it is tried again shortly"
            );
        }
    }
}

/// Takes over who was shut out at another controller, and who was let in again.
///
/// # Errors
/// When the database fails.
pub async fn hold_standings(app: &App) -> Result<(), StoreError> {
    // Who is shut out here by now was stored before: one that the database does not have so is let in again.
    let is_apart = |host: &HostId| {
        let standing = app.live.read(*host, |live| live.profile.standing);
        standing.is_some_and(|standing| standing != HostState::Enrolled)
    };
    let mut released: HashSet<HostId> = app.live.ids().into_iter().filter(is_apart).collect();
    let mut after: Option<HostId> = None;
    loop {
        let page = app
            .store
            .read()
            .await?
            .hosts_apart(after, HOSTS_MAX)
            .await?;
        let Some((last, _)) = page.last() else {
            break;
        };
        after = Some(*last);
        for (host, state) in page {
            released.remove(&host);
            app.hold_standing(host, state);
        }
    }
    for host in released {
        app.learn_host(host).await?;
    }
    Ok(())
}

/// Takes over labels that were changed at another controller.
///
/// # Errors
/// When the database fails.
pub async fn hold_labels(app: &App) -> Result<(), StoreError> {
    let mut after: Option<HostId> = None;
    loop {
        let mut tx = app.store.read().await?;
        let page = tx.hosts_relabelled(after, HOSTS_MAX).await?;
        drop(tx);
        let Some((last, _)) = page.last() else {
            return Ok(());
        };
        after = Some(*last);
        for (host, generation) in page {
            let known = app.live.read(host, |live| live.profile.labels_generation);
            if known.is_some_and(|known| known < generation) {
                app.learn_host(host).await?;
            }
        }
    }
}
