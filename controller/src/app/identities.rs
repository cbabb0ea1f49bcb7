//! Hosts' identities in the store: enrolling, renewing, facts, and telling a clone from a retry.

use tidemark_model::audit_log::Deed;
use tidemark_model::notice::NoticeKind;
use tidemark_model::{HostFacts, HostId, HostState};
use tidemark_store::{
    BurnOutcome, Host, HostCertificate, JoinTokenRecord, JoinTokenUse, NewHost, StoreError, Tx,
};
use tonic::Status;

use super::App;
use crate::gateway::enrolment::{EnrolmentError, Issued, TokenClaim};
use crate::gateway::outcome::status_of;
use crate::live::{HostProfile, shown_labels};
use crate::pki::peer::AgentHeld;

impl App {
    /// Whether the token lets that host in at the moment, for a price that anybody may have it at; [`App::enrol`] looks again.
    ///
    /// # Errors
    /// [`EnrolmentError`] of the token, and when the database fails.
    pub async fn look_at_token(&self, claim: &TokenClaim) -> Result<(), EnrolmentError> {
        let mut tx = self.store.read().await?;
        let token = token_of(&mut tx, claim).await?;
        lets_in(tx.join_token_foresee(&token, &self.wish_of(claim)).await?)
    }

    fn wish_of(&self, claim: &TokenClaim) -> JoinTokenUse {
        JoinTokenUse {
            token: claim.token,
            identity_hash: claim.identity_hash,
            host: claim.host,
            at: self.clock.now(),
        }
    }

    /// Whether there is such a host, likewise.
    ///
    /// # Errors
    /// [`EnrolmentError::HostUnknown`], [`EnrolmentError::HostRevoked`], and when the database fails.
    pub async fn look_at_renewal(&self, id: HostId) -> Result<(), EnrolmentError> {
        renewable(&mut self.store.read().await?, id).await.map(drop)
    }

    /// Burns the token and records the host and its certificate, in one transaction; says the certificate's
    /// generation. A host that asks again with the same identity gets the same id.
    ///
    /// # Errors
    /// [`EnrolmentError`]; nothing is stored then.
    pub async fn enrol(
        &self,
        claim: &TokenClaim,
        identity_spki: &[u8],
        facts: &HostFacts,
        issued: &Issued<'_>,
    ) -> Result<u64, EnrolmentError> {
        let mut tx = self.store.begin().await?;
        let token = token_of(&mut tx, claim).await?;
        let wish = self.wish_of(claim);
        lets_in(tx.join_token_burn(&wish).await?)?;
        let generation = match tx.host_find(claim.host).await? {
            Some(host) => readmit(&mut tx, &host, facts, issued).await?,
            None => {
                let host = NewHost {
                    id: claim.host,
                    identity_spki: identity_spki.to_vec(),
                    facts: facts.clone(),
                    token_labels: token.labels,
                    enrolled_at: wish.at,
                    certificate: issued.as_generation(1),
                };
                tx.host_insert(&host).await?;
                1
            }
        };
        let host = tx
            .host_find(claim.host)
            .await?
            .ok_or(StoreError::NotFound { what: "host" })?;
        self.record(Deed::HostEnrol, "hosts", claim.host)
            .by_host(claim.host, &facts.name)
            .with("join_token", claim.token)
            .with("certificate", generation)
            .keep(&mut tx)
            .await?;
        tx.commit().await?;
        self.live.put(profile_of(&host));
        self.note(
            Some(claim.host),
            NoticeKind::HostEnrolled,
            format!("{} enrolled with join token {}", facts.name, claim.token),
        );
        Ok(generation)
    }

    /// Records a renewed certificate; says its generation.
    ///
    /// # Errors
    /// [`EnrolmentError::Clone`] when a later certificate was issued to another key since: the host is quarantined.
    pub async fn renew(
        &self,
        id: HostId,
        presented: u64,
        issued: &Issued<'_>,
    ) -> Result<u64, EnrolmentError> {
        let mut tx = self.store.begin().await?;
        let host = renewable(&mut tx, id).await?;
        let current = host.certificate.generation;
        // Asking again with the newest key is a lost answer; anything else with an old generation is a second holder.
        if presented < current && host.certificate.spki_hash != issued.key_hash {
            drop(tx);
            self.quarantine(&host, presented).await?;
            return Err(EnrolmentError::Clone { presented, current });
        }
        // A later generation than is known here was issued after the backup that this database is of.
        let generation = if presented < current {
            current
        } else {
            let certificate = issued.as_generation(presented.saturating_add(1));
            tx.host_set_certificate(id, current, &certificate).await?;
            certificate.generation
        };
        tx.commit().await?;
        let not_after = issued.certificate.not_after;
        self.live.update(id, |host| {
            host.profile.certificate_expires_at = Some(not_after)
        });
        Ok(generation)
    }

    /// Takes what the agent says of its host and of its certificate as a session opens; says whether the host has booted since it
    /// last did. A later certificate than is known here was issued after the backup that this database is of: the authority vouches
    /// for it, and it is the known one from now on.
    ///
    /// # Errors
    /// A status for the agent when the host is unknown, or the database says no; nothing is stored then.
    pub async fn greet(
        &self,
        held: &AgentHeld,
        presented: u64,
        facts: &HostFacts,
    ) -> Result<bool, Status> {
        let _place = self
            .places
            .greetings
            .acquire()
            .await
            .map_err(|_| Status::unavailable("the controller is shutting down"))?;
        let known = self.take_greeting(held, presented, facts).await;
        let Some(known) = known.map_err(|error| status_of(&error))? else {
            return Err(Status::permission_denied(
                "this host is unknown to this controller; enrol it with a new token",
            ));
        };
        if presented > known.certificate.generation {
            self.note(
                Some(held.host),
                NoticeKind::HostConnected,
                format!(
                    "{} holds certificate {presented} and {} was the last known here: the database is older than the certificate",
                    known.facts.name, known.certificate.generation
                ),
            );
        }
        Ok(known.facts.boot_id != facts.boot_id && !known.facts.boot_id.is_empty())
    }

    /// The host as it was known.
    async fn take_greeting(
        &self,
        held: &AgentHeld,
        presented: u64,
        facts: &HostFacts,
    ) -> Result<Option<Host>, StoreError> {
        let Some(known) = self.store.read().await?.host_find(held.host).await? else {
            return Ok(None);
        };
        let mut host = Host {
            facts: facts.clone(),
            ..known.clone()
        };
        if presented > known.certificate.generation {
            host.certificate = HostCertificate {
                generation: presented,
                not_after: held.not_after,
                spki_hash: held.key_hash,
            };
        }
        if host.certificate != known.certificate || host.facts != known.facts {
            let mut tx = self.store.begin().await?;
            if host.certificate != known.certificate {
                tx.host_set_certificate(held.host, known.certificate.generation, &host.certificate)
                    .await?;
            }
            if host.facts != known.facts {
                tx.host_update_facts(held.host, facts).await?;
            }
            tx.commit().await?;
        }
        self.live.put(profile_of(&host));
        Ok(Some(known))
    }

    /// Shuts a host out for good; its session ends at once.
    ///
    /// # Errors
    /// What the database says; [`StoreError::NotFound`] for an unknown host.
    pub async fn revoke(&self, id: HostId) -> Result<(), StoreError> {
        let mut tx = self.store.begin().await?;
        let host = tx
            .host_find(id)
            .await?
            .ok_or(StoreError::NotFound { what: "host" })?;
        if let Ok(revoked) = host.state.revoke() {
            tx.host_set_state(id, host.state_generation, revoked)
                .await?;
            self.record(Deed::HostRevoke, "hosts", id)
                .about(id)
                .with("name", &host.facts.name)
                .keep(&mut tx)
                .await?;
            tx.commit().await?;
            self.note(
                Some(id),
                NoticeKind::HostRevoked,
                format!("{} was revoked", host.facts.name),
            );
        }
        self.live.set_standing(id, HostState::Revoked);
        Ok(())
    }

    /// Takes in a host as the store has it: it enrolled, or was shut out, at another controller. One that the store does not
    /// have stays unknown.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn learn_host(&self, id: HostId) -> Result<(), StoreError> {
        let found = self.store.read().await?.host_find(id).await?;
        if let Some(host) = found {
            self.live.put(profile_of(&host));
            self.hold_standing(id, host.state);
        }
        Ok(())
    }

    /// Holds a standing that was decided elsewhere; the session of a host that is shut out ends.
    pub fn hold_standing(&self, id: HostId, standing: HostState) {
        let (known, is_connected) = self
            .live
            .read(id, |host| {
                (Some(host.profile.standing), host.session.is_some())
            })
            .unwrap_or_default();
        let is_to_end = standing == HostState::Revoked && is_connected;
        if known.is_some_and(|known| known != standing) || is_to_end {
            self.live.set_standing(id, standing);
        }
    }

    async fn quarantine(&self, host: &Host, presented: u64) -> Result<(), StoreError> {
        let Ok(quarantined) = host.state.quarantine() else {
            return Ok(());
        };
        let mut tx = self.store.begin().await?;
        tx.host_set_state(host.id, host.state_generation, quarantined)
            .await?;
        self.record(Deed::HostQuarantine, "hosts", host.id)
            .about(host.id)
            .with("name", &host.facts.name)
            .with("presented", presented)
            .with("issued", host.certificate.generation)
            .keep(&mut tx)
            .await?;
        tx.commit().await?;
        self.live.set_standing(host.id, quarantined);
        let text = format!(
            "{} is quarantined: certificate {presented} was renewed although {} was issued since, so two machines share its identity",
            host.facts.name, host.certificate.generation
        );
        self.note(Some(host.id), NoticeKind::HostQuarantined, text);
        Ok(())
    }
}

/// Whether a token that is used so lets its host in.
const fn lets_in(outcome: BurnOutcome) -> Result<(), EnrolmentError> {
    match outcome {
        BurnOutcome::Burned | BurnOutcome::BurnedBefore { .. } => Ok(()),
        BurnOutcome::Unknown | BurnOutcome::Revoked => Err(EnrolmentError::TokenUnknown),
        BurnOutcome::Expired => Err(EnrolmentError::TokenExpired),
        BurnOutcome::UsedUp => Err(EnrolmentError::TokenUsedUp),
    }
}

/// The token, for whoever knows its secret.
async fn token_of(tx: &mut Tx, claim: &TokenClaim) -> Result<JoinTokenRecord, EnrolmentError> {
    let found = tx.join_token_find(claim.token).await?;
    let token = found.ok_or(EnrolmentError::TokenUnknown)?;
    let is_theirs = subtle::ConstantTimeEq::ct_eq(&token.secret_hash[..], &claim.secret_hash[..]);
    if bool::from(is_theirs) {
        Ok(token)
    } else {
        Err(EnrolmentError::TokenUnknown)
    }
}

/// The host, if it may have another certificate.
async fn renewable(tx: &mut Tx, id: HostId) -> Result<Host, EnrolmentError> {
    let host = tx.host_find(id).await?.ok_or(EnrolmentError::HostUnknown)?;
    if host.state == HostState::Revoked {
        return Err(EnrolmentError::HostRevoked);
    }
    Ok(host)
}

/// A host that is enrolled already and shows a valid token: a retry, or a reinstalled agent that kept its identity.
async fn readmit(
    tx: &mut Tx,
    host: &Host,
    facts: &HostFacts,
    issued: &Issued<'_>,
) -> Result<u64, EnrolmentError> {
    if host.state == HostState::Revoked {
        return Err(EnrolmentError::HostRevoked);
    }
    let current = host.certificate.generation;
    tx.host_update_facts(host.id, facts).await?;
    if host.certificate.spki_hash == issued.key_hash {
        return Ok(current);
    }
    let certificate = issued.as_generation(current.saturating_add(1));
    tx.host_set_certificate(host.id, current, &certificate)
        .await?;
    Ok(certificate.generation)
}

/// The live profile of a stored host; labels that the controller holds win over the agent's own.
#[must_use]
pub fn profile_of(host: &Host) -> HostProfile {
    HostProfile {
        id: host.id,
        name: host.facts.name.clone(),
        os: host.facts.os.clone(),
        agent_version: host.facts.agent_version.clone(),
        boot_id: host.facts.boot_id.clone(),
        time_zone: host.facts.time_zone.clone(),
        capabilities: host.facts.capabilities.clone(),
        labels: shown_labels(&host.facts.labels, &host.controller_labels),
        own_labels: host.facts.labels.clone(),
        controller_labels: host.controller_labels.clone(),
        labels_generation: host.labels_generation,
        standing: host.state,
        enrolled_at: host.enrolled_at,
        certificate_expires_at: Some(host.certificate.not_after),
    }
}
