//! Folders that a service trusts: nobody but the system and its administrators may have had a hand in them.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};
use tidemark_platform::{folders, private};

/// Makes `folder` if it is not there, and refuses one that others may enter, that is a link, or that lies in a folder of
/// the agent's that is.
pub(super) fn make(folder: &Path) -> anyhow::Result<()> {
    private::make_folder(folder)
        .with_context(|| format!("the folder {} cannot be made", folder.display()))?;
    let product = folders::product();
    let ours = product.as_deref().unwrap_or(folder);
    let above = folder
        .ancestors()
        .skip(1)
        .take_while(|above| above.starts_with(ours));
    std::iter::once(folder).chain(above).try_for_each(check)
}

fn check(folder: &Path) -> anyhow::Result<()> {
    let asked = || format!("it is unknown who may enter {}", folder.display());
    if fs::symlink_metadata(folder)
        .with_context(asked)?
        .is_symlink()
    {
        bail!(
            "{} is a link to another folder: remove it, or set another folder",
            folder.display()
        );
    }
    if let Some(exposure) = private::exposure(folder).with_context(asked)? {
        bail!(
            "the folder {} is open to other users ({exposure}): {}",
            folder.display(),
            private::REMEDY
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_made_private_and_a_link_to_it_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("a/state");
        make(&folder).unwrap();
        make(&folder).unwrap();
        let link = place.path().join("link");
        #[cfg(unix)]
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        let error = make(&link).unwrap_err().to_string();
        assert!(error.contains("is a link"), "{error}");
    }
}
