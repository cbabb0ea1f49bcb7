//! Limits of .NET's connection pools: `machine.config` of each framework, and its switch for reusing ports.

use tidemark_model::audit::{FactName, FactState};

use super::super::registry_read;
use super::{file, windows_folder};
use crate::audit_facts::{FactList, flag, number, unknown};
use crate::windows_data::machine_config;

const FRAMEWORKS: [(&str, &str); 2] = [
    ("Framework", r"SOFTWARE\Wow6432Node\Microsoft\.NETFramework"),
    ("Framework64", r"SOFTWARE\Microsoft\.NETFramework"),
];
const VERSIONS: [&str; 2] = ["v2.0.50727", "v4.0.30319"];

pub(super) fn read(facts: &mut FactList) {
    for (framework, key) in FRAMEWORKS {
        for version in VERSIONS {
            let item = format!("{framework} {version}");
            if limits(facts, framework, version, &item) {
                let key = format!(r"{key}\{version}");
                let reuse = match registry_read::number(&key, "HWRPortReuseOnSocketBind") {
                    Ok(found) => flag(found.map(|found| found != 0)),
                    Err(error) => unknown(&error),
                };
                facts.set_of(FactName::DotNetPortReuse, &item, reuse);
            }
        }
    }
}

/// Adds the limits of a framework; says whether it is there.
fn limits(facts: &mut FactList, framework: &str, version: &str, item: &str) -> bool {
    let path = windows_folder()
        .join("Microsoft.NET")
        .join(framework)
        .join(version)
        .join(r"Config\machine.config");
    let every_address = format!("{item} *");
    let name = FactName::DotNetMaxConnections;
    let bytes = match file(&path) {
        Ok(None) => return false,
        Ok(Some(bytes)) => bytes,
        Err(error) => {
            facts.set_of(name, &every_address, unknown(&error));
            return true;
        }
    };
    match machine_config::connection_limits(&bytes) {
        Ok(limits) => {
            for limit in &limits {
                let connections = number(Some(limit.connections.into()));
                facts.set_of(name, &format!("{item} {}", limit.address), connections);
            }
            if limits.iter().all(|limit| limit.address != "*") {
                facts.set_of(name, &every_address, FactState::Absent);
            }
        }
        Err(error) => facts.set_of(name, &every_address, unknown(&error)),
    }
    true
}
