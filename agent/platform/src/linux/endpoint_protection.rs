//! Products for endpoint protection on this host: their files, their processes, and what dpkg knows of their packages.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::dpkg::Dpkg;
use super::elf_notes;
use super::process::{Processes, SHORT_NAME_BYTES_MAX};
use crate::ReadError;
use crate::audit_facts::FactList;
use crate::endpoint_protection::{Found, PRODUCTS, Product, tell};

/// Adds what is found.
///
/// # Errors
/// When processes cannot be listed.
pub(super) fn read(facts: &mut FactList) -> Result<(), ReadError> {
    let host = Host {
        packages: packages(),
        processes: running()?,
    };
    tell(facts, |product| host.find(product));
    Ok(())
}

/// What is looked up once for all products.
struct Host {
    /// Versions of packages that are installed; an error where they cannot be read.
    packages: Result<BTreeMap<String, String>, String>,
    /// A process of each short name.
    processes: BTreeMap<String, u32>,
}

impl Host {
    fn find(&self, product: &Product) -> Found {
        let process = product
            .processes
            .iter()
            .find_map(|name| self.processes.get(cut(name)).copied());
        let package = product
            .packages
            .iter()
            .find_map(|name| self.packages.as_ref().ok()?.get(*name));
        let has_file = product.files.iter().any(|file| fs::metadata(file).is_ok());
        let version = package.cloned().or_else(|| stamped_version(process?));
        let version = match (&self.packages, version) {
            (_, Some(version)) => Some(Ok(version)),
            (Err(reason), None) if !product.packages.is_empty() => Some(Err(reason.clone())),
            (Ok(_) | Err(_), None) => None,
        };
        Found {
            is_installed: has_file || package.is_some(),
            is_running: (!product.processes.is_empty()).then_some(process.is_some()),
            version,
        }
    }
}

fn packages() -> Result<BTreeMap<String, String>, String> {
    let names: Vec<&str> = PRODUCTS
        .iter()
        .flat_map(|product| product.packages)
        .copied()
        .collect();
    match Dpkg::of_system() {
        Some(dpkg) => dpkg
            .versions(&names)
            .map_err(|error| format!("dpkg's list cannot be read: {error}")),
        None => Ok(BTreeMap::new()),
    }
}

/// Version that the distribution stamped on what a process runs.
fn stamped_version(process: u32) -> Option<String> {
    let file = fs::File::open(format!("/proc/{process}/exe")).ok()?;
    elf_notes::read(file).ok()?.package_version
}

fn running() -> Result<BTreeMap<String, u32>, ReadError> {
    let wanted: BTreeSet<&str> = PRODUCTS
        .iter()
        .flat_map(|product| product.processes)
        .map(|name| cut(name))
        .collect();
    let mut processes = Processes::open()?;
    let mut numbers = Vec::new();
    processes.list(|process| numbers.push(process))?;
    let mut found = BTreeMap::new();
    for number in numbers {
        if let Some(name) = processes.short_name(number)
            && wanted.contains(&*name)
        {
            found.insert(name, number);
        }
    }
    Ok(found)
}

/// A name as long as the kernel keeps it.
fn cut(name: &str) -> &str {
    name.get(..SHORT_NAME_BYTES_MAX).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(name: &str) -> &'static Product {
        PRODUCTS
            .iter()
            .find(|product| product.name == name)
            .unwrap()
    }

    #[test]
    fn a_product_is_found_by_its_package_or_by_a_process_whose_name_the_kernel_cut() {
        let host = Host {
            packages: Ok([("mdatp".to_owned(), "101.24".to_owned())].into()),
            // No process of that number is ever there.
            processes: [("falcon-sensor-b".to_owned(), u32::MAX)].into(),
        };
        let falcon = host.find(product("CrowdStrike Falcon"));
        assert_eq!((falcon.is_running, falcon.version), (Some(true), None));
        let defender = host.find(product("Microsoft Defender for Endpoint"));
        assert_eq!(
            (defender.is_installed, defender.is_running),
            (true, Some(false))
        );
        assert_eq!(defender.version, Some(Ok("101.24".to_owned())));
        let cylance = host.find(product("Cylance"));
        assert_eq!(
            (cylance.is_installed, cylance.is_running),
            (false, Some(false))
        );
    }
}
