//! Who signs a commander's certificates and its hosts': an authority of its own, or one that was stolen.

use std::fs;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData as _, SanType,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tidemark_model::token::CaPin;
use tidemark_proto::{SERVER_NAME, v1};
use tidemark_runtime::Clock;
use tidemark_runtime::tls::TlsIdentity;

use super::HOUR_MS;

/// The authority.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// From what signs up to the root.
    chain: Vec<CertificateDer<'static>>,
    pub(super) root: CertificateDer<'static>,
    /// What join tokens pin; `None` for a stolen one, which nobody joins.
    pub(super) pin: Option<CaPin>,
}

impl Authority {
    pub(super) fn new() -> anyhow::Result<Self> {
        let key = KeyPair::generate()?;
        let pin = CaPin::of_spki(&key.subject_public_key_info());
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let root = params.self_signed(&key)?.der().clone();
        Ok(Self {
            issuer: Issuer::new(params, key),
            chain: vec![root.clone()],
            root,
            pin: Some(pin),
        })
    }

    /// That of a real controller, from its folder.
    pub(super) fn stolen(data_dir: &Path) -> anyhow::Result<Self> {
        let read = |name: &str| fs::read(data_dir.join("pki").join(name));
        let key = KeyPair::from_pkcs8_der_and_sign_algo(
            &PrivatePkcs8KeyDer::from(read("issuing.key.der")?),
            &PKCS_ECDSA_P256_SHA256,
        )?;
        let issuing = CertificateDer::from(read("issuing.crt.der")?);
        let root = CertificateDer::from(read("root.crt.der")?);
        Ok(Self {
            issuer: Issuer::from_ca_cert_der(&issuing, key)?,
            chain: vec![issuing, root.clone()],
            root,
            pin: None,
        })
    }

    pub(super) fn server(&self) -> anyhow::Result<TlsIdentity> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.subject_alt_names = vec![SanType::DnsName(SERVER_NAME.try_into()?)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let leaf = params.signed_by(&key, &self.issuer)?;
        let mut chain = vec![leaf.der().clone()];
        chain.extend(self.chain.iter().cloned());
        Ok(TlsIdentity {
            chain,
            key: PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())),
        })
    }

    pub(super) fn issue(&self, csr_der: &[u8]) -> anyhow::Result<v1::Credentials> {
        let csr = CertificateSigningRequestParams::from_der(&csr_der.into())?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let leaf = params.signed_by(&csr.public_key, &self.issuer)?;
        let now_ms = Clock::System.now().unix_ms();
        Ok(v1::Credentials {
            chain_der: vec![leaf.der().to_vec()],
            root_der: self.root.to_vec(),
            not_before_ms: now_ms - HOUR_MS,
            not_after_ms: now_ms + 72 * HOUR_MS,
            generation: 1,
        })
    }
}
