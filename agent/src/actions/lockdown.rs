//! The lockdown: one file whose being there stops every action of this host, through restarts. Anybody may stop; to go on
//! takes an administrator of the host, or a signature of a key that its policy lists.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidemark_agent_core::actions::HostPolicy;
use tidemark_model::action::Unlock;
use tidemark_model::signing::{Purpose, Signature};
use tidemark_model::{HostId, Timestamp};
use tidemark_runtime::durable::{self, Access};

/// How old the signed end of a lockdown may be.
const UNLOCK_VALID: Duration = Duration::from_secs(600);

/// The switch.
#[derive(Clone, Debug)]
pub(crate) struct Lockdown {
    path: PathBuf,
}

impl Lockdown {
    /// The switch of an agent whose folder this is.
    pub(crate) fn in_folder(folder: &Path) -> Self {
        Self {
            path: folder.join("lockdown"),
        }
    }

    /// Whether every action is stopped. What cannot be asked counts as stopped.
    pub(crate) fn holds(&self) -> bool {
        match fs::symlink_metadata(&self.path) {
            Ok(_) => true,
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    /// Stops every action. One that holds already stays as old as it is.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn impose(&self, now: Timestamp, why: &str) -> io::Result<()> {
        if self.imposed_at().is_some() {
            return Ok(());
        }
        let text = format!("{} {why}\n", now.unix_ms());
        durable::replace_file(&self.path, text.as_bytes(), Access::Owner)
    }

    /// Stops every action by the hand of an administrator, who alone can end it.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn impose_here(&self) -> io::Result<()> {
        durable::replace_file(&self.path, b"on this host\n", Access::Owner)
    }

    /// When it was imposed; `None` when it was not, or by hand.
    fn imposed_at(&self) -> Option<Timestamp> {
        let text = fs::read_to_string(&self.path).ok()?;
        let (unix_ms, _) = text.split_once(' ')?;
        unix_ms.parse().ok().map(Timestamp::from_unix_ms)
    }

    /// Lets actions go on, as somebody asks over the network.
    ///
    /// # Errors
    /// Why it still holds.
    pub(crate) fn lift_from_afar(
        &self,
        policy: &HostPolicy,
        host: HostId,
        now: Timestamp,
        signed: (&[u8], &[Signature]),
    ) -> Result<(), String> {
        if !self.holds() {
            return Ok(());
        }
        let Some(imposed_at) = self.imposed_at() else {
            return Err("it was imposed on the host itself, and is ended there".to_owned());
        };
        // A host without keys believes the controller's orders, and so its word that they may go on.
        if policy.keys.are_wanted() && may_lift(policy, host, now, signed)? <= imposed_at {
            // A signature that ended an earlier lockdown does not end this one.
            return Err("it was signed before the lockdown began".to_owned());
        }
        self.lift().map_err(|error| error.to_string())
    }

    /// Lets actions go on.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn lift(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// Whether a message from the network may end a lockdown, and when it was signed.
///
/// # Errors
/// Why not, for the log.
fn may_lift(
    policy: &HostPolicy,
    host: HostId,
    now: Timestamp,
    (unlock, signatures): (&[u8], &[Signature]),
) -> Result<Timestamp, String> {
    let read = Unlock::from_bytes(unlock)?;
    if read.host != host {
        return Err("it is for another host".to_owned());
    }
    let age_ms = now.ms_since(read.issued_at_ms);
    if age_ms.unsigned_abs() > u64::try_from(UNLOCK_VALID.as_millis()).unwrap_or(u64::MAX) {
        return Err("it was signed too long ago, or the clocks differ".to_owned());
    }
    let is_signed = signatures.iter().any(|signature| {
        policy.key(signature.key).is_some_and(|key| {
            key.public
                .verify(Purpose::Unlock, unlock, signature)
                .is_ok()
        })
    });
    if is_signed {
        Ok(read.issued_at_ms)
    } else {
        Err("no key of the host's policy signed it".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use tidemark_model::action::Profile;
    use tidemark_model::signing::PrivateKey;

    use super::*;

    #[test]
    fn a_lockdown_holds_until_it_is_lifted() {
        let folder = tempfile::tempdir().unwrap();
        let lockdown = Lockdown::in_folder(folder.path());
        assert!(!lockdown.holds());
        lockdown.lift().unwrap();
        lockdown
            .impose(Timestamp::from_unix_ms(5), "told by the controller")
            .unwrap();
        assert!(Lockdown::in_folder(folder.path()).holds());
        lockdown.lift().unwrap();
        assert!(!lockdown.holds());
    }

    #[test]
    fn only_a_fresh_signature_for_this_host_ends_it_from_afar() {
        let key = PrivateKey::from_seed([1; 32]);
        let text = format!("[[key]]\nname = \"a\"\npublic = \"{}\"", key.public());
        let policy = HostPolicy::parse(&text, Profile::Observe).unwrap();
        let host = HostId::of_identity_spki(b"host");
        let now = Timestamp::from_unix_ms(10_000_000);
        let lift = |policy: &HostPolicy, host: HostId, at: i64, purpose| {
            let unlock = Unlock {
                host,
                issued_at_ms: Timestamp::from_unix_ms(at),
            };
            let bytes = unlock.to_bytes();
            let signed = key.sign(purpose, &bytes);
            let own = HostId::of_identity_spki(b"host");
            may_lift(policy, own, now, (&bytes, &[signed]))
        };
        lift(&policy, host, 10_000_000, Purpose::Unlock).unwrap();
        lift(&policy, host, 10_000_000, Purpose::Order).unwrap_err();
        lift(&policy, host, 10_000_000 - 600_001, Purpose::Unlock).unwrap_err();
        let other = HostId::of_identity_spki(b"other");
        lift(&policy, other, 10_000_000, Purpose::Unlock).unwrap_err();
        let keyless = HostPolicy::of_profile(Profile::Full);
        lift(&keyless, host, 10_000_000, Purpose::Unlock).unwrap_err();
        may_lift(&policy, host, now, (b"{", &[])).unwrap_err();
    }

    #[test]
    fn a_signature_ends_no_lockdown_that_came_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let lockdown = Lockdown::in_folder(folder.path());
        let key = PrivateKey::from_seed([1; 32]);
        let text = format!("[[key]]\nname = \"a\"\npublic = \"{}\"", key.public());
        let policy = HostPolicy::parse(&text, Profile::Observe).unwrap();
        let host = HostId::of_identity_spki(b"host");
        let at = Timestamp::from_unix_ms;
        let unlock = Unlock {
            host,
            issued_at_ms: at(2_000),
        }
        .to_bytes();
        let signed = [key.sign(Purpose::Unlock, &unlock)];
        let lift = || lockdown.lift_from_afar(&policy, host, at(3_000), (&unlock, &signed));
        lockdown.impose(at(1_000), "first").unwrap();
        lift().unwrap();
        lockdown.impose(at(2_500), "second").unwrap();
        lift().unwrap_err();
        assert!(lockdown.holds());
        lockdown.lift().unwrap();
        fs::write(folder.path().join("lockdown"), "").unwrap();
        lift().unwrap_err();
    }
}
