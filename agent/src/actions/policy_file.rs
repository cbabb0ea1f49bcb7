//! The host's policy file: read anew whenever it is asked for, so that a change holds at once, and believed only when
//! nobody but the host's administrators can have written it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use tidemark_agent_core::actions::HostPolicy;
use tidemark_model::action::{HostPolicyView, Profile};
use tidemark_platform::private;

use super::keys::KeyFile;
use crate::config::AgentConfig;
use crate::session::chain;

/// Where the policy is, and what holds without one.
#[derive(Clone, Debug)]
pub(crate) struct PolicyFile {
    /// The file; it need not be there.
    pub(crate) path: PathBuf,
    /// The profile of the configuration: it holds when there is no file, or the file names none.
    pub(crate) profile: Profile,
    /// What operators' statements changed about its keys.
    pub(crate) keys: KeyFile,
}

/// The policy as it stands at one moment.
#[derive(Clone, Debug)]
pub(crate) struct ReadPolicy {
    /// The policy, or why there is none that can be used: then everything is refused.
    pub(crate) policy: Result<HostPolicy, String>,
    /// SHA-256 of the file, hexadecimal; empty when there is none.
    pub(crate) digest: String,
}

impl PolicyFile {
    /// The policy at `path`, of an agent whose folder this is.
    pub(crate) fn at(path: PathBuf, profile: Profile, folder: &Path) -> Self {
        Self {
            path,
            profile,
            keys: KeyFile::in_folder(folder),
        }
    }

    /// That of a configuration.
    pub(crate) fn of(config: &AgentConfig) -> Self {
        Self::at(config.policy_file.clone(), config.profile, &config.data_dir)
    }

    /// Reads the policy, with the keys that hold at the moment.
    pub(crate) fn read(&self) -> ReadPolicy {
        let ReadPolicy { policy, digest } = self.read_file();
        ReadPolicy {
            policy: policy.and_then(|policy| self.with_keys(policy)),
            digest,
        }
    }

    /// A policy that lists no keys has none that anything became of.
    fn with_keys(&self, policy: HostPolicy) -> Result<HostPolicy, String> {
        if policy.listed_keys().is_empty() {
            return Ok(policy);
        }
        Ok(policy.with_changes(&self.keys.read()?))
    }

    fn read_file(&self) -> ReadPolicy {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return ReadPolicy {
                    policy: Ok(HostPolicy::of_profile(self.profile)),
                    digest: String::new(),
                };
            }
            Err(error) => {
                return ReadPolicy {
                    policy: Err(format!("{} cannot be read: {error}", self.path.display())),
                    digest: String::new(),
                };
            }
        };
        ReadPolicy {
            policy: trusted(&self.path).and_then(|()| parse(&text, self.profile)),
            digest: HEXLOWER.encode(&Sha256::digest(&text)),
        }
    }
}

impl ReadPolicy {
    /// What others are told.
    pub(crate) fn view(&self, lockdown: bool) -> HostPolicyView {
        match &self.policy {
            Ok(policy) => policy.view(lockdown, self.digest.clone()),
            Err(why) => HostPolicyView {
                profile: None,
                unusable: Some(why.clone()),
                allowed: Vec::new(),
                keys: Vec::new(),
                lockdown,
                digest: self.digest.clone(),
                all_keys: Vec::new(),
                refused_statements: Vec::new(),
                undoes: true,
                grants: Vec::new(),
            },
        }
    }
}

fn trusted(path: &Path) -> Result<(), String> {
    match private::meddlers(path) {
        Ok(None) => Ok(()),
        Ok(Some(exposure)) => Err(format!(
            "others than the host's administrators may write it ({exposure}): let only them"
        )),
        Err(error) => Err(format!("it is unknown who may write it: {}", chain(&error))),
    }
}

fn parse(text: &[u8], profile: Profile) -> Result<HostPolicy, String> {
    let text = std::str::from_utf8(text).map_err(|_| "it is not UTF-8 text".to_owned())?;
    HostPolicy::parse(text, profile).map_err(|error| error.to_string())
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_change_of_the_file_holds_at_once_and_a_file_that_others_may_write_never() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.toml");
        let file = PolicyFile::at(path, Profile::Safe, folder.path());
        let profile = || file.read().policy.map(|policy| policy.profile);
        assert_eq!(profile(), Ok(Profile::Safe));
        fs::write(&file.path, "profile = \"observe\"").unwrap();
        assert_eq!(profile(), Ok(Profile::Observe));
        assert_eq!(file.read().view(false).digest.len(), 64);
        set_permissions(&file.path, Permissions::from_mode(0o666)).unwrap();
        let why = profile().unwrap_err();
        assert!(why.contains("mode 666"), "{why}");
        set_permissions(&file.path, Permissions::from_mode(0o644)).unwrap();
        fs::write(&file.path, "profil = \"full\"").unwrap();
        let view = file.read().view(false);
        assert!(view.unusable.unwrap().contains("line 1"));
        assert_eq!(view.profile, None);
    }
}
