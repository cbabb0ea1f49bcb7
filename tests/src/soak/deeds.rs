//! One action of a host after the other, for as long as there are to be any: asked for, approved, and waited for to its end.

use std::collections::BTreeMap;
use std::time::Duration;

use tidemark_model::ActionState;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::people::People;
use crate::harness::CountedHook;

/// Between two actions of a host, whose policy wants a second; a controller begins 10,000 within a day at most.
const PAUSE: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What was asked of one host.
#[derive(Clone, Debug, Default)]
pub struct Deeds {
    /// Marks by the ids of their actions.
    pub asked: BTreeMap<String, String>,
    /// Questions and requests that nobody answered, or not with success.
    pub unanswered: u64,
    /// The last of them of an action that was given up.
    pub last_error: Option<String>,
}

/// Until when.
#[derive(Clone, Debug, Default)]
pub struct Patience {
    /// No more actions are to be asked for.
    pub enough: CancellationToken,
    /// Nobody waits any longer for those that were.
    pub over: CancellationToken,
}

impl Deeds {
    /// Has one action done after the other until there are to be no more, and waits for the last one's end.
    pub async fn ask(host: (&str, &str), people: &People, patience: &Patience) -> Self {
        let mut deeds = Self::default();
        let (name, id) = host;
        while !patience.enough.is_cancelled() {
            let mark = format!("{name}-{}", deeds.asked.len() + 1);
            let through = deeds.see_through(id, &mark, people);
            if patience.over.run_until_cancelled(through).await.is_none() {
                return deeds;
            }
            deeds.last_error = None;
            patience.enough.run_until_cancelled(sleep(PAUSE)).await;
        }
        deeds
    }

    async fn see_through(&mut self, host: &str, mark: &str, people: &People) {
        let spec = CountedHook::spec(mark);
        let id = loop {
            match people.ask(host, mark, &spec).await {
                Ok(id) => break id,
                Err(error) => self.unanswered(&error),
            }
            sleep(LOOK_EVERY).await;
        };
        self.asked.insert(id.clone(), mark.to_owned());
        loop {
            match people.look(&id).await {
                Ok(detail) if detail.action.state.is_final() => return,
                // Whether an approval got through shows at the next look.
                Ok(detail) if detail.action.state == ActionState::Proposed => {
                    if let Err(error) = people.approve(&id).await {
                        self.unanswered(&error);
                    }
                }
                Ok(_) => {}
                Err(error) => self.unanswered(&error),
            }
            sleep(LOOK_EVERY).await;
        }
    }

    fn unanswered(&mut self, error: &anyhow::Error) {
        self.unanswered = self.unanswered.saturating_add(1);
        self.last_error = Some(format!("{error:#}"));
    }
}
