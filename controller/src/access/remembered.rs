//! API tokens that the store vouched for a short while ago, so that operators can go on looking while the database is
//! away: that is when they look. Knows no secrets but their hashes, and no permissions.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidemark_model::token::TokenId;
use tidemark_model::{Timestamp, time::duration_ms};
use tidemark_store::ApiToken;

/// How long a token is taken at its last word. Tokens are revoked in the database, and so, as long as this controller
/// cannot reach it, it can miss a revocation by another one.
const REMEMBERED_FOR: Duration = Duration::from_secs(15 * 60);

/// Tokens remembered at once; beyond it the one that was seen longest ago is forgotten.
const TOKENS_MAX: usize = 1_024;

/// The tokens that were valid when the store was last asked about them.
#[derive(Debug, Default)]
pub struct RememberedTokens(Mutex<HashMap<TokenId, Remembered>>);

#[derive(Debug)]
struct Remembered {
    token: ApiToken,
    seen_at: Timestamp,
}

impl RememberedTokens {
    /// The store's answer about a token at `now`.
    pub fn learn(&self, id: TokenId, answer: Option<&ApiToken>, now: Timestamp) {
        let mut known = self.lock();
        let Some(token) = answer else {
            known.remove(&id);
            return;
        };
        if known.len() >= TOKENS_MAX && !known.contains_key(&id) {
            let oldest = known.iter().min_by_key(|(_, one)| one.seen_at);
            if let Some(oldest) = oldest.map(|(id, _)| *id) {
                known.remove(&oldest);
            }
        }
        let token = token.clone();
        known.insert(
            id,
            Remembered {
                token,
                seen_at: now,
            },
        );
    }

    /// What the store said of that token less than 15 minutes ago.
    #[must_use]
    pub fn recall(&self, id: TokenId, now: Timestamp) -> Option<ApiToken> {
        let known = self.lock();
        let one = known.get(&id)?;
        (now.ms_since(one.seen_at) < duration_ms(REMEMBERED_FOR)).then(|| one.token.clone())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TokenId, Remembered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tidemark_model::{HostScope, Role};

    use super::*;

    fn token(number: u64) -> ApiToken {
        let mut id = [0; 10];
        id[..8].copy_from_slice(&number.to_le_bytes());
        ApiToken {
            id: TokenId::from_bytes(id),
            secret_hash: [0; 32],
            name: "ops".to_owned(),
            role: Role::Admin,
            scope: HostScope::All,
            created_at: Timestamp::from_unix_ms(0),
            expires_at: None,
            revoked_at: None,
            last_used_at: None,
        }
    }

    const fn at(second: i64) -> Timestamp {
        Timestamp::from_unix_ms(second * 1_000)
    }

    #[test]
    fn a_token_is_taken_at_its_word_for_a_quarter_of_an_hour_unless_it_was_revoked() {
        let tokens = RememberedTokens::default();
        let one = token(1);
        assert_eq!(tokens.recall(one.id, at(0)), None);
        tokens.learn(one.id, Some(&one), at(0));
        assert_eq!(tokens.recall(one.id, at(899)), Some(one.clone()));
        assert_eq!(tokens.recall(one.id, at(900)), None);
        tokens.learn(one.id, None, at(10));
        assert_eq!(tokens.recall(one.id, at(11)), None);
    }

    #[test]
    fn memory_is_bounded_and_the_newest_stay() {
        let tokens = RememberedTokens::default();
        for number in 0..2_000 {
            tokens.learn(
                token(number).id,
                Some(&token(number)),
                at(0).saturating_add(Duration::from_millis(number)),
            );
        }
        assert_eq!(tokens.lock().len(), TOKENS_MAX);
        assert!(tokens.recall(token(1_999).id, at(2)).is_some());
        assert!(tokens.recall(token(0).id, at(2)).is_none());
    }
}
