//! The section `[oidc]`: the OpenID provider that people may sign in at.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use tidemark_model::{HostScope, Role, Secret};

use super::{duration, noted};
use crate::access::oidc::{Given, OidcSettings};

/// Where a provider sends browsers back to.
const CALLBACK: &str = "/login/oidc/callback";

/// The most that a provider's clock may be off.
const SKEW_MAX: Duration = Duration::from_secs(300);

/// The section as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct OidcConfig {
    issuer: Option<String>,
    client_id: Option<String>,
    client_secret_file: Option<PathBuf>,
    redirect_url: Option<String>,
    label: Option<String>,
    scopes: Option<Vec<String>>,
    name_claim: Option<String>,
    role_claim: Option<String>,
    roles: BTreeMap<String, RoleConfig>,
    clock_skew: Option<String>,
}

/// What a value of the role claim gives, as it is written: `"operator"`, or `{ role = "operator", scope = "team=pay" }`.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a role, or a table with role and scope")]
enum RoleConfig {
    OfAllHosts(String),
    Scoped(ScopedRole),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScopedRole {
    role: String,
    scope: String,
}

impl OidcConfig {
    /// The provider; the outer `None` when something is wrong.
    #[expect(clippy::option_option, reason = "no provider is as fine as one")]
    pub(super) fn check(self, problems: &mut Vec<String>) -> Option<Option<OidcSettings>> {
        let Some(issuer) = self.issuer else {
            if self.client_id.is_some() || !self.roles.is_empty() {
                problems.push("oidc.issuer is missing; it is the provider's own name, as in https://id.example".to_owned());
                return None;
            }
            return Some(None);
        };
        let before = problems.len();
        for (key, url) in [
            ("issuer", Some(issuer.as_str())),
            ("redirect_url", self.redirect_url.as_deref()),
        ] {
            if !url.is_some_and(is_safe) {
                problems.push(format!(
                    "oidc.{key} is {}; it must begin with https:// (http:// only for this machine)",
                    url.map_or_else(|| "missing".to_owned(), |url| format!("{url:?}"))
                ));
            }
        }
        let redirect_url = self.redirect_url.unwrap_or_default();
        if !redirect_url.is_empty() && !redirect_url.ends_with(CALLBACK) {
            problems.push(format!(
                "oidc.redirect_url is {redirect_url:?}; it must end in {CALLBACK}, and the provider must know it"
            ));
        }
        let client_id = self.client_id.unwrap_or_default();
        if client_id.is_empty() {
            problems.push("oidc.client_id is missing; the provider gave it out".to_owned());
        }
        let client_secret = self.client_secret_file.and_then(|path| {
            let read = std::fs::read_to_string(&path)
                .map_err(|error| format!("oidc.client_secret_file: {}: {error}", path.display()));
            noted(read, problems).map(|text| Secret::new(text.trim().to_owned()))
        });
        let roles = roles(self.roles, problems);
        let skew = self.clock_skew.as_deref().unwrap_or("60s");
        let clock_skew = noted(duration("oidc.clock_skew", skew), problems)?;
        if clock_skew > SKEW_MAX {
            problems.push(format!("oidc.clock_skew is {skew}; it must be 5m or less"));
        }
        if problems.len() > before {
            return None;
        }
        let or = |given: Option<String>, default: &str| given.unwrap_or_else(|| default.to_owned());
        Some(Some(OidcSettings {
            issuer,
            client_id,
            client_secret,
            redirect_url,
            label: or(self.label, "your provider"),
            scopes: self
                .scopes
                .unwrap_or_else(|| vec!["profile".to_owned(), "email".to_owned()]),
            name_claim: or(self.name_claim, "preferred_username"),
            role_claim: or(self.role_claim, "groups"),
            roles,
            clock_skew,
        }))
    }
}

/// Which value of the role claim gives which role.
fn roles(
    written: BTreeMap<String, RoleConfig>,
    problems: &mut Vec<String>,
) -> Vec<(String, Given)> {
    let mut roles = Vec::new();
    for (value, written) in written {
        let (name, scope) = match written {
            RoleConfig::OfAllHosts(role) => (role, None),
            RoleConfig::Scoped(ScopedRole { role, scope }) => (role, Some(scope)),
        };
        let scope = HostScope::from_text(scope.as_deref())
            .map_err(|error| format!("oidc.roles gives {value:?} a scope: {error}"));
        let scope = noted(scope, problems);
        match Role::from_name(&name) {
            Some(role) => roles.extend(scope.map(|scope| (value, Given { role, scope }))),
            None => problems.push(format!(
                "oidc.roles gives {value:?} the role {name:?}; it must be one of {}",
                Role::ALL.map(Role::as_str).join(", ")
            )),
        }
    }
    if roles.is_empty() {
        problems.push(
            "oidc.roles is empty, so that nobody could sign in; write which value of the role claim gives which role, as in ops = \"operator\"".to_owned(),
        );
    }
    roles
}

/// Whether what is sent there stays between both: TLS, or this machine.
fn is_safe(url: &str) -> bool {
    let Ok(parsed) = url.parse::<http::Uri>() else {
        return false;
    };
    let host = parsed.host().unwrap_or_default();
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    let is_here = literal == "localhost"
        || literal
            .parse()
            .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    match parsed.scheme_str() {
        Some("https") => !host.is_empty(),
        Some("http") => is_here,
        Some(_) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> (Option<Option<OidcSettings>>, String) {
        let config: OidcConfig = toml::from_str(text).unwrap();
        let mut problems = Vec::new();
        let settings = config.check(&mut problems);
        (settings, problems.join("\n"))
    }

    #[test]
    fn no_provider_is_fine_and_one_needs_little() {
        assert!(matches!(checked(""), (Some(None), _)));
        let (settings, problems) = checked(
            "issuer = \"https://id.example\"\nclient_id = \"tidemark\"\n\
             redirect_url = \"https://tidemark.example/login/oidc/callback\"\n[roles]\nops = \"operator\"\n",
        );
        assert_eq!(problems, "");
        let settings = settings.unwrap().unwrap();
        let scope = HostScope::All;
        let role = Role::Operator;
        assert_eq!(settings.roles, [("ops".to_owned(), Given { role, scope })]);
        assert_eq!(
            (&*settings.name_claim, &*settings.role_claim),
            ("preferred_username", "groups")
        );
    }

    #[test]
    fn a_value_gives_a_role_over_the_hosts_of_a_scope() {
        const HEAD: &str = "issuer = \"https://id.example\"\nclient_id = \"tidemark\"\n\
             redirect_url = \"https://tidemark.example/login/oidc/callback\"\n[roles]\n";
        let given = |roles: &str| checked(&format!("{HEAD}{roles}"));
        let (settings, problems) =
            given("pay = { role = \"operator\", scope = \"team=pay,env=prod\" }");
        assert_eq!(problems, "");
        let (value, given_) = &settings.unwrap().unwrap().roles[0];
        assert_eq!((&**value, given_.role), ("pay", Role::Operator));
        assert_eq!(given_.scope.to_string(), "env=prod,team=pay");
        let (settings, problems) = given("pay = { role = \"operator\", scope = \"\" }");
        assert!(settings.is_none());
        let part = "oidc.roles gives \"pay\" a scope: a scope must have a matcher";
        assert!(problems.contains(part), "{problems}");
        let misspelt = format!("{HEAD}pay = {{ role = \"operator\", scop = \"team=pay\" }}");
        let refused = toml::from_str::<OidcConfig>(&misspelt).unwrap_err();
        let part = "a role, or a table with role and scope";
        assert!(refused.to_string().contains(part), "{refused}");
    }

    #[test]
    fn every_wrong_value_is_named() {
        let (settings, problems) = checked(
            "issuer = \"http://id.example\"\nredirect_url = \"ftp://x/y\"\nclock_skew = \"1h\"\n\
             client_secret_file = \"/nowhere/secret\"\n[roles]\nops = \"root\"\n",
        );
        assert!(settings.is_none());
        for part in [
            "oidc.issuer is \"http://id.example\"",
            "oidc.redirect_url is \"ftp://x/y\"; it must begin with https://",
            "it must end in /login/oidc/callback",
            "oidc.client_id is missing",
            "oidc.client_secret_file: /nowhere/secret",
            "oidc.roles gives \"ops\" the role \"root\"",
            "oidc.roles is empty",
            "oidc.clock_skew is 1h",
        ] {
            assert!(problems.contains(part), "{part}: {problems}");
        }
        let (settings, problems) = checked("client_id = \"x\"");
        assert!(settings.is_none() && problems.contains("oidc.issuer is missing"));
    }
}
