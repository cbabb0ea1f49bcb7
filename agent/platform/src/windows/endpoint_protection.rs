//! Products for endpoint protection on this host: keys of their services and drivers, and their processes.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use super::registry_read;
use crate::audit_facts::FactList;
use crate::endpoint_protection::{Found, tell};
use crate::windows_data::{image_path, version_resource};

const SERVICES: &str = r"SYSTEM\CurrentControlSet\Services";

/// Adds what is found. `windows` is the folder of Windows.
pub(super) fn read(facts: &mut FactList, windows: &Path) {
    let running = super::process::names();
    tell(facts, |product| {
        let service = product
            .services
            .iter()
            .find_map(|name| file_of(name, windows));
        let runs = |running: &BTreeSet<String>| {
            let mut images = product.images.iter();
            images.any(|image| running.contains(&image.to_ascii_lowercase()))
        };
        Found {
            is_installed: service.is_some(),
            is_running: running.as_ref().ok().map(runs),
            version: service.and_then(|path| version_of(&path)),
        }
    });
}

/// The file of a service or driver; empty where its key names none, `None` where there is no such key.
fn file_of(service: &str, windows: &Path) -> Option<String> {
    let key = format!(r"{SERVICES}\{service}");
    // Every service and driver has a type.
    registry_read::number(&key, "Type").ok()??;
    let stated = registry_read::text(&key, "ImagePath").ok().flatten();
    let path = stated.and_then(|stated| image_path::file_in(&stated, &windows.to_string_lossy()));
    Some(path.unwrap_or_default())
}

/// The version that a product's file states, or why that is not known.
fn version_of(path: &str) -> Option<Result<String, String>> {
    if path.is_empty() {
        return None;
    }
    match File::open(path).and_then(version_resource::in_image) {
        Ok(version) => version.map(Ok),
        Err(error) => Some(Err(format!("its file cannot be read: {error}"))),
    }
}
