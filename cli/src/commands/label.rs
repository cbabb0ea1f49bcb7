//! `label`: sets and takes away labels that the controller holds of a host. Nothing that is there is changed unasked, nor what
//! somebody else changed meanwhile.

use std::collections::BTreeMap;

use serde::Serialize;
use tidemark_model::view::{HostDetail, LabelsRequest};

use super::Ctx;
use super::show::show_once;
use crate::args::{LabelArgs, LabelChange};
use crate::failure::Failure;
use crate::render::sheet::{Sheet, Value};
use crate::render::text::visible;
use crate::render::{Report, Screen};

/// Changes labels of a host and shows those that it has then.
pub async fn label(ctx: &Ctx<'_>, wanted: &LabelArgs) -> Result<(), Failure> {
    let labels = asked(&wanted.changes)?;
    let api = ctx.api()?;
    let host = api.host(&wanted.host).await?;
    for (key, value) in &labels {
        let held = host.controller_labels.get(key);
        match (value, held) {
            (Some(value), Some(held)) if value != held && !wanted.overwrite => {
                return Err(Failure::usage(format!(
                    "{} has the label {} already; with --overwrite it becomes {}",
                    visible(&host.host.name),
                    visible(&format!("{key}={held}")),
                    visible(&format!("{key}={value}")),
                )));
            }
            (None, None) if host.host.labels.contains_key(key) => {
                return Err(Failure::usage(format!(
                    "{key} is a label of the agent's own; take it out of the agent's configuration on {}",
                    visible(&host.host.name)
                )));
            }
            (None, None) => ctx.console.note(&format!(
                "{} has no label {}",
                visible(&host.host.name),
                visible(key)
            )),
            (Some(_) | None, Some(_)) | (Some(_), None) => {}
        }
    }
    let request = LabelsRequest { labels };
    let changed = api
        .label_host(&host.host.id, host.labels_version, &request)
        .await?;
    show_once(ctx, &HostLabels::of(changed))
}

/// The value of each label that is to be there, and nothing for each that is not.
fn asked(changes: &[LabelChange]) -> Result<BTreeMap<String, Option<String>>, Failure> {
    let mut labels = BTreeMap::new();
    for change in changes {
        let (key, value) = match change {
            LabelChange::Set(label) => (&label.key, Some(label.value.clone())),
            LabelChange::TakeAway(key) => (key, None),
        };
        if labels.insert(key.clone(), value).is_some() {
            return Err(Failure::usage(format!(
                "{} comes twice; say once what it is to be",
                visible(key)
            )));
        }
    }
    Ok(labels)
}

/// The labels that the controller holds of a host.
#[derive(Debug, Serialize)]
struct HostLabels {
    id: String,
    name: String,
    controller_labels: BTreeMap<String, String>,
    labels_version: u64,
}

impl HostLabels {
    fn of(detail: HostDetail) -> Self {
        Self {
            id: detail.host.id,
            name: detail.host.name,
            controller_labels: detail.controller_labels,
            labels_version: detail.labels_version,
        }
    }
}

impl Report for HostLabels {
    fn table(&self, _screen: &Screen) -> String {
        let labels: Vec<String> = self
            .controller_labels
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        if labels.is_empty() {
            return format!("{} has no labels of the controller\n", visible(&self.name));
        }
        format!(
            "labelled {}: {}\n",
            visible(&self.name),
            visible(&labels.join(" "))
        )
    }

    fn sheet(&self, _screen: &Screen) -> Sheet {
        let rows = self.controller_labels.iter().map(|(key, value)| {
            vec![
                Value::text(&self.name),
                Value::text(key),
                Value::text(value),
            ]
        });
        Sheet {
            header: vec!["host", "key", "value"],
            rows: rows.collect(),
        }
    }
}
