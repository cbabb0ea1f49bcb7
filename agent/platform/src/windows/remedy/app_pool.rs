//! Application pools of IIS, through its own `appcmd`.

use std::io;

use crate::remedy_facts::RemedyError;
use crate::windows::program;
use crate::windows_data::app_pool::state_in;

const APPCMD: &str = r"inetsrv\appcmd.exe";
const STARTED: &str = "Started";

/// How a pool stands, as IIS says it.
///
/// # Errors
/// [`RemedyError::Unsupported`] on a host without IIS; [`RemedyError::NoSuchTarget`] when it has no such pool;
/// [`RemedyError::Unsafe`] when the pool does not run: recycling would not start it.
pub fn look(name: &str) -> Result<String, RemedyError> {
    // A pool that is not there is an answer without one, and an exit code of 1 on some versions.
    let printed = match program::output_of(APPCMD, &["list", "apppool", name, "/xml"]) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(RemedyError::Unsupported(
                "the host has no IIS: inetsrv\\appcmd.exe is not there".to_owned(),
            ));
        }
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            return Err(RemedyError::Failed(format!("IIS does not answer: {error}")));
        }
        printed => printed.unwrap_or_default(),
    };
    let state = state_in(&String::from_utf8_lossy(&printed), name);
    match state {
        None => Err(RemedyError::NoSuchTarget(format!(
            "IIS has no application pool {name}; `appcmd list apppool` lists them"
        ))),
        Some(state) if state != STARTED => Err(RemedyError::Unsafe(format!(
            "the application pool {name} is {state}: start it instead"
        ))),
        Some(state) => Ok(state),
    }
}

/// Has IIS start a new worker process for a pool; the old one ends within its `shutdownTimeLimit`, 90 s as shipped.
///
/// # Errors
/// What IIS says.
pub fn recycle(name: &str) -> Result<(), RemedyError> {
    let pool = format!("/apppool.name:{name}");
    program::output_of(APPCMD, &["recycle", "apppool", &pool])
        .map(drop)
        .map_err(|error| RemedyError::Failed(format!("IIS does not recycle {name}: {error}")))?;
    look(name).map(drop)
}
