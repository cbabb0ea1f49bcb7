//! Operators' keys as the command line keeps them on the test's machine, all under one passphrase.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::Context as _;
use tidemark_model::signing::PublicKey;

use super::{Controller, Machine};

/// The keys' passphrase, in a file.
#[derive(Clone, Debug)]
pub struct Keyring {
    file: String,
}

impl Keyring {
    /// Writes the passphrase.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(machine: &Machine) -> anyhow::Result<Self> {
        let file = machine.folder().join("passphrase");
        fs::write(&file, "correct horse battery staple\n")?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
        Ok(Self {
            file: file.display().to_string(),
        })
    }

    /// Where the passphrase is, for flags that read it.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Makes a key of that name.
    ///
    /// # Errors
    /// When the command line does not.
    pub async fn make(&self, controller: &Controller, name: &str) -> anyhow::Result<PublicKey> {
        let words = ["key", "new", name, "--passphrase-file", &self.file];
        let made: serde_json::Value = controller.cli_json(&words).await?;
        Ok(made["public"].as_str().context("a public key")?.parse()?)
    }

    /// A command that signs without asking; what it says.
    ///
    /// # Errors
    /// When it fails.
    pub async fn sign(&self, controller: &Controller, words: &[&str]) -> anyhow::Result<String> {
        let more = ["--yes", "--passphrase-file", &self.file];
        controller.cli(&[words, &more].concat()).await?.succeeded()
    }
}

/// The lines of a host's policy that list a key.
#[must_use]
pub fn listed(name: &str, public: &PublicKey, tier_max: u8) -> String {
    format!("[[key]]\nname = \"{name}\"\npublic = \"{public}\"\ntier_max = {tier_max}\n")
}
