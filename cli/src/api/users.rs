//! Users, their sessions and sign-ins as typed calls.

use reqwest::Method;
use tidemark_model::view::{
    ApiTokenCreated, MeView, OwnPasswordRequest, PasswordRequest, PasswordText, RoleRequest,
    ScopeRequest, SessionView, SignInRequest, UserRequest, UserView,
};

use super::{Api, LIST_ROWS_MAX, Query, with_body};
use crate::failure::{Failure, TokenSent};

impl Api {
    /// All users by name.
    pub async fn users(&self) -> Result<Vec<UserView>, Failure> {
        self.list(&["users"], Query::new(), LIST_ROWS_MAX).await
    }

    /// One user.
    pub async fn user(&self, name: &str) -> Result<UserView, Failure> {
        self.get(&["users", name]).await
    }

    /// Makes a user.
    pub async fn create_user(&self, wanted: &UserRequest) -> Result<UserView, Failure> {
        let request = self.request(Method::POST, &["users"])?;
        self.json(with_body(request, wanted)).await
    }

    /// Gives a user another role.
    pub async fn set_role(&self, name: &str, role: &str) -> Result<UserView, Failure> {
        let request = self.request(Method::PUT, &["users", name, "role"])?;
        let role = role.to_owned();
        self.json(with_body(request, &RoleRequest { role })).await
    }

    /// Gives a user other hosts; all without a scope.
    pub async fn set_scope(&self, name: &str, scope: Option<String>) -> Result<UserView, Failure> {
        let request = self.request(Method::PUT, &["users", name, "scope"])?;
        self.json(with_body(request, &ScopeRequest { scope })).await
    }

    /// Gives another user a password.
    pub async fn set_password(
        &self,
        name: &str,
        password: PasswordText,
    ) -> Result<UserView, Failure> {
        let request = self.request(Method::PUT, &["users", name, "password"])?;
        self.json(with_body(request, &PasswordRequest { password }))
            .await
    }

    /// Disables, enables or unlocks a user.
    pub async fn tell_user(&self, name: &str, deed: &str) -> Result<(), Failure> {
        let request = self.request(Method::POST, &["users", name, deed])?;
        self.bytes(request).await.map(drop)
    }

    /// Deletes a user.
    pub async fn delete_user(&self, name: &str) -> Result<(), Failure> {
        self.delete(&["users", name]).await
    }

    /// Browsers that are signed in, as far as the caller may see them.
    pub async fn sessions(&self, user: Option<&str>) -> Result<Vec<SessionView>, Failure> {
        let query = user.map(|user| ("user", user.to_owned()));
        self.list(&["sessions"], query.into_iter().collect(), LIST_ROWS_MAX)
            .await
    }

    /// Signs a browser out.
    pub async fn end_session(&self, id: &str) -> Result<(), Failure> {
        self.delete(&["sessions", id]).await
    }

    /// Who the caller is.
    pub async fn me(&self) -> Result<MeView, Failure> {
        self.get(&["me"]).await
    }

    /// Changes the caller's own password.
    pub async fn change_password(&self, wanted: &OwnPasswordRequest) -> Result<(), Failure> {
        let request = self.request(Method::PUT, &["me", "password"])?;
        self.bytes(with_body(request, wanted)).await.map(drop)
    }

    /// A token for a name and a password.
    pub async fn sign_in(&self, wanted: &SignInRequest) -> Result<ApiTokenCreated, Failure> {
        let request = self.request(Method::POST, &["sign-in"])?;
        let answer = self.json(with_body(request, wanted)).await;
        answer.map_err(|failure| {
            if let Failure::Unauthenticated { server, .. } = failure {
                let sent = TokenSent::Password;
                return Failure::Unauthenticated { server, sent };
            }
            failure
        })
    }
}
