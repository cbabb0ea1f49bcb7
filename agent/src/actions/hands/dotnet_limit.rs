//! `set_dotnet_connection_limit`: of every framework that the host has, with the files as they were kept beside them.

use tidemark_platform::remedy::dotnet;

use super::deed::{Deed, Halt};

pub(super) fn set(deed: &mut Deed<'_>, connections: u32) -> Result<(), Halt> {
    let limits = dotnet::limits()?;
    for limit in &limits {
        let before = limit.before.map(|before| before.to_string());
        deed.plan_change(&limit.file, before, Some(connections.to_string()));
    }
    deed.begin()?;
    for limit in &limits {
        let written = dotnet::set_limit(limit, connections);
        let what = format!("set the limit in {}", limit.file);
        deed.tried(&what, written, |()| {
            "applications of ASP.NET start anew".to_owned()
        })?;
    }
    Ok(())
}
