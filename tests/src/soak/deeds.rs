//! One action of a host after the other, for as long as there are to be any: asked for, approved, and waited for to its end.

use std::collections::BTreeMap;
use std::time::Duration;

use tidemark_model::ActionState;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::host::Host;
use super::people::People;

const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What was asked of one host.
#[derive(Clone, Debug, Default)]
pub struct Deeds {
    /// Marks by the ids of their actions.
    pub asked: BTreeMap<String, String>,
    /// Questions and requests that nobody answered, or not with success.
    pub unanswered: u64,
}

impl Deeds {
    /// Has one action done after the other until there are to be no more, and waits for the last one's end.
    pub async fn ask(host: (&str, &str), people: &People, enough: &CancellationToken) -> Self {
        let mut deeds = Self::default();
        let (name, id) = host;
        while !enough.is_cancelled() {
            let mark = format!("{name}-{}", deeds.asked.len() + 1);
            deeds.see_through(id, &mark, people).await;
        }
        deeds
    }

    async fn see_through(&mut self, host: &str, mark: &str, people: &People) {
        let spec = Host::deed(mark);
        let id = loop {
            match people.ask(host, mark, &spec).await {
                Ok(id) => break id,
                Err(_) => self.unanswered(),
            }
            sleep(LOOK_EVERY).await;
        };
        self.asked.insert(id.clone(), mark.to_owned());
        loop {
            match people.look(&id).await {
                Ok(detail) if detail.action.state.is_final() => return,
                // Whether an approval got through shows at the next look.
                Ok(detail) if detail.action.state == ActionState::Proposed => {
                    if people.approve(&id).await.is_err() {
                        self.unanswered();
                    }
                }
                Ok(_) => {}
                Err(_) => self.unanswered(),
            }
            sleep(LOOK_EVERY).await;
        }
    }

    const fn unanswered(&mut self) {
        self.unanswered = self.unanswered.saturating_add(1);
    }
}
