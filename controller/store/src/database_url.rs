//! Where the database is: `sqlite:PATH` or `postgres://USER@HOST/NAME`. Opens nothing.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;

use crate::Backend;

/// Where the database is. `Display` and `Debug` hide a password.
#[derive(Clone)]
pub struct DatabaseUrl(pub(crate) Place);

#[derive(Clone)]
pub(crate) enum Place {
    Sqlite(PathBuf),
    Postgres(Box<PgConnectOptions>),
}

/// Why a text is not a database URL. Never repeats the text: it may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum InvalidDatabaseUrl {
    /// Another or no scheme.
    #[error("a database URL is sqlite:PATH or postgres://USER:PASSWORD@HOST:PORT/NAME")]
    Scheme,
    /// `sqlite:` without a file.
    #[error("sqlite: needs the path of a file, as in sqlite:/var/lib/tidemark/tidemark.db")]
    NoPath,
    /// `sqlite::memory:` and the like.
    #[error("a database in memory forgets everything at the next start: name a file after sqlite:")]
    InMemory,
    /// `sqlite:PATH?option`.
    #[error("sqlite: takes a path alone, without `?` and options")]
    SqliteOptions,
    /// The driver cannot read it.
    #[error("this postgres:// URL cannot be read")]
    Postgres(#[source] sqlx::Error),
}

impl DatabaseUrl {
    /// The SQLite database in the file `path`.
    #[must_use]
    pub fn sqlite(path: impl AsRef<Path>) -> Self {
        Self(Place::Sqlite(path.as_ref().to_path_buf()))
    }

    /// Which kind of database it is.
    #[must_use]
    pub const fn backend(&self) -> Backend {
        match self.0 {
            Place::Sqlite(_) => Backend::Sqlite,
            Place::Postgres(_) => Backend::Postgres,
        }
    }
}

impl FromStr for DatabaseUrl {
    type Err = InvalidDatabaseUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            let options = text.parse().map_err(InvalidDatabaseUrl::Postgres)?;
            return Ok(Self(Place::Postgres(Box::new(options))));
        }
        let rest = text
            .strip_prefix("sqlite:")
            .ok_or(InvalidDatabaseUrl::Scheme)?;
        let path = rest.strip_prefix("//").unwrap_or(rest);
        if path.is_empty() {
            return Err(InvalidDatabaseUrl::NoPath);
        }
        if path.starts_with(':') {
            return Err(InvalidDatabaseUrl::InMemory);
        }
        if path.contains('?') {
            return Err(InvalidDatabaseUrl::SqliteOptions);
        }
        Ok(Self::sqlite(path))
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Place::Postgres(options) => {
                write!(f, "postgres://{}@", options.get_username())?;
                match options.get_socket() {
                    Some(socket) => write!(f, "{}", socket.display())?,
                    None => write!(f, "{}:{}", options.get_host(), options.get_port())?,
                }
                write!(f, "/{}", options.get_database().unwrap_or_default())
            }
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_with_and_without_slashes() {
        for (text, shown) in [
            ("sqlite:tidemark.db", "sqlite:tidemark.db"),
            ("sqlite:/var/lib/t.db", "sqlite:/var/lib/t.db"),
            ("sqlite:///var/lib/t.db", "sqlite:/var/lib/t.db"),
        ] {
            assert_eq!(text.parse::<DatabaseUrl>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_would_lose_data_or_is_not_understood_is_refused() {
        let refused = |text: &str| text.parse::<DatabaseUrl>().unwrap_err();
        assert!(matches!(refused("mysql://h/d"), InvalidDatabaseUrl::Scheme));
        assert!(matches!(refused("sqlite:"), InvalidDatabaseUrl::NoPath));
        assert!(matches!(
            refused("sqlite::memory:"),
            InvalidDatabaseUrl::InMemory
        ));
        assert!(matches!(
            refused("sqlite:t.db?mode=ro"),
            InvalidDatabaseUrl::SqliteOptions
        ));
        assert!(matches!(
            refused("postgres://h:port/d"),
            InvalidDatabaseUrl::Postgres(_)
        ));
    }

    #[test]
    fn a_password_is_never_shown() {
        let url: DatabaseUrl = "postgres://tide:hunter2@db.example:5433/mark"
            .parse()
            .unwrap();
        assert_eq!(url.to_string(), "postgres://tide@db.example:5433/mark");
        assert!(!format!("{url:?}").contains("hunter2"));
    }
}
