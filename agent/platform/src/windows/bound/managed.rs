//! Bound sockets as WMI tells them: all processes' and since when, for some seconds of work.

use std::io;

use serde::Deserialize;

use super::super::management::{self, ENDPOINTS};
use crate::SocketRow;
use crate::windows_data::bound_row::{self, ManagedEndpoint};

/// State 100 is `MIB_TCP_STATE_RESERVED`, which the system calls bound.
const QUERY: &str = "SELECT LocalAddress, LocalPort, OwningProcess, CreationTime FROM MSFT_NetTCPConnection WHERE State = 100";
/// A host cannot have more: 65,536 ports over v4 and v6.
const ENDPOINTS_MAX: usize = 131_072;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Endpoint {
    local_address: Option<String>,
    local_port: Option<u16>,
    owning_process: Option<u32>,
    creation_time: Option<String>,
}

/// The bound sockets of all processes.
///
/// # Errors
/// When WMI refuses or does not answer in time.
pub(super) fn list() -> io::Result<Vec<SocketRow>> {
    let endpoints = management::query::<Endpoint>(&ENDPOINTS, QUERY)?;
    let rows = endpoints.into_iter().take(ENDPOINTS_MAX);
    Ok(rows
        .filter_map(|endpoint| {
            bound_row::row(&ManagedEndpoint {
                local_address: endpoint.local_address,
                local_port: endpoint.local_port,
                owning_process: endpoint.owning_process,
                creation_time: endpoint.creation_time,
            })
        })
        .collect())
}
