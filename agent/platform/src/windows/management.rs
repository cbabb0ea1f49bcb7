//! Questions to WMI, which takes seconds and hangs when the host is sick.

use std::io;
use std::time::Duration;

use serde::de::DeserializeOwned;
use wmi::WMIConnection;

use super::component::Membership;
use super::patience::Patience;

/// Where networking is told about, from Windows 8 and Server 2012 on.
pub(super) const NETWORKING: &str = r"ROOT\StandardCimv2";

/// Settings: a handful of instances.
pub(super) static SETTINGS: Patience = Patience::new("WMI", Duration::from_secs(5), 2);
/// Endpoints: seconds for some thousand of them.
pub(super) static ENDPOINTS: Patience = Patience::new("WMI", Duration::from_secs(30), 1);

/// The answer to a WQL `query` about networking.
///
/// # Errors
/// When WMI refuses, does not answer in time, or has left earlier questions unanswered.
pub(super) fn query<T>(patience: &'static Patience, query: &'static str) -> io::Result<Vec<T>>
where
    T: DeserializeOwned + Send + 'static,
{
    patience.ask(move || {
        // It outlives the connection.
        let _component = Membership::join()?;
        WMIConnection::with_namespace_path(NETWORKING)
            .and_then(|connection| connection.raw_query(query))
            .map_err(io::Error::other)
    })
}
