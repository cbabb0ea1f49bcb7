//! From a code to somebody who is believed: the exchange, and every check of the ID token.

use std::collections::HashMap;
use std::time::Duration;

use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreProviderMetadata,
    CoreRevocableToken, CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AccessTokenHash, AdditionalClaims, ClaimsVerificationError, Client, EmptyExtraTokenFields,
    EndpointMaybeSet, EndpointNotSet, EndpointSet, IdTokenFields, OAuth2TokenResponse as _,
    SignatureVerificationError, StandardErrorResponse, StandardTokenResponse, TokenResponse as _,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidemark_model::Timestamp;

use super::{
    AuthorizationCode, ClientId, ClientSecret, Given, Handle, Oidc, OidcError, Person, RedirectUrl,
    Wanted, provider,
};
use crate::app::App;

/// Signatures that are believed: made with a key that only the provider has.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// An ID token older than this was not made for this sign-in.
const AGE_MAX: Duration = super::SIGN_IN_LIFE;

/// Claims beyond those of the standard, by name.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Claims(HashMap<String, Value>);

impl AdditionalClaims for Claims {}

type Fields = IdTokenFields<
    Claims,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;

type Answer = StandardTokenResponse<Fields, CoreTokenType>;

/// The controller, as the provider sees it.
pub(super) type OidcClient = Client<
    Claims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Answer,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// The controller as a client of that provider.
pub(super) fn client(oidc: &Oidc, metadata: CoreProviderMetadata) -> Result<OidcClient, OidcError> {
    let settings = &oidc.settings;
    let secret = settings.client_secret.as_ref();
    let secret = secret.map(|secret| ClientSecret::new(secret.expose().clone()));
    let id = ClientId::new(settings.client_id.clone());
    let redirect = RedirectUrl::new(settings.redirect_url.clone()).map_err(provider)?;
    Ok(Client::from_provider_metadata(metadata, id, secret).set_redirect_uri(redirect))
}

/// Exchanges a code, and reads who it is from the ID token.
pub(super) async fn exchange(
    app: &App,
    oidc: &Oidc,
    handle: &Handle,
    code: String,
) -> Result<Person, OidcError> {
    let now = app.clock.now();
    let metadata = oidc.metadata(now, Wanted::Known).await?;
    let answer = client(oidc, metadata.clone())?
        .exchange_code(AuthorizationCode::new(code))
        .map_err(provider)?
        .set_pkce_verifier(handle.verifier())
        .request_async(&oidc.http)
        .await
        .map_err(|error| OidcError::Provider(crate::gateway::outcome::chain(&error).into()))?;
    let first = person(oidc, metadata, (handle, &answer), now);
    let is_key_unknown = matches!(
        &first,
        Err(Disbelief::Claims(
            ClaimsVerificationError::SignatureVerification(
                SignatureVerificationError::NoMatchingKey
            ),
        ))
    );
    let told = if is_key_unknown {
        let again = oidc.metadata(now, Wanted::Again).await?;
        person(oidc, again, (handle, &answer), now)
    } else {
        first
    };
    told.map_err(|why| {
        tracing::warn!(error = %why, "the provider's answer is not believed");
        OidcError::Unbelievable(Box::new(why))
    })
}

/// Why an ID token is not believed.
#[derive(Debug, thiserror::Error)]
enum Disbelief {
    #[error("it has no ID token")]
    None,
    #[error("{0}")]
    Claims(#[source] ClaimsVerificationError),
    #[error("it is for another party than this controller")]
    OtherParty,
    #[error("its access token is another one")]
    OtherToken,
    #[error("it names a key or algorithm that cannot be used")]
    Unusable,
    #[error("{0}")]
    Client(String),
}

fn person(
    oidc: &Oidc,
    metadata: CoreProviderMetadata,
    (handle, answer): (&Handle, &Answer),
    now: Timestamp,
) -> Result<Person, Disbelief> {
    let client = client(oidc, metadata).map_err(|error| Disbelief::Client(error.to_string()))?;
    let skew = oidc.settings.clock_skew;
    let oldest = now.saturating_sub(skew).saturating_sub(AGE_MAX).unix_ms();
    let newest = now.saturating_add(skew).unix_ms();
    let lenient = chrono::DateTime::from_timestamp_millis(now.saturating_sub(skew).unix_ms())
        .unwrap_or_default();
    let verifier = client
        .id_token_verifier()
        .set_allowed_algs(ALGORITHMS)
        .set_time_fn(|| lenient)
        .set_issue_time_verifier_fn(|at| {
            let at_ms = at.timestamp_millis();
            if (oldest..=newest).contains(&at_ms) {
                Ok(())
            } else {
                Err(format!("it was issued at {at}, which is not lately"))
            }
        });
    let id_token = answer.id_token().ok_or(Disbelief::None)?;
    let claims = id_token
        .claims(&verifier, &handle.nonce())
        .map_err(Disbelief::Claims)?;
    let is_other = |party: &ClientId| party.as_str() != oidc.settings.client_id;
    if claims.authorized_party().is_some_and(is_other) {
        return Err(Disbelief::OtherParty);
    }
    if let Some(expected) = claims.access_token_hash() {
        let algorithm = id_token.signing_alg().map_err(|_| Disbelief::Unusable)?;
        let key = id_token
            .signing_key(&verifier)
            .map_err(|_| Disbelief::Unusable)?;
        let found = AccessTokenHash::from_token(answer.access_token(), algorithm, key)
            .map_err(|_| Disbelief::Unusable)?;
        if found != *expected {
            return Err(Disbelief::OtherToken);
        }
    }
    // The standard claims are typed and the others a map; as JSON all of them go by their names.
    let all = serde_json::to_value(claims).unwrap_or_default();
    Ok(Person {
        subject: claims.subject().as_str().to_owned(),
        name: all[&oidc.settings.name_claim].as_str().map(str::to_owned),
        given: given_by(&all[&oidc.settings.role_claim], &oidc.settings.roles),
    })
}

/// The most powerful role that a claim's values give, with each of its scopes that is not within another one. A role over some
/// hosts and another over others are never put together to more than one value gives.
fn given_by(claim: &Value, roles: &[(String, Given)]) -> Vec<Given> {
    let values: Vec<&str> = match claim {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => vec![],
    };
    let given = roles.iter().filter(|(value, _)| values.contains(&&**value));
    let given: Vec<&Given> = given.map(|(_, given)| given).collect();
    let most = given.iter().map(|given| given.role).max();
    let mut widest: Vec<Given> = Vec::new();
    for one in given.into_iter().filter(|one| Some(one.role) == most) {
        if widest.iter().any(|wide| one.scope.is_within(&wide.scope)) {
            continue;
        }
        widest.retain(|narrow| !narrow.scope.is_within(&one.scope));
        widest.push(one.clone());
    }
    widest
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tidemark_model::{HostScope, Role};

    use super::*;

    fn gives(value: &str, role: Role, scope: &str) -> (String, Given) {
        let text = (!scope.is_empty()).then_some(scope);
        let scope = HostScope::from_text(text).unwrap();
        (value.to_owned(), Given { role, scope })
    }

    #[test]
    fn the_most_powerful_role_of_a_claim_counts_and_none_is_none() {
        let roles = [
            gives("ops", Role::Operator, ""),
            gives("leads", Role::Approver, ""),
        ];
        for (claim, role) in [
            (json!(["ops", "leads", "staff"]), Some(Role::Approver)),
            (json!("ops"), Some(Role::Operator)),
            (json!(["OPS", "ops "]), None),
            (json!([["ops"], 1, null]), None),
            (json!({"ops": true}), None),
            (json!(null), None),
        ] {
            let given = given_by(&claim, &roles);
            let found: Vec<Role> = given.iter().map(|given| given.role).collect();
            assert_eq!(found, Vec::from_iter(role), "{claim}");
        }
    }

    #[test]
    fn scopes_of_one_role_are_not_mixed_with_those_of_another() {
        let roles = [
            gives("pay", Role::Operator, "team=pay"),
            gives("pay-prod", Role::Operator, "team=pay,env=prod"),
            gives("web", Role::Operator, "team=web"),
            gives("all", Role::Viewer, ""),
            gives("ops", Role::Operator, ""),
        ];
        for (claim, scopes) in [
            (json!(["pay", "all"]), vec!["team=pay"]),
            (json!(["pay-prod", "pay"]), vec!["team=pay"]),
            (json!(["pay", "pay-prod", "ops"]), vec!["all hosts"]),
            (json!(["web", "pay", "all"]), vec!["team=pay", "team=web"]),
        ] {
            let given = given_by(&claim, &roles);
            let found: Vec<String> = given.iter().map(|one| one.scope.to_string()).collect();
            assert_eq!(found, scopes, "{claim}");
        }
    }
}
