//! Watch groups: named sets of remote ports whose connections are counted per host.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A named set of remote ports, counted in each sample.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchGroup {
    /// Short name, 1 to 32 characters of `a-z 0-9 - _`.
    pub name: Arc<str>,
    /// Remote TCP ports that belong to the group, 1 to 64 of them.
    pub remote_ports: Vec<u16>,
}

impl WatchGroup {
    /// The groups that ship: SMTP, SQL (SQL Server, MySQL, PostgreSQL), LDAP with the global catalogue, HTTP(S).
    #[must_use]
    pub fn shipped() -> Vec<Self> {
        let group = |name: &str, ports: &[u16]| Self {
            name: Arc::from(name),
            remote_ports: ports.to_vec(),
        };
        vec![
            group("smtp", &[25, 465, 587]),
            group("sql", &[1433, 3306, 5432]),
            group("ldap", &[389, 636, 3268]),
            group("http", &[80, 443]),
        ]
    }
}
