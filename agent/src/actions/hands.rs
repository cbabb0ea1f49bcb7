//! The hands: a thread that carries orders out, one at a time. Nothing takes effect before the desk has it in its journal.

mod app_pool;
mod card;
mod deed;
mod dotnet_limit;
mod end_process;
mod evidence;
mod port_range;
mod reboot;
mod run_hook;
mod service;
mod tcp_global;
mod tcp_parameter;
mod tcp_stack;
mod undo;
mod write_event;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tidemark_agent_core::actions::Obstacle;
use tidemark_model::action::Refusal;
use tidemark_model::grant::GrantId;
use tidemark_model::signing::KeyId;
use tidemark_model::{ActionReport, ActionSpec, ActionState, Order};
use tidemark_platform::host;
use tidemark_runtime::Clock;

use super::confirm::Confirmations;
use super::desk::{DeskParts, Input};
use super::lockdown::Lockdown;
use super::policy_file::PolicyFile;
use crate::collect::CollectSettings;
use deed::{Deed, Halt};
use undo::NotUndone;

/// An order that the desk took.
#[derive(Debug)]
pub(super) struct Work {
    /// The order.
    pub(super) order: Order,
    /// The keys that signed it.
    pub(super) signers: Vec<KeyId>,
    /// The grant that stood for signatures of its own.
    pub(super) grant: Option<GrantId>,
    /// Where it stood when the agent stopped; `None` for one that just came.
    pub(super) last: Option<ActionReport>,
    /// What is to be done about it.
    pub(super) task: Task,
}

/// What is to be done about an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// What it says.
    Do,
    /// What it changed is put back.
    Undo,
}

/// What the hands work with.
pub(super) struct Hands {
    to_desk: SyncSender<Input>,
    confirmations: Arc<Confirmations>,
    lockdown: Lockdown,
    policy: PolicyFile,
    folder: PathBuf,
    hooks: PathBuf,
    clock: Clock,
    collect: CollectSettings,
}

impl Hands {
    pub(super) fn new(
        parts: &DeskParts,
        to_desk: SyncSender<Input>,
        confirmations: Arc<Confirmations>,
    ) -> Self {
        Self {
            to_desk,
            confirmations,
            lockdown: Lockdown::in_folder(&parts.folder),
            policy: parts.policy.clone(),
            folder: parts.folder.clone(),
            hooks: parts.hooks.clone(),
            clock: parts.clock.clone(),
            collect: parts.collect.clone(),
        }
    }

    /// Carries out what comes, until the desk is gone.
    pub(super) fn run(self, work: &Receiver<Work>) {
        while let Ok(work) = work.recv() {
            if self.confirmations.is_stopped() {
                // It is in the journal, and taken up at the next start.
                return;
            }
            self.carry_out(work);
        }
    }

    fn carry_out(&self, work: Work) {
        let Work {
            order,
            signers,
            grant,
            last,
            task,
        } = work;
        if task == Task::Undo {
            let mut deed = Deed::new(self, &order, last);
            // It may have waited while a lockdown came.
            let outcome = if self.lockdown.holds() {
                let text = "every action is stopped on this host; nothing was put back";
                Err(NotUndone::Untouched(text.to_owned()))
            } else {
                undo::undo(&mut deed)
            };
            return deed.end_undo(outcome);
        }
        let had_begun = last
            .as_ref()
            .is_some_and(|report| report.state == ActionState::Running);
        let mut deed = Deed::new(self, &order, last);
        let outcome = if had_begun {
            self.take_up(&mut deed)
        } else {
            self.still_signed(&signers)
                .and_then(|()| self.begin(&mut deed, grant))
        };
        deed.end(outcome.err());
    }

    /// What waited was accepted under keys that may have been revoked since, or taken off the policy's list.
    fn still_signed(&self, signers: &[KeyId]) -> Result<(), Halt> {
        if signers.is_empty() {
            return Ok(());
        }
        let policy = self.policy.read().policy.map_err(|why| {
            let text = format!("the host's policy file cannot be used: {why}; nothing was done");
            Halt::Refused(Refusal::PolicyUnusable, text)
        })?;
        let taken_back = signers.iter().find_map(|id| policy.keys.taken_back(*id));
        taken_back.map_or(Ok(()), |why| {
            let text = format!("{why}; what it signed is not begun, and nothing was done");
            Err(Halt::Refused(Refusal::UnknownKey, text))
        })
    }

    /// What waited was taken under a grant that is judged once more: it may have ended, and its trigger be gone.
    fn still_granted(&self, order: &Order, grant: Option<GrantId>) -> Result<(), Halt> {
        let Some(grant) = grant else {
            return Ok(());
        };
        let (answer, answered) = sync_channel(1);
        let begins = Input::Begins(Box::new(order.clone()), grant, answer);
        // A desk that is gone has stopped: what has not begun belongs to the next start.
        let sent = self.to_desk.send(begins).ok();
        let obstacle = sent.and_then(|()| answered.recv().ok());
        match obstacle.ok_or(Halt::Stopped)? {
            None => Ok(()),
            Some(Obstacle { refusal, text }) => {
                Err(Halt::Refused(refusal, format!("{text}; nothing was done")))
            }
        }
    }

    fn begin(&self, deed: &mut Deed<'_>, grant: Option<GrantId>) -> Result<(), Halt> {
        if self.lockdown.holds() {
            return Err(Halt::Refused(
                Refusal::Lockdown,
                "every action is stopped on this host; nothing was done".to_owned(),
            ));
        }
        if deed.order.expires_at_ms <= self.clock.now() {
            return Err(Halt::Refused(
                Refusal::Expired,
                "it was not begun before its order expired; nothing was done".to_owned(),
            ));
        }
        self.still_granted(deed.order, grant)?;
        match &deed.order.spec {
            ActionSpec::CollectEvidence { seconds } => evidence::collect(deed, *seconds),
            ActionSpec::WriteEvent { .. } => write_event::write(deed),
            ActionSpec::RestartService { .. } => service::restart(deed),
            ActionSpec::EndProcess { .. } => end_process::end(deed),
            ActionSpec::SetDynamicPortRange { .. } => port_range::set(deed),
            ActionSpec::SetTcpParameter { parameter, value } => {
                tcp_parameter::set(deed, *parameter, *value)
            }
            ActionSpec::RecycleAppPool { pool } => app_pool::recycle(deed, pool),
            ActionSpec::SetTcpGlobal { .. } => tcp_global::set(deed),
            ActionSpec::SetNicOffload { .. } | ActionSpec::SetInterruptModeration { .. } => {
                card::set(deed)
            }
            ActionSpec::SetDotnetConnectionLimit { connections } => {
                dotnet_limit::set(deed, *connections)
            }
            ActionSpec::Reboot { .. } => reboot::begin(deed),
            ActionSpec::RunHook { .. } => run_hook::run(deed, &self.hooks),
            ActionSpec::ResetTcpStack { .. } => tcp_stack::reset(deed),
        }
    }

    /// What had begun when the agent stopped is never done again: it is brought to its end, or told as it is.
    fn take_up(&self, deed: &mut Deed<'_>) -> Result<(), Halt> {
        match &deed.order.spec {
            ActionSpec::SetDynamicPortRange { .. } => port_range::take_up(deed),
            ActionSpec::Reboot { .. } => reboot::take_up(deed),
            ActionSpec::CollectEvidence { .. }
            | ActionSpec::WriteEvent { .. }
            | ActionSpec::RestartService { .. }
            | ActionSpec::RecycleAppPool { .. }
            | ActionSpec::EndProcess { .. }
            | ActionSpec::SetTcpParameter { .. }
            | ActionSpec::SetTcpGlobal { .. }
            | ActionSpec::SetNicOffload { .. }
            | ActionSpec::SetInterruptModeration { .. }
            | ActionSpec::SetDotnetConnectionLimit { .. }
            | ActionSpec::ResetTcpStack { .. }
            | ActionSpec::RunHook { .. } => Err(Halt::Failed(
                "the agent stopped in the middle of it; the last step may have been done or not, and it is not \
                 repeated: look at the host"
                    .to_owned(),
            )),
        }
    }
}

/// Identity of the host's boot; empty when it does not tell.
fn boot_id() -> String {
    host::boot_id().unwrap_or_default()
}
