//! What the controller says of the scope of whoever asks: lists of hosts are then not of the whole fleet.

use std::sync::{Arc, Mutex, PoisonError};

use reqwest::header::HeaderMap;
use tidemark_model::view::{SCOPE_HEADER, SCOPE_HOSTS_HEADER};

use crate::render::text::visible;

/// The scope of the last list that was answered, where it is not all hosts. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct ScopeSeen(Arc<Mutex<Option<String>>>);

impl ScopeSeen {
    /// Takes in what came with a list.
    pub(super) fn take(&self, headers: &HeaderMap) {
        let text = |name| headers.get(name).map(|value| value.as_bytes());
        let sentence = text(SCOPE_HEADER).map(|scope| {
            let scope = visible(&String::from_utf8_lossy(scope));
            let hosts = text(SCOPE_HOSTS_HEADER)
                .and_then(|hosts| std::str::from_utf8(hosts).ok())
                .and_then(|hosts| hosts.parse::<u64>().ok());
            match hosts {
                Some(1) => format!("1 host in your scope {scope}"),
                Some(hosts) => format!("{hosts} hosts in your scope {scope}"),
                None => format!("hosts of your scope {scope} only"),
            }
        });
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = sentence;
    }

    /// What whoever reads a list must know.
    pub fn sentence(&self) -> Option<String> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.clone()
    }
}
