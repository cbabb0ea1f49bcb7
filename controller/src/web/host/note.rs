//! A finding as a colleague's note: what is wrong, the figures, what to do.

use tidemark_model::finding::{PlaybookStep, Severity};
use tidemark_model::{Finding, runbook};

/// One finding.
pub(super) struct Note {
    pub(super) title: String,
    /// As the style sheet names urgencies.
    pub(super) urgency: &'static str,
    /// `critical, 90 % sure`.
    pub(super) standing: String,
    pub(super) evidence: Vec<String>,
    pub(super) missing: String,
    pub(super) steps: Vec<Step>,
    /// Address of the page with more.
    pub(super) runbook: String,
}

/// What to do, and what it disturbs.
pub(super) struct Step {
    pub(super) text: String,
    pub(super) notes: String,
}

impl Note {
    pub(super) fn of(finding: &Finding) -> Self {
        let mut evidence = finding.evidence.clone();
        if let Some(cause) = finding.caused_by {
            evidence.push(format!("It follows from {}.", cause.as_str()));
        }
        Self {
            title: finding.title.clone(),
            urgency: match finding.severity {
                Severity::Critical => "urgent",
                Severity::Warning => "watch",
            },
            standing: format!(
                "{}, {:.0} % sure ({})",
                finding.severity.as_str(),
                finding.confidence * 100.0,
                finding.rule.as_str()
            ),
            evidence,
            missing: finding.missing.join("; "),
            steps: finding.playbook.iter().map(Step::of).collect(),
            runbook: runbook::path(finding.rule.as_str()),
        }
    }
}

impl Step {
    fn of(step: &PlaybookStep) -> Self {
        let action = step
            .action
            .map_or_else(String::new, |action| format!(", {}", action.as_str()));
        Self {
            text: step.text.clone(),
            notes: format!(
                "tier {}{action}; disturbs {}; it helped when {}",
                step.tier, step.disturbs, step.verify
            ),
        }
    }
}
