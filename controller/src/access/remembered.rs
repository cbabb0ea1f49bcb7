//! Credentials that the store vouched for a short while ago, so that operators can go on looking while the database is
//! away: that is when they look. Knows no secrets but their hashes, and no permissions.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidemark_model::{Timestamp, time::duration_ms};

use super::Credential;
use super::standing::Standing;

/// How long a credential is taken at its last word. They are revoked in the database, and so, as long as this controller
/// cannot reach it, it can miss a revocation by another one.
const REMEMBERED_FOR: Duration = Duration::from_secs(15 * 60);

/// Credentials remembered at once; beyond it the one that was seen longest ago is forgotten.
const CREDENTIALS_MAX: usize = 1_024;

/// The credentials that were valid when the store was last asked about them.
#[derive(Debug, Default)]
pub struct RememberedStandings(Mutex<HashMap<Credential, Remembered>>);

#[derive(Debug)]
struct Remembered {
    standing: Standing,
    seen_at: Timestamp,
}

impl RememberedStandings {
    /// The store's answer about a credential at `now`.
    pub fn learn(&self, id: Credential, answer: Option<&Standing>, now: Timestamp) {
        let mut known = self.lock();
        let Some(standing) = answer else {
            known.remove(&id);
            return;
        };
        if known.len() >= CREDENTIALS_MAX && !known.contains_key(&id) {
            let oldest = known.iter().min_by_key(|(_, one)| one.seen_at);
            if let Some(oldest) = oldest.map(|(id, _)| *id) {
                known.remove(&oldest);
            }
        }
        let standing = standing.clone();
        known.insert(
            id,
            Remembered {
                standing,
                seen_at: now,
            },
        );
    }

    /// What the store said of that credential less than 15 minutes ago.
    #[must_use]
    pub fn recall(&self, id: Credential, now: Timestamp) -> Option<Standing> {
        let known = self.lock();
        let one = known.get(&id)?;
        (now.ms_since(one.seen_at) < duration_ms(REMEMBERED_FOR)).then(|| one.standing.clone())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Credential, Remembered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tidemark_model::token::TokenId;
    use tidemark_model::{HostScope, Role};

    use super::*;

    fn id(number: u64) -> Credential {
        let mut id = [0; 10];
        id[..8].copy_from_slice(&number.to_le_bytes());
        Credential::Token(TokenId::from_bytes(id))
    }

    fn ops() -> Standing {
        Standing {
            secret_hash: [0; 32],
            name: "ops".to_owned(),
            role: Role::Admin,
            scope: HostScope::All,
            user: None,
            ends_at: None,
            used_at: None,
        }
    }

    const fn at(second: i64) -> Timestamp {
        Timestamp::from_unix_ms(second * 1_000)
    }

    #[test]
    fn a_token_is_taken_at_its_word_for_a_quarter_of_an_hour_unless_it_was_revoked() {
        let tokens = RememberedStandings::default();
        assert_eq!(tokens.recall(id(1), at(0)), None);
        tokens.learn(id(1), Some(&ops()), at(0));
        assert_eq!(tokens.recall(id(1), at(899)), Some(ops()));
        assert_eq!(tokens.recall(id(1), at(900)), None);
        tokens.learn(id(1), None, at(10));
        assert_eq!(tokens.recall(id(1), at(11)), None);
    }

    #[test]
    fn memory_is_bounded_and_the_newest_stay() {
        let tokens = RememberedStandings::default();
        for number in 0..2_000 {
            tokens.learn(
                id(number),
                Some(&ops()),
                at(0).saturating_add(Duration::from_millis(number)),
            );
        }
        assert_eq!(tokens.lock().len(), CREDENTIALS_MAX);
        assert!(tokens.recall(id(1_999), at(2)).is_some());
        assert!(tokens.recall(id(0), at(2)).is_none());
    }
}
