//! Which entities a query is about.

use tidemark_model::entity::EntityKind;
use tidemark_model::{Entity, Metric, Protocol};

/// Which entities a query is about; everything that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntityFilter {
    /// Their kind; `None` for the one that the metric belongs to first of all.
    pub kind: Option<EntityKind>,
    /// What their name says.
    pub text: Option<TextMatch>,
    /// Protocol of their port space.
    pub protocol: Option<Protocol>,
    /// Namespace of their port space, exactly.
    pub namespace: Option<String>,
}

/// How a name must be. Letters of either case are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextMatch {
    /// It holds this somewhere.
    Contains(String),
    /// It is this.
    Is(String),
}

impl TextMatch {
    /// What people write: `=name` for exactly this name, anything else for a part of it.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        match text.strip_prefix('=') {
            Some(name) => Self::Is(name.to_lowercase()),
            None => Self::Contains(text.to_lowercase()),
        }
    }

    fn matches(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        match self {
            Self::Contains(part) => name.contains(&part.to_lowercase()),
            Self::Is(wanted) => name == wanted.to_lowercase(),
        }
    }
}

impl EntityFilter {
    /// Whether a query of `metric` is about `entity`.
    #[must_use]
    pub fn matches(&self, metric: Metric, entity: &Entity) -> bool {
        let space = entity.space();
        let protocol = self
            .protocol
            .is_none_or(|wanted| space.is_some_and(|space| space.protocol == wanted));
        let namespace = self
            .namespace
            .as_ref()
            .is_none_or(|wanted| space.is_some_and(|space| *space.namespace == **wanted));
        entity.kind() == self.kind.unwrap_or(metric.entity_kind())
            && protocol
            && namespace
            && self
                .text
                .as_ref()
                .is_none_or(|text| text.matches(&entity.to_string()))
    }
}
