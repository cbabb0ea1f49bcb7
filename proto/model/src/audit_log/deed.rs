//! What can be on record in the audit log, by name.

use crate::kinds::kinds;

kinds! {
    /// What was done, or tried. Stored by name and hashed: never rename one.
    Deed

    /// A browser was signed in.
    SignIn = "sign_in",
    /// A browser was signed out.
    SignOut = "sign_out",
    /// An API token was made.
    ApiTokenCreate = "api_token_create",
    /// An API token was revoked.
    ApiTokenRevoke = "api_token_revoke",
    /// A join token was made.
    JoinTokenCreate = "join_token_create",
    /// A join token was ended.
    JoinTokenRevoke = "join_token_revoke",
    /// A user was made.
    UserCreate = "user_create",
    /// A user was deleted, with their sessions and tokens.
    UserDelete = "user_delete",
    /// A user was given another role.
    UserSetRole = "user_set_role",
    /// A user was given other hosts to see and act on.
    UserSetScope = "user_set_scope",
    /// A user was given another password, by an admin or by themselves.
    UserSetPassword = "user_set_password",
    /// A user was disabled, enabled or unlocked.
    UserOperate = "user_operate",
    /// A browser was signed out by somebody else, or from somewhere else.
    SessionEnd = "session_end",
    /// A host enrolled, or an enrolled one came again with a token.
    HostEnrol = "host_enrol",
    /// A host was shut out.
    HostRevoke = "host_revoke",
    /// Labels that the controller holds of a host were changed.
    HostLabel = "host_label",
    /// Two holders of one identity were seen.
    HostQuarantine = "host_quarantine",
    /// The signed end of one host's lockdown was taken to it.
    HostUnlock = "host_unlock",
    /// An incident was acknowledged, resolved or written on.
    IncidentOperate = "incident_operate",
    /// Budgets were applied.
    BudgetsApply = "budgets_apply",
    /// A budget was deleted.
    BudgetDelete = "budget_delete",
    /// Maintenance windows were applied.
    WindowsApply = "windows_apply",
    /// A maintenance window was deleted.
    WindowDelete = "window_delete",
    /// Standing policies were applied.
    PoliciesApply = "policies_apply",
    /// A standing policy was deleted.
    PolicyDelete = "policy_delete",
    /// A standing policy was tried on history.
    PolicyDryRun = "policy_dry_run",
    /// A standing policy began to act on a host.
    PolicyFire = "policy_fire",
    /// A standing policy gave up on a host and left it to people.
    PolicyEscalate = "policy_escalate",
    /// A silence was made.
    SilenceCreate = "silence_create",
    /// A silence was ended.
    SilenceEnd = "silence_end",
    /// A message was sent to a receiver to try it.
    ReceiverTest = "receiver_test",
    /// An action was asked for.
    ActionPropose = "action_propose",
    /// An action was approved.
    ActionApprove = "action_approve",
    /// An action was rejected.
    ActionReject = "action_reject",
    /// An action was cancelled.
    ActionCancel = "action_cancel",
    /// A signature for an action's order was brought.
    ActionSign = "action_sign",
    /// An action's order went to its host, or changed its place in the queue to it.
    ActionSend = "action_send",
    /// A host said what became of an action.
    ActionReport = "action_report",
    /// The controller ended an action: its time was over, or its effect was measured.
    ActionEnd = "action_end",
    /// A host was told to undo an action.
    ActionUndo = "action_undo",
    /// A grant was brought.
    GrantBring = "grant_bring",
    /// A grant was withdrawn.
    GrantWithdraw = "grant_withdraw",
    /// A grant was ended by a signature.
    GrantEnd = "grant_end",
    /// A maintenance run was planned.
    RunPlan = "run_plan",
    /// A run's plan was approved.
    RunApprove = "run_approve",
    /// A run's plan was rejected.
    RunReject = "run_reject",
    /// A run was stopped.
    RunStop = "run_stop",
    /// A run's plan was judged or the run stopped, by a form that was refused.
    RunDecide = "run_decide",
    /// Signatures for a run's orders were brought.
    RunSign = "run_sign",
    /// The controller took a run further: it planned it again, asked for actions of a wave, or ended it.
    RunStep = "run_step",
    /// Every action was stopped.
    LockdownImpose = "lockdown_impose",
    /// Actions may go on.
    LockdownLift = "lockdown_lift",
    /// A statement about an operator's key was brought.
    KeyStatementBring = "key_statement_bring",
    /// A signature of a statement about a key was brought.
    KeyStatementSign = "key_statement_sign",
    /// A release of the agent was brought.
    ReleaseBring = "release_bring",
    /// A file of a release was brought.
    ReleaseFileBring = "release_file_bring",
    /// A release was deleted.
    ReleaseDelete = "release_delete",
    /// The roll-out of a release was started.
    UpgradeStart = "upgrade_start",
    /// A roll-out was paused.
    UpgradePause = "upgrade_pause",
    /// A roll-out goes on, whatever failed until then.
    UpgradeResume = "upgrade_resume",
    /// A roll-out was stopped for good.
    UpgradeStop = "upgrade_stop",
    /// The controller halted a roll-out, or ended it.
    UpgradeStep = "upgrade_step",
    /// The controller's database was restored from a backup or repaired, and what it cannot know ended.
    Restore = "restore",
    /// More was refused than is recorded one by one; how much, says the detail.
    RefusalsCount = "refusals_count",
    /// A host holds a checkpoint that this log contradicts.
    LogContradict = "log_contradict",
}

kinds! {
    /// What came of it. Stored by name and hashed: never rename one.
    Outcome

    /// It was done.
    Done = "done",
    /// It was not allowed, or the request was wrong; nothing changed.
    Refused = "refused",
    /// The controller could not do it.
    Failed = "failed",
}
