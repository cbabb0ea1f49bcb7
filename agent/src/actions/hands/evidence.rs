//! `collect_evidence`: what the doctor would see, as a ZIP in the agent's folder, the oldest going first.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidemark_platform::private;

use super::deed::{Deed, Halt};
use crate::archive;
use crate::doctor::{Watch, evidence_parts, watch};
use crate::session::chain;

/// How many are kept.
const KEPT_MAX: usize = 20;

pub(super) fn collect(deed: &mut Deed<'_>, seconds: u32) -> Result<(), Halt> {
    let folder = deed.hands.folder.join("evidence");
    let path = folder.join(format!("{}.zip", deed.order.id));
    deed.plan_step("write evidence", &path.display().to_string());
    deed.begin()?;
    private::make_folder(&folder).map_err(|error| failed(&error))?;
    let settings = Watch {
        time: Duration::from_secs(u64::from(seconds)),
        collect: deed.hands.collect.clone(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .build()
        .map_err(|error| failed(&error))?;
    let looked = runtime
        .block_on(watch(settings, |_| {}))
        .map_err(|error| failed(&error))?;
    let parts = evidence_parts(looked).map_err(|error| failed(&error))?;
    archive::write(&path, &parts).map_err(|error| failed(&error))?;
    forget_oldest(&folder);
    deed.done("write evidence", &path.display().to_string());
    Ok(())
}

fn failed(error: &dyn std::error::Error) -> Halt {
    Halt::Failed(format!("the evidence cannot be had: {}", chain(error)))
}

/// What cannot be removed is tried again with the next.
fn forget_oldest(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    let mut files: Vec<(std::time::SystemTime, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    files.sort();
    let surplus = files.len().saturating_sub(KEPT_MAX);
    for (_, path) in files.into_iter().take(surplus) {
        fs::remove_file(path).ok();
    }
}
