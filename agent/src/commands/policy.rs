//! `tidemark-agent policy` and `lockdown`: what this host lets be done to it, for its administrators.

use clap::{Args, Subcommand};
use serde::Serialize;
use tidemark_agent_core::actions::judge::Obstacle;
use tidemark_model::action::{HostKey, HostPolicyView, KeyStanding};
use tidemark_model::grant::{Grant, GrantId};
use tidemark_model::{ActionSpec, Timestamp};
use tidemark_runtime::{Clock, Outcome};

use super::{OutputArgs, SettingsArgs, print};
use crate::actions::beforehand::Standing;
use crate::actions::grants::GrantLook;
use crate::actions::lockdown::Lockdown;
use crate::actions::policy_file::PolicyFile;
use crate::config::AgentConfig;
use crate::identity::Vault;
use crate::link::failure::shown;

#[derive(Args, Clone, Debug)]
pub(super) struct PolicyArgs {
    #[command(subcommand)]
    verb: PolicyVerb,
}

#[derive(Clone, Debug, Subcommand)]
enum PolicyVerb {
    /// Show what the policy lets be done, or why it cannot be used.
    Show {
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        settings: SettingsArgs,
    },
    /// Say whether an action would be taken at this moment, and if not, why. Nothing is done.
    ///
    /// Exit code: 0 it would be taken, 1 it would be refused.
    Check {
        /// Kind of action, as in restart_service.
        action: String,
        /// Its parameters, as in service=appsvc.
        #[arg(value_name = "NAME=VALUE")]
        parameters: Vec<String>,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        settings: SettingsArgs,
    },
}

#[derive(Args, Clone, Debug)]
pub(super) struct LockdownArgs {
    #[command(subcommand)]
    verb: LockdownVerb,
}

#[derive(Clone, Debug, Subcommand)]
enum LockdownVerb {
    /// Stop every action on this host, through restarts, until `off`.
    On {
        #[command(flatten)]
        settings: SettingsArgs,
    },
    /// Let actions go on.
    Off {
        #[command(flatten)]
        settings: SettingsArgs,
    },
    /// Say whether actions are stopped.
    Status {
        #[command(flatten)]
        settings: SettingsArgs,
    },
}

/// The answer of `policy check`.
#[derive(Serialize)]
struct Answer<'a> {
    action: &'a ActionSpec,
    summary: String,
    tier: u8,
    signatures_wanted: u8,
    obstacles: Vec<ObstacleLine<'a>>,
    /// Grants that could stand for the signatures.
    grants: Vec<GrantLine>,
}

/// A grant that this host was given.
#[derive(Serialize)]
struct GrantLine {
    id: GrantId,
    what: String,
    until_ms: Timestamp,
    /// Why it does not hold; `null` when it waits for its trigger alone.
    hindrance: Option<String>,
}

/// What the policy lets be done, and by which grants without a signature.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    policy: &'a HostPolicyView,
    given: &'a [GrantLine],
}

#[derive(Serialize)]
struct ObstacleLine<'a> {
    refusal: &'static str,
    text: &'a str,
}

pub(super) fn policy(args: &PolicyArgs) -> anyhow::Result<Outcome> {
    match &args.verb {
        PolicyVerb::Show { output, settings } => show(*output, &settings.load()?),
        PolicyVerb::Check {
            action,
            parameters,
            output,
            settings,
        } => {
            let spec = ActionSpec::from_words(action, parameters)?;
            check(&spec, *output, &settings.load()?)
        }
    }
}

pub(super) fn lockdown(args: &LockdownArgs) -> anyhow::Result<Outcome> {
    let switch = |settings: &SettingsArgs| -> anyhow::Result<Lockdown> {
        Ok(Lockdown::in_folder(&settings.load()?.data_dir))
    };
    match &args.verb {
        LockdownVerb::On { settings } => {
            switch(settings)?.impose_here()?;
            print("Every action on this host is stopped until `tidemark-agent lockdown off`.\n")
        }
        LockdownVerb::Off { settings } => {
            switch(settings)?.lift()?;
            print("Actions that the policy allows go on.\n")
        }
        LockdownVerb::Status { settings } if switch(settings)?.holds() => {
            print("Every action on this host is stopped.\n")
        }
        LockdownVerb::Status { .. } => print("No lockdown: the policy decides.\n"),
    }
}

fn standing(config: &AgentConfig) -> anyhow::Result<Standing> {
    let vault = Vault::open(&config.identity_dir())?;
    let host = vault.map(|vault| vault.identity().host_id());
    let policy = PolicyFile::of(config);
    let now = Clock::System.now();
    Ok(Standing::look(policy, &config.data_dir, host, now)?)
}

fn show(output: OutputArgs, config: &AgentConfig) -> anyhow::Result<Outcome> {
    let standing = standing(config)?;
    let view = standing.view();
    let given = grant_lines(&standing, |_| None);
    if output.is_json() {
        let shown = Shown {
            policy: &view,
            given: &given,
        };
        return print(&format!("{}\n", serde_json::to_string_pretty(&shown)?));
    }
    let path = shown(&standing.policy.path.display().to_string());
    let mut text = match (&view.unusable, view.digest.is_empty()) {
        (Some(why), _) => format!(
            "{path} cannot be used, so that everything is refused:\n  {}\n",
            why.split("; ").map(shown).collect::<Vec<_>>().join("\n  ")
        ),
        (None, true) => format!("{path} is not there; the profile of the configuration holds.\n"),
        (None, false) => format!("{path} holds.\n"),
    };
    if let Some(profile) = view.profile {
        let allowed: Vec<_> = view.allowed.iter().map(|kind| kind.as_str()).collect();
        let keys = match view.keys.len() {
            0 if view.wants_signatures() => {
                "none is left: orders need a signature, and no key can give one".to_owned()
            }
            0 => "none: orders need no signature".to_owned(),
            count => format!("{count}: only what they signed is done"),
        };
        text.push_str(&format!(
            "profile    {}\nallowed    {}\nkeys       {keys}\n",
            profile.as_str(),
            allowed.join(", ")
        ));
        for key in &view.all_keys {
            text.push_str(&format!("  {}\n", shown(&key_line(key))));
        }
    }
    for grant in &given {
        text.push_str(&grant_text(grant));
    }
    if view.lockdown {
        text.push_str(
            "lockdown   every action is stopped (`tidemark-agent lockdown off` ends it)\n",
        );
    }
    let outcome = print(&text)?;
    Ok(if view.unusable.is_some() {
        Outcome::Crashed
    } else {
        outcome
    })
}

/// One key: whose, whence, and whether it is believed.
fn key_line(key: &HostKey) -> String {
    let (id, name, tier) = (key.public.id(), &key.name, key.tier_max.number());
    let whence = key.rotated_from.map_or_else(
        || "from the policy file".to_owned(),
        |from| format!("in the place of {from}"),
    );
    match key.standing {
        KeyStanding::Holds => format!("{id}  {name}, up to tier {tier}, {whence}"),
        KeyStanding::Replaced | KeyStanding::Revoked => {
            format!("{id}  {name}, {whence}: {}", key.why)
        }
    }
}

fn check(spec: &ActionSpec, output: OutputArgs, config: &AgentConfig) -> anyhow::Result<Outcome> {
    let standing = standing(config)?;
    let problems = spec.problems();
    let mut found: Vec<Obstacle> = problems
        .iter()
        .map(|problem| Obstacle {
            refusal: tidemark_model::action::Refusal::Malformed,
            text: problem.to_string(),
        })
        .collect();
    found.extend(standing.obstacles(spec, Clock::System.now()));
    let answer = Answer {
        action: spec,
        summary: spec.summary(),
        tier: spec.tier().number(),
        signatures_wanted: standing.signatures_wanted(spec),
        grants: match standing.signatures_wanted(spec) {
            0 => Vec::new(),
            _ => grant_lines(&standing, |grant| {
                grant.action.covers(spec).err().map(|one| one.to_string())
            }),
        },
        obstacles: found
            .iter()
            .map(|one| ObstacleLine {
                refusal: one.refusal.as_str(),
                text: &one.text,
            })
            .collect(),
    };
    if output.is_json() {
        print(&format!("{}\n", serde_json::to_string_pretty(&answer)?))?;
    } else {
        print(&answer_text(&answer))?;
    }
    Ok(if found.is_empty() {
        Outcome::Clean
    } else {
        Outcome::Crashed
    })
}

/// What this host was given; `otherwise` says what else stands against one.
fn grant_lines(
    standing: &Standing,
    otherwise: impl Fn(&Grant) -> Option<String>,
) -> Vec<GrantLine> {
    let looks = standing.grants(Clock::System.now());
    let line = |look: GrantLook<'_>| {
        let grant = &look.kept.grant;
        GrantLine {
            id: grant.id,
            what: grant.summary(),
            until_ms: grant.expires_at_ms,
            hindrance: look.hindrance.or_else(|| otherwise(grant)),
        }
    };
    looks.into_iter().map(line).collect()
}

fn grant_text(grant: &GrantLine) -> String {
    let (id, what) = (grant.id, shown(&grant.what));
    match &grant.hindrance {
        None => format!("grant      {id} holds without a signature: {what}\n"),
        Some(why) => format!("grant      {id} does not hold: {}\n", shown(why)),
    }
}

fn answer_text(answer: &Answer<'_>) -> String {
    let what = shown(&answer.summary);
    let mut text = if answer.obstacles.is_empty() {
        format!("Allowed: {what} (tier {}).\n", answer.tier)
    } else {
        format!("Refused: {what} (tier {}).\n", answer.tier)
    };
    for obstacle in &answer.obstacles {
        text.push_str(&format!(
            "  {}: {}\n",
            obstacle.refusal,
            shown(obstacle.text)
        ));
    }
    match answer.signatures_wanted {
        0 => {}
        1 => text.push_str("An order needs the signature of a key that the policy lists.\n"),
        count => text.push_str(&format!(
            "An order needs the signatures of {count} different keys that the policy lists.\n"
        )),
    }
    for grant in &answer.grants {
        text.push_str(&grant_text(grant));
    }
    text
}
