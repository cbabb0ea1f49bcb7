//! News between controllers on one Postgres: what a transaction says is heard by every controller once it is committed.
//! SQLite has one controller, which knows what it does. News are hints: whoever misses one finds it in the tables.

use sqlx::postgres::{PgListener, PgPoolOptions};
use tidemark_model::HostId;

use crate::store::Pools;
use crate::tx::statements;
use crate::{Store, StoreError, Tx};

/// What has changed; rows are read anew for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// Actions, or the lockdown.
    Actions,
    /// Applied documents: windows, budgets, policies.
    Documents,
    /// The lease was given back.
    Lease,
    /// A host enrolled, or its standing is another.
    Host(HostId),
    /// Lists of incidents, and what is told with them, have changed.
    Incidents(IncidentNews),
    /// Sessions of hosts, or the list of controllers.
    Sessions,
}

impl News {
    fn to_text(&self) -> String {
        match self {
            Self::Actions => "actions".to_owned(),
            Self::Documents => "documents".to_owned(),
            Self::Lease => "lease".to_owned(),
            Self::Host(host) => format!("host {host}"),
            Self::Incidents(news) => news.to_text(),
            Self::Sessions => "sessions".to_owned(),
        }
    }

    /// `None` for what another release says.
    fn from_text(text: &str) -> Option<Self> {
        match text {
            "actions" => Some(Self::Actions),
            "documents" => Some(Self::Documents),
            "lease" => Some(Self::Lease),
            "sessions" => Some(Self::Sessions),
            other => match other.split_once(' ')? {
                ("host", host) => host.parse().ok().map(Self::Host),
                ("incidents", news) => IncidentNews::from_text(news).map(Self::Incidents),
                _ => None,
            },
        }
    }
}

/// Of which hosts lists of incidents have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncidentNews {
    /// The controller that says so; its own pages know.
    pub from: String,
    /// The hosts, [`IncidentNews::HOSTS_MAX`] at most; `None` where they are more.
    pub hosts: Option<Vec<HostId>>,
}

impl IncidentNews {
    /// Hosts that are told one by one: Postgres takes 8,000 bytes at a time.
    pub const HOSTS_MAX: usize = 100;

    fn to_text(&self) -> String {
        let hosts = match &self.hosts {
            Some(hosts) => hosts.iter().map(HostId::to_string).collect(),
            None => vec!["*".to_owned()],
        };
        format!("incidents {} {}", self.from, hosts.join(" "))
    }

    fn from_text(text: &str) -> Option<Self> {
        let (from, hosts) = text.split_once(' ')?;
        let hosts = match hosts {
            "*" => None,
            hosts => {
                let hosts = hosts.split_whitespace().map(str::parse);
                Some(hosts.collect::<Result<_, _>>().ok()?)
            }
        };
        Some(Self {
            from: from.to_owned(),
            hosts,
        })
    }
}

const CHANNEL: &str = "tidemark_news";

statements! {
    // Told once a transaction, however often it is said.
    TELL = "SELECT CAST(1 AS BIGINT) WHERE $1 IS NOT NULL",
        postgres "SELECT CAST(1 AS BIGINT) FROM (SELECT pg_notify('tidemark_news', $1)) AS told";
}

/// Hears the news of every controller, this one's own among them. It has a connection of its own.
#[derive(Debug)]
pub struct Listener(PgListener);

impl Listener {
    /// The next news; `None` when it is none of this release's. Cancelling it loses nothing.
    ///
    /// # Errors
    /// When the connection is lost: news may have been missed, and another listener is needed.
    pub async fn next(&mut self) -> Result<Option<News>, StoreError> {
        let Some(heard) = self.0.try_recv().await? else {
            return Err(StoreError::Unavailable(sqlx::Error::PoolClosed));
        };
        Ok(News::from_text(heard.payload()))
    }
}

impl Store {
    /// Begins to listen; `None` on SQLite, where nobody else says anything.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn listen(&self) -> Result<Option<Listener>, StoreError> {
        let Pools::Postgres(pool) = &self.pools else {
            return Ok(None);
        };
        // A connection for good, beside those that transactions share.
        let options = pool.connect_options().as_ref().clone();
        let own = PgPoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .connect_with(options)
            .await?;
        let mut listener = PgListener::connect_with(&own).await?;
        // Whoever listens has to know that something was missed.
        listener.eager_reconnect(false);
        listener.listen(CHANNEL).await?;
        Ok(Some(Listener(listener)))
    }
}

impl Tx {
    /// Says that lists of incidents have changed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn incidents_announce(&mut self, news: IncidentNews) -> Result<(), StoreError> {
        self.tell(News::Incidents(news)).await
    }

    /// Says it to every controller, once this is committed.
    pub(crate) async fn tell(&mut self, news: News) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(tx) => {
                let _one: i64 = sqlx::query_scalar(TELL.postgres)
                    .bind(news.to_text())
                    .fetch_one(&mut **tx)
                    .await?;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_are_understood_as_they_were_said() {
        let host = News::Host(HostId::of_identity_spki(&[1]));
        let incidents = |hosts| {
            let from = "web-1/00ff".to_owned();
            News::Incidents(IncidentNews { from, hosts })
        };
        for news in [
            News::Actions,
            News::Documents,
            News::Lease,
            host,
            News::Sessions,
            incidents(Some(vec![HostId::of_identity_spki(&[1]); 2])),
            incidents(Some(vec![])),
            incidents(None),
        ] {
            assert_eq!(News::from_text(&news.to_text()), Some(news));
        }
        for other in [
            "",
            "host ",
            "host x",
            "weather",
            "incidents a",
            "incidents a x",
        ] {
            assert_eq!(News::from_text(other), None, "{other}");
        }
    }
}
