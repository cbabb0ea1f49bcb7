//! Documents that people apply: read with every problem told at once, planned and stored in one transaction, all or none, and
//! deleted with their history kept.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;
use tidemark_model::ErrorCode;
use tidemark_model::audit_log::Deed;
use tidemark_model::notice::NoticeKind;
use tidemark_store::{DocumentKind, DocumentVersion, Tx};

use super::body::Invalid;
use super::expected::Expected;
use super::problem::{Answer, ApiProblem};
use crate::app::App;
use crate::incidents::text::clean;

/// A kind of document.
pub trait Document: Sized {
    /// As it is written and stored.
    type Spec: Serialize + PartialEq;

    /// Which kind.
    const KIND: DocumentKind;
    /// How many of them a controller keeps.
    const MAX: u32;
    /// Tells that one was applied.
    const APPLIED: NoticeKind;
    /// Tells that one was deleted.
    const DELETED: NoticeKind;

    /// Its name.
    fn name(&self) -> &str;

    /// As it is written.
    fn spec(&self) -> Self::Spec;

    /// What a version says; `None` for a deletion, and for one that this release cannot read.
    fn of_version(version: &DocumentVersion) -> Option<Self>;
}

/// What is to become of one document.
pub struct Change<'a, D> {
    /// As it is to be.
    pub wanted: &'a D,
    /// As it stands.
    pub before: Option<D>,
    /// `created`, `changed` or `unchanged`.
    pub outcome: &'static str,
    /// Its version afterwards.
    pub version: u64,
}

impl<D: Document> Change<'_, D> {
    /// Fields that differ, a line each: `- for = "5m"`, `+ for = "10m"`.
    #[must_use]
    pub fn differences(&self) -> Vec<String> {
        let fields = |document: &D| match serde_json::to_value(document.spec()) {
            Ok(Value::Object(fields)) => fields,
            Ok(_) | Err(_) => serde_json::Map::new(),
        };
        let before = self.before.as_ref().map(fields).unwrap_or_default();
        let after = fields(self.wanted);
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let mut lines = Vec::new();
        for name in names {
            let (was, is) = (before.get(name), after.get(name));
            if was != is {
                lines.extend(was.map(|was| format!("- {name} = {was}")));
                lines.extend(is.map(|is| format!("+ {name} = {is}")));
            }
        }
        lines
    }
}

/// Problems that are told; more help nobody.
pub const PROBLEMS_MAX: usize = 50;

/// Reads `{"budget": [...]}` and its like. `read` reads one document and adds what is wrong with it, each begun with where.
///
/// # Errors
/// [`Invalid`] with every problem of every document, 50 at most.
pub fn listed<D: Document>(
    body: &Value,
    mut read: impl FnMut(&Value, &str, &mut Vec<String>) -> Option<D>,
) -> Result<Vec<D>, Invalid> {
    let (kind, kinds) = (D::KIND.as_str(), D::KIND.plural());
    let one = |problem: String| Invalid(vec![problem]);
    let fields = body
        .as_object()
        .ok_or_else(|| one(format!("the body must be an object with the list `{kind}`")))?;
    let mut problems: Vec<String> = fields
        .keys()
        .filter(|key| *key != kind)
        .map(|key| format!("there is no field {}; the only one is `{kind}`", shown(key)))
        .collect();
    let list = fields.get(kind).and_then(Value::as_array);
    let list = list.ok_or_else(|| one(format!("`{kind}` must be a list of {kinds}")))?;
    if !(1..=D::MAX as usize).contains(&list.len()) {
        return Err(one(format!(
            "`{kind}` has {} entries; it must have 1 to {}",
            list.len(),
            D::MAX
        )));
    }
    let mut documents = Vec::new();
    let mut names = BTreeSet::new();
    for (index, value) in list.iter().enumerate() {
        let name = value.get("name").and_then(Value::as_str);
        let at = name.map_or_else(
            || format!("{kind} {}", index + 1),
            |name| format!("{kind} {}", shown(name)),
        );
        if name.is_some_and(|name| !names.insert(name)) {
            problems.push(format!(
                "{at}: two have this name; each needs one of its own"
            ));
        }
        documents.extend(read(value, &at, &mut problems));
    }
    if problems.is_empty() {
        return Ok(documents);
    }
    if problems.len() > PROBLEMS_MAX {
        let more = problems.len() - PROBLEMS_MAX;
        problems.truncate(PROBLEMS_MAX);
        problems.push(format!("and {more} more"));
    }
    Err(Invalid(problems))
}

/// A caller's text, quoted and cut.
#[must_use]
pub fn shown(text: &str) -> String {
    format!("{:?}", text.chars().take(64).collect::<String>())
}

/// Whether what is applied is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is.
    Store,
    /// Only what would change is told.
    DryRun,
}

impl Effect {
    /// By the parameter `dry_run`.
    #[must_use]
    pub const fn of(dry_run: bool) -> Self {
        if dry_run { Self::DryRun } else { Self::Store }
    }
}

/// Who applies documents, whether they are stored, and what the one of them must be that is applied alone.
#[derive(Clone, Copy, Debug)]
pub struct Applying<'a> {
    /// In whose name.
    pub author: &'a str,
    /// Whether they are stored.
    pub effect: Effect,
    /// What the document must be.
    pub expected: Expected,
}

/// Applies documents, all or none; `check` may refuse what is about to change.
///
/// # Errors
/// As `check` says; when a document is not what was expected, there would be too many documents of the kind, somebody else changed one of them meanwhile, or the
/// database fails.
pub async fn apply<'a, D: Document>(
    app: &App,
    Applying {
        author,
        effect,
        expected,
    }: Applying<'_>,
    wanted: &'a [D],
    check: impl FnOnce(&[Change<'a, D>]) -> Answer<()>,
) -> Answer<Vec<Change<'a, D>>> {
    if expected != Expected::Anything && wanted.len() != 1 {
        return Err(Invalid(vec![format!(
            "If-Match and If-None-Match are about one {}; the body has {}: apply them one by one",
            D::KIND.as_str(),
            wanted.len()
        )])
        .into());
    }
    let mut tx = match effect {
        Effect::Store => app.store.begin().await?,
        Effect::DryRun => app.store.read().await?,
    };
    let changes = planned(&mut tx, wanted, expected).await?;
    check(&changes)?;
    if effect == Effect::Store {
        store(app, tx, author, &changes).await?;
    }
    Ok(changes)
}

async fn planned<'a, D: Document>(
    tx: &mut Tx,
    wanted: &'a [D],
    expected: Expected,
) -> Answer<Vec<Change<'a, D>>> {
    let mut changes = Vec::with_capacity(wanted.len());
    for wanted in wanted {
        let newest = tx.document_newest(D::KIND, wanted.name()).await?;
        expected.check(standing(newest.as_ref()), &named::<D>(wanted.name()))?;
        let before = newest.as_ref().and_then(D::of_version);
        let version = newest.as_ref().map_or(0, |newest| newest.version);
        let is_there = newest.is_some_and(|newest| newest.body.is_some());
        let (outcome, version) = match &before {
            Some(before) if before.spec() == wanted.spec() => ("unchanged", version),
            _ if is_there => ("changed", version.saturating_add(1)),
            _ => ("created", version.saturating_add(1)),
        };
        changes.push(Change {
            wanted,
            before,
            outcome,
            version,
        });
    }
    let created = changes.iter().filter(|change| change.outcome == "created");
    let there = tx.documents_standing(D::KIND, D::MAX).await?.len();
    let total = there.saturating_add(created.count());
    if total > D::MAX as usize {
        let kinds = D::KIND.plural();
        return Err(Invalid(vec![format!(
            "there would be {total} {kinds}; there may be {}: delete some, or let one stand for more hosts by its matchers",
            D::MAX
        )])
        .into());
    }
    Ok(changes)
}

/// Stores what is new or other than before, and tells it. The transaction must be the one that it was planned in.
async fn store<D: Document>(
    app: &App,
    mut tx: Tx,
    author: &str,
    changes: &[Change<'_, D>],
) -> Answer<()> {
    let at = app.clock.now();
    let author = clean(author);
    let mut told = Vec::new();
    for change in changes.iter().filter(|one| one.outcome != "unchanged") {
        let name = change.wanted.name();
        let body = serde_json::to_string(&change.wanted.spec())
            .map_err(|error| ApiProblem::internal(&error.to_string()))?;
        let version = DocumentVersion {
            name: name.to_owned(),
            version: change.version,
            at,
            author: author.clone(),
            body: Some(body),
        };
        tx.document_append(D::KIND, &version).await?;
        told.push(format!(
            "{author} {} the {} {name} (version {})",
            change.outcome,
            D::KIND.as_str(),
            change.version
        ));
    }
    if !told.is_empty() {
        let applied = |one: &&Change<'_, D>| one.outcome != "unchanged";
        let names = changes.iter().filter(applied);
        let names: Vec<&str> = names.map(|one| one.wanted.name()).collect();
        let mut record = app.record(applies(D::KIND), D::KIND.plural(), names.join(" "));
        for change in changes.iter().filter(applied) {
            let what = format!("{} (version {})", change.outcome, change.version);
            record = record.with(change.wanted.name(), what);
        }
        record.keep(&mut tx).await?;
    }
    tx.commit().await?;
    for text in told {
        app.note(None, D::APPLIED, text);
    }
    Ok(())
}

/// Deletes the one of that name, and tells it; its versions stay.
///
/// # Errors
/// When there is none, it is not what was expected, somebody else changed it meanwhile, or the database fails.
pub async fn delete<D: Document>(
    app: &App,
    (author, expected): (&str, Expected),
    name: &str,
) -> Answer<()> {
    let mut tx = app.store.begin().await?;
    let newest = tx.document_newest(D::KIND, name).await?;
    let newest = newest
        .filter(|newest| newest.body.is_some())
        .ok_or_else(|| unknown::<D>(name))?;
    expected.check(Some(newest.version), &named::<D>(name))?;
    let author = clean(author);
    let deletion = DocumentVersion {
        name: newest.name,
        version: newest.version.saturating_add(1),
        at: app.clock.now(),
        author: author.clone(),
        body: None,
    };
    tx.document_append(D::KIND, &deletion).await?;
    let record = app.record(deletes(D::KIND), D::KIND.plural(), &deletion.name);
    record.keep(&mut tx).await?;
    tx.commit().await?;
    let text = format!(
        "{author} deleted the {} {}",
        D::KIND.as_str(),
        deletion.name
    );
    app.note(None, D::DELETED, text);
    Ok(())
}

const fn applies(kind: DocumentKind) -> Deed {
    match kind {
        DocumentKind::Budget => Deed::BudgetsApply,
        DocumentKind::Policy => Deed::PoliciesApply,
        DocumentKind::Window => Deed::WindowsApply,
    }
}

const fn deletes(kind: DocumentKind) -> Deed {
    match kind {
        DocumentKind::Budget => Deed::BudgetDelete,
        DocumentKind::Policy => Deed::PolicyDelete,
        DocumentKind::Window => Deed::WindowDelete,
    }
}

/// The version in which a document stands; `None` where it was deleted, or never was.
fn standing(newest: Option<&DocumentVersion>) -> Option<u64> {
    newest
        .filter(|newest| newest.body.is_some())
        .map(|newest| newest.version)
}

fn named<D: Document>(name: &str) -> String {
    format!("the {} {name}", D::KIND.as_str())
}

/// There is no document of that name.
pub fn unknown<D: Document>(name: &str) -> ApiProblem {
    let name: String = name.chars().take(64).collect();
    let (kind, kinds) = (D::KIND.as_str(), D::KIND.plural());
    let title = format!("there is no {kind} {name:?}; the list of {kinds} has their names");
    ApiProblem::new(ErrorCode::NotFound, title)
}
