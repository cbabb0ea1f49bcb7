//! Why something is not done about a user.

use tidemark_model::ErrorCode;
use tidemark_model::error_code::ApiError;
use tidemark_store::StoreError;

use super::USERS_MAX;
use crate::access::password::HashError;
use crate::access::sign_in::SignInError;

/// Why something is not done about a user.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// Values that are not as they must be.
    #[error("{}", .0.join("; "))]
    Invalid(Vec<String>),
    /// Nobody has that name.
    #[error("there is no such user; the list of users has their names: tidemark user list")]
    Unknown,
    /// Somebody has that name.
    #[error("there is a user of that name already; choose another one")]
    Taken,
    /// Too many.
    #[error("there are {USERS_MAX} users, which is the limit; delete some who are gone")]
    TooMany,
    /// Somebody is about to shut everybody out.
    #[error(
        "{name} is the last enabled admin of all hosts who can sign in; make another one first: tidemark user create NAME --role admin"
    )]
    LastAdmin {
        /// Who.
        name: String,
    },
    /// Somebody is about to raise themselves.
    #[error("nobody raises their own role; ask another admin")]
    OwnRole,
    /// Somebody is about to see more hosts.
    #[error("nobody widens their own scope; ask another admin")]
    OwnScope,
    /// Somebody sets their own password without showing the one that they have.
    #[error(
        "change your own password with the one that you have: tidemark user set-password, without a name"
    )]
    OwnPassword,
    /// Only users have passwords.
    #[error("only a user has a password to change; you came in with {0}")]
    NoUser(&'static str),
    /// Why the password that somebody has is not taken.
    #[error(transparent)]
    SignIn(#[from] SignInError),
    /// No place to hash a password.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// What the database says.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ApiError for UserError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Invalid(_) => ErrorCode::InvalidArgument,
            Self::Unknown => ErrorCode::NotFound,
            Self::Taken => ErrorCode::Conflict,
            Self::TooMany => ErrorCode::Exhausted,
            Self::LastAdmin { .. } | Self::NoUser(_) => ErrorCode::Precondition,
            Self::OwnRole | Self::OwnScope | Self::OwnPassword => ErrorCode::Forbidden,
            // They are signed in; the password that they typed is what is wrong.
            Self::SignIn(SignInError::Refused) => ErrorCode::Forbidden,
            Self::SignIn(error) => error.code(),
            Self::Hash(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::SignIn(error) => error.retry_after_s(),
            Self::Hash(error) => error.retry_after_s(),
            Self::Invalid(_)
            | Self::Unknown
            | Self::Taken
            | Self::TooMany
            | Self::LastAdmin { .. }
            | Self::OwnRole
            | Self::OwnScope
            | Self::OwnPassword
            | Self::NoUser(_)
            | Self::Store(_) => None,
        }
    }
}
