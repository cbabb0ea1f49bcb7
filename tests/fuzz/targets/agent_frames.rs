//! What agents, and strangers who want to become some, send to a controller.
#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message as _;
use rustls::pki_types::CertificateDer;
use tidemark_fuzz::door::{peer, request};
use tidemark_fuzz::oracle::{text, wire};
use tidemark_fuzz::parts::Parts;
use tidemark_fuzz::{Decoder, run};
use tidemark_model::token::{JoinToken, TokenId};
use tidemark_proto::convert::record::{BatchDecoder, BatchLimits};
use tidemark_proto::convert::{action, audit, checkpoint, delivery, facts, upgrade};
use tidemark_proto::v1::{self, agent_frame::Kind};

const DECODERS: [Decoder; 7] = [
    Decoder {
        name: "agent's frame",
        read: frame,
    },
    Decoder {
        name: "enrolment request",
        read: enrolment,
    },
    Decoder {
        name: "renewal request",
        read: renewal,
    },
    Decoder {
        name: "certificate request (CSR)",
        read: certificate_request,
    },
    Decoder {
        name: "agent's certificate",
        read: certificate,
    },
    Decoder {
        name: "identity key and signature",
        read: identity,
    },
    Decoder {
        name: "join token",
        read: join_token,
    },
];

fuzz_target!(|input: &[u8]| -> libfuzzer_sys::Corpus { run(&DECODERS, input) });

/// As the session's.
const LIMITS: BatchLimits = BatchLimits {
    records_max: 4_096,
    bytes_max: 4 << 20,
};

fn frame(bytes: &[u8]) -> bool {
    let Ok(frame) = v1::AgentFrame::decode(bytes) else {
        return false;
    };
    match frame.kind {
        None => false,
        Some(Kind::Hello(hello)) => {
            let spool = hello.spool.is_none_or(counts);
            hello.facts.is_none_or(host_facts) && spool
        }
        Some(Kind::Records(batch)) => BatchDecoder::default().decode(&batch, LIMITS).is_ok(),
        Some(Kind::Gap(gap)) => wire(
            gap,
            |gap| delivery::gap_from_wire(&gap),
            |gap| delivery::gap_to_wire(*gap),
        )
        .is_some(),
        Some(Kind::Spool(status)) => counts(status),
        Some(Kind::Audit(told)) => {
            wire(told, audit::audit_from_wire, audit::audit_to_wire).is_some()
        }
        Some(Kind::Action(update)) => wire(update, action::report_from_wire, |report| {
            action::report_to_wire(report).expect("a host's report can be told")
        })
        .is_some_and(|report| {
            let ack = action::ack_to_wire(&report).expect("a report can be acknowledged");
            let stored = action::ack_from_wire(&ack).expect("an acknowledgement is legal");
            stored.action == report.id && stored.at == Some(report.at_ms)
        }),
        Some(Kind::Policy(policy)) => {
            wire(policy, action::policy_from_wire, action::policy_to_wire).is_some()
        }
        Some(Kind::Checkpoint(told)) => wire(
            told,
            checkpoint::reported_from_wire,
            checkpoint::reported_to_wire,
        )
        .is_some(),
        Some(Kind::Upgrade(told)) => {
            wire(told, upgrade::report_from_wire, upgrade::report_to_wire).is_some()
        }
        Some(Kind::UpgradePieceWanted(wanted)) => wire(
            wanted,
            |wanted| upgrade::wanted_from_wire(&wanted),
            upgrade::wanted_to_wire,
        )
        .is_some(),
    }
}

fn counts(status: v1::SpoolStatus) -> bool {
    wire(
        status,
        |status| delivery::counts_from_wire(&status),
        |counts| delivery::counts_to_wire(*counts),
    )
    .is_some()
}

fn host_facts(told: v1::HostFacts) -> bool {
    let Ok(read) = facts::facts_from_wire(told.clone()) else {
        return false;
    };
    if read.capabilities.is_empty() {
        // Reports on nothing that is known here. Told again they are none, as of an agent that reports by bits.
        return true;
    }
    wire(told, facts::facts_from_wire, facts::facts_to_wire).is_some()
}

fn enrolment(bytes: &[u8]) -> bool {
    let Ok(asked) = v1::EnrollRequest::decode(bytes) else {
        return false;
    };
    let token = asked.token_id.parse::<TokenId>();
    let facts = asked.facts.is_some_and(host_facts);
    let key = request::request_key_hash(&asked.csr_der);
    let held = request::verify_identity(
        b"tidemark/enroll/v1\0",
        &asked.csr_der,
        &[],
        &asked.identity_spki_der,
        &asked.identity_signature,
    );
    token.is_ok() && facts && key.is_ok() && held.is_ok()
}

fn renewal(bytes: &[u8]) -> bool {
    let Ok(asked) = v1::RenewRequest::decode(bytes) else {
        return false;
    };
    request::verify_identity(
        b"tidemark/renew/v1\0",
        &asked.csr_der,
        &asked.generation.to_be_bytes(),
        &asked.identity_spki_der,
        &asked.identity_signature,
    )
    .is_ok()
        && request::request_key_hash(&asked.csr_der).is_ok()
}

fn certificate_request(der: &[u8]) -> bool {
    let Ok(hash) = request::request_key_hash(der) else {
        return false;
    };
    assert_eq!(request::request_key_hash(der).ok(), Some(hash));
    true
}

fn certificate(der: &[u8]) -> bool {
    match peer::agent_of(&CertificateDer::from(der)) {
        Ok(held) => {
            let named = peer::host_uri(held.host);
            // The host is what the certificate says, byte for byte.
            der.windows(named.len())
                .any(|window| window == named.as_bytes())
        }
        Err(_) => false,
    }
}

/// A key, a request and a signature that do not belong together are never believed.
fn identity(bytes: &[u8]) -> bool {
    let mut parts = Parts::of(bytes);
    let (key, signature, csr) = (parts.bytes(), parts.bytes(), parts.rest());
    let context = b"tidemark/enroll/v1\0";
    let is_believed = request::verify_identity(context, csr, &[], key, signature).is_ok();
    if is_believed {
        let other = request::verify_identity(b"tidemark/renew/v1\0", csr, &[], key, signature);
        assert!(other.is_err(), "a signature of one kind is one of another");
        let longer = [csr, b"x"].concat();
        let other = request::verify_identity(context, &longer, &[], key, signature);
        assert!(
            other.is_err(),
            "a signature of one request is one of another"
        );
    }
    is_believed
}

fn join_token(bytes: &[u8]) -> bool {
    if text::<TokenId>(bytes) {
        return true;
    }
    let Ok(written) = std::str::from_utf8(bytes) else {
        return false;
    };
    let Ok(token) = written.parse::<JoinToken>() else {
        return false;
    };
    assert_eq!(token.expose_text().parse(), Ok(token));
    true
}
