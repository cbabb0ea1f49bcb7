//! The controller's database: one Store over SQLite and Postgres, one file an aggregate.
