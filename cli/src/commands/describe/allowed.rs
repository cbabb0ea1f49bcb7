//! The part of a description that says what the host lets be done to it.

use tidemark_model::action::{HostKey, KeyStanding};
use tidemark_model::view::HostPolicyAnswer;

use crate::render::text::visible;
use crate::render::{Screen, words};

/// One key, and how the host stands to it.
fn key_line(key: &HostKey) -> String {
    let (id, name) = (key.public.id(), visible(&key.name));
    let from = key
        .rotated_from
        .map_or_else(String::new, |from| format!(", in the place of {from}"));
    match key.standing {
        KeyStanding::Holds => {
            let tier = key.tier_max.number();
            format!("key {id} of {name}{from}, up to tier {tier}")
        }
        KeyStanding::Replaced | KeyStanding::Revoked => {
            format!("× key {id} of {name}{from} {}", visible(&key.why))
        }
    }
}

/// What the host allows, for people.
pub fn section(answer: &HostPolicyAnswer, screen: &Screen) -> String {
    let title = screen.paint.bold("Actions");
    let (Some(policy), Some(told_ms)) = (&answer.policy, answer.told_ms) else {
        return format!(
            "\n{title}\n  What it allows is not told yet: agents tell it when they connect.\n"
        );
    };
    let told = words::date_time(told_ms, &screen.zone, screen.now);
    let mut lines = Vec::new();
    match (&policy.profile, &policy.unusable) {
        (Some(profile), _) => lines.push(format!("profile {}", profile.as_str())),
        (None, unusable) => {
            let why = unusable.as_deref().unwrap_or("it does not say why");
            lines.push(format!(
                "× everything is refused, its policy cannot be used: {}",
                visible(why)
            ));
        }
    }
    if policy.lockdown {
        lines.push("× every action is stopped on it (lockdown)".to_owned());
    }
    if answer.takes_actions == Some(false) {
        lines.push("× its agent takes no actions at this moment".to_owned());
    }
    if !policy.allowed.is_empty() {
        let allowed: Vec<_> = policy.allowed.iter().map(|kind| kind.as_str()).collect();
        lines.push(format!("may allow {}", allowed.join(", ")));
    }
    if !policy.keys.is_empty() {
        let keys: Vec<_> = policy.keys.iter().map(ToString::to_string).collect();
        lines.push(format!("wants a signature of {}", keys.join(", ")));
    } else if policy.wants_signatures() {
        lines.push("× wants signatures, and no listed key is left that could give one".to_owned());
    }
    for key in &policy.all_keys {
        lines.push(key_line(key));
    }
    for refused in &policy.refused_statements {
        lines.push(format!(
            "× did not follow statement {}: {}",
            refused.id,
            visible(&refused.text)
        ));
    }
    format!(
        "\n{title}  as of {told}; the host itself decides\n  {}\n",
        lines.join("\n  ")
    )
}
