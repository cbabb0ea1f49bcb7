//! Incidents: what sources see becomes what operators are told about. `source` looks, `weigh` decides, `reconcile` stores;
//! who is told is `notify`'s.

pub mod labels;
pub mod operate;
pub mod reconcile;
pub mod source;
pub mod text;
mod weigh;

pub use source::Sight;
