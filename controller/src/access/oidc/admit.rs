//! Whom the provider's word lets in: a user who was here before, or a new one, with the role and hosts that it gives.

use tidemark_model::audit_log::Deed;
use tidemark_store::{NewUser, OidcSubject, Tx, User};

use super::{Given, Oidc, OidcError, Person};
use crate::access::users::{self, name_problem};
use crate::app::App;

/// The user who that is: one who was here before, with the role that the provider gives them at this moment, or a new one.
/// With what changed, to be told once it is committed.
pub(super) async fn admit(
    app: &App,
    oidc: &Oidc,
    tx: &mut Tx,
    person: Person,
) -> Result<(User, Option<String>), OidcError> {
    let who = OidcSubject {
        issuer: oidc.settings.issuer.clone(),
        subject: person.subject,
    };
    let known = match tx.user_of_subject(&who).await? {
        // Held from here on: nobody shuts them out between this look and their session.
        Some(user) => tx.user_hold(&user.name).await?,
        None => None,
    };
    let given = one_of(person.given, &oidc.settings.role_claim);
    if let Some(user) = known {
        if user.disabled_at.is_some() {
            return Err(OidcError::Disabled);
        }
        return match given {
            Ok(given) => regrade(app, tx, user, given).await,
            Err(error) => {
                users::end_sign_ins(app, tx, &user.name, None).await?;
                Err(error)
            }
        };
    }
    let Given { role, scope } = given?;
    let name = person.name.unwrap_or_default().to_lowercase();
    if let Some(problem) = name_problem(&name) {
        return Err(OidcError::NoName {
            claim: oidc.settings.name_claim.clone(),
            problem,
        });
    }
    if tx.user_find(&name).await?.is_some() {
        return Err(OidcError::NameTaken(name));
    }
    let new = NewUser {
        name: name.clone(),
        role,
        scope,
        password_hash: None,
        subject: Some(who),
        created_at: app.clock.now(),
    };
    users::insert(tx, &new).await?;
    let made = users::known(tx, &name).await?;
    app.record(Deed::UserCreate, "users", &name)
        .in_own_name()
        .with("role", role.as_str())
        .with("scope", &made.scope)
        .keep(tx)
        .await?;
    let change = format!(
        "the provider made user {name} as {}, for {}",
        role.as_str(),
        made.scope
    );
    Ok((made, Some(change)))
}

/// What somebody is given, when that is one thing.
fn one_of(given: Vec<Given>, claim: &str) -> Result<Given, OidcError> {
    let claim = claim.to_owned();
    match <[Given; 1]>::try_from(given) {
        Ok([given]) => Ok(given),
        Err(none) if none.is_empty() => Err(OidcError::NoRole(claim)),
        Err(several) => {
            let scopes: Vec<String> = several.iter().map(|one| one.scope.to_string()).collect();
            let scopes = scopes.join("; ");
            Err(OidcError::SeveralScopes { claim, scopes })
        }
    }
}

/// Gives a user what the provider gives them at this moment.
async fn regrade(
    app: &App,
    tx: &mut Tx,
    user: User,
    Given { role, scope }: Given,
) -> Result<(User, Option<String>), OidcError> {
    let mut changes = Vec::new();
    if role != user.role {
        let (after, before) = (role.as_str(), user.role.as_str());
        tx.user_set_role(&user.name, role).await?;
        app.record(Deed::UserSetRole, "users", &user.name)
            .in_own_name()
            .with("role", after)
            .with("before", before)
            .keep(tx)
            .await?;
        changes.push(format!("the role {after} instead of {before}"));
    }
    if scope != user.scope {
        tx.user_set_scope(&user.name, &scope).await?;
        app.record(Deed::UserSetScope, "users", &user.name)
            .in_own_name()
            .with("scope", &scope)
            .with("before", &user.scope)
            .keep(tx)
            .await?;
        changes.push(format!("{scope} instead of {}", user.scope));
    }
    let change = format!(
        "the provider gave user {} {}",
        user.name,
        changes.join(", and ")
    );
    let told = (!changes.is_empty()).then_some(change);
    Ok((
        User {
            role,
            scope,
            ..user
        },
        told,
    ))
}
