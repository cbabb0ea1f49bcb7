//! Documents that people apply: planned and stored in one transaction, all or none, and deleted with their history kept.

use serde::Serialize;
use tidemark_model::ErrorCode;
use tidemark_model::notice::NoticeKind;
use tidemark_store::{DocumentKind, DocumentVersion, Tx};

use super::body::Invalid;
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

/// What applying these would change.
///
/// # Errors
/// When there would be too many documents of the kind, or the database fails.
pub async fn planned<'a, D: Document>(tx: &mut Tx, wanted: &'a [D]) -> Answer<Vec<Change<'a, D>>> {
    let mut changes = Vec::with_capacity(wanted.len());
    for wanted in wanted {
        let newest = tx.document_newest(D::KIND, wanted.name()).await?;
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
///
/// # Errors
/// When somebody else changed one of them meanwhile, or the database fails; nothing is stored then.
pub async fn store<D: Document>(
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
    tx.commit().await?;
    for text in told {
        app.note(None, D::APPLIED, text);
    }
    Ok(())
}

/// Deletes the one of that name, and tells it; its versions stay.
///
/// # Errors
/// When there is none, somebody else changed it meanwhile, or the database fails.
pub async fn delete<D: Document>(app: &App, author: &str, name: &str) -> Answer<()> {
    let mut tx = app.store.begin().await?;
    let newest = tx.document_newest(D::KIND, name).await?;
    let newest = newest
        .filter(|newest| newest.body.is_some())
        .ok_or_else(|| unknown::<D>(name))?;
    let author = clean(author);
    let deletion = DocumentVersion {
        name: newest.name,
        version: newest.version.saturating_add(1),
        at: app.clock.now(),
        author: author.clone(),
        body: None,
    };
    tx.document_append(D::KIND, &deletion).await?;
    tx.commit().await?;
    let text = format!(
        "{author} deleted the {} {}",
        D::KIND.as_str(),
        deletion.name
    );
    app.note(None, D::DELETED, text);
    Ok(())
}

/// There is no document of that name.
pub fn unknown<D: Document>(name: &str) -> ApiProblem {
    let name: String = name.chars().take(64).collect();
    let (kind, kinds) = (D::KIND.as_str(), D::KIND.plural());
    let title = format!("there is no {kind} {name:?}; the list of {kinds} has their names");
    ApiProblem::new(ErrorCode::NotFound, title)
}
