//! The controller's certificate authority: who is who among agents, without any authority from outside.

pub mod authority;
pub mod issue;
pub mod peer;
pub mod request;

pub use authority::{Authority, AuthorityError};
