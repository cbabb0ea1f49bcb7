//! What a stolen controller sends to a host, one line a script: its name, the refusal that it must meet, and the order.

use tidemark_model::HostId;
use tidemark_model::action::{Refusal, SignedOrder};
use tidemark_model::signing::{Purpose, Signature};

use super::forge::{Forge, at, hook, reboot, restart, text_of};

type Make = fn(&Forge) -> SignedOrder;
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// Every script that needs nothing but a session.
pub(super) const SCRIPTS: &[(&str, Refusal, Make)] = &[
    // Signatures.
    ("random bytes as signature", Refusal::BadSignature, |f| {
        f.under_bytes(&f.hook(), [0x5a; 64])
    }),
    ("zeros as signature", Refusal::BadSignature, |f| {
        f.under_bytes(&f.hook(), [0; 64])
    }),
    (
        "the neutral point as signature",
        Refusal::BadSignature,
        |f| {
            let mut bytes = [0; 64];
            bytes[0] = 1;
            f.under_bytes(&f.hook(), bytes)
        },
    ),
    ("signature stripped", Refusal::Unsigned, |f| {
        f.signed_by(&[], &f.hook())
    }),
    ("key that is not listed", Refusal::UnknownKey, |f| {
        f.signed_by(&[&f.stranger], &f.hook())
    }),
    (
        "unlisted key under a listed one's id",
        Refusal::BadSignature,
        |f| {
            let order = f.hook();
            let bytes = f.stranger.sign(Purpose::Order, &order.to_bytes()).bytes;
            f.under_bytes(&order, bytes)
        },
    ),
    (
        "signature for another purpose",
        Refusal::BadSignature,
        |f| {
            let order = f.hook();
            let bytes = f.ann.sign(Purpose::Unlock, &order.to_bytes()).bytes;
            f.under_bytes(&order, bytes)
        },
    ),
    ("signature without a purpose", Refusal::BadSignature, |f| {
        f.signed_under(b"", &f.hook())
    }),
    ("signature of another version", Refusal::BadSignature, |f| {
        f.signed_under(b"tidemark.v2.order\0", &f.hook())
    }),
    ("signature of another order", Refusal::BadSignature, |f| {
        let other = f.signed(&f.hook());
        SignedOrder {
            signatures: other.signatures,
            ..f.signed(&f.hook())
        }
    }),
    ("malleable signature, S + L", Refusal::BadSignature, |f| {
        f.malleable(&f.hook())
    }),
    (
        "a listed key beside a stranger's",
        Refusal::UnknownKey,
        |f| f.signed_by(&[&f.ann, &f.stranger], &f.hook()),
    ),
    (
        "one signature where two people are needed",
        Refusal::Unsigned,
        |f| f.signed_by(&[&f.ann], &f.order(reboot())),
    ),
    (
        "one person twice where two are needed",
        Refusal::TwiceSigned,
        |f| f.signed_by(&[&f.ann, &f.ann], &f.order(reboot())),
    ),
    (
        "one person under two ids where two are needed",
        Refusal::BadSignature,
        |f| {
            let mut order = f.signed_by(&[&f.ann], &f.order(reboot()));
            let again: Vec<Signature> = order
                .signatures
                .iter()
                .map(|signature| Signature {
                    key: f.bob.public().id(),
                    ..*signature
                })
                .collect();
            order.signatures.extend(again);
            order
        },
    ),
    ("key beyond its tier", Refusal::UnknownKey, |f| {
        f.signed_by(&[&f.junior], &f.hook())
    }),
    (
        "key beyond its tier as the second one",
        Refusal::UnknownKey,
        |f| f.signed_by(&[&f.ann, &f.junior], &f.order(reboot())),
    ),
    // What was signed, changed.
    (
        "another host's order, signed for it",
        Refusal::WrongHost,
        |f| {
            let other = HostId::of_identity_spki(b"another");
            let mut order = f.hook();
            order.host = other;
            f.signed(&order)
        },
    ),
    ("host swapped after signing", Refusal::BadSignature, |f| {
        let mut order = f.hook();
        let other = HostId::of_identity_spki(b"another");
        order.host = other;
        f.changed_after(&order, |text| {
            text.replace(&other.to_string(), &f.host.to_string())
        })
    }),
    ("action swapped after signing", Refusal::BadSignature, |f| {
        let order = f.order(hook("forbidden", "hostile"));
        f.changed_after(&order, |text| text.replace("forbidden", "count"))
    }),
    (
        "parameter widened after signing",
        Refusal::BadSignature,
        |f| {
            let order = f.order(restart("appsvc"));
            f.changed_after(&order, |text| {
                text.replace("\"stop_timeout_s\":120", "\"stop_timeout_s\":600")
            })
        },
    ),
    (
        "expiry extended after signing",
        Refusal::BadSignature,
        |f| {
            let order = f.hook();
            let end = order.expires_at_ms.unix_ms();
            f.changed_after(&order, |text| {
                text.replace(&end.to_string(), &(end + HOUR).to_string())
            })
        },
    ),
    (
        "dry run flipped after signing",
        Refusal::BadSignature,
        |f| {
            let mut order = f.hook();
            order.dry_run = true;
            f.changed_after(&order, |text| {
                text.replace("\"dry_run\":true", "\"dry_run\":false")
            })
        },
    ),
    (
        "requester swapped after signing",
        Refusal::BadSignature,
        |f| {
            f.changed_after(&f.hook(), |text| {
                text.replace("\"requester\":\"ann\"", "\"requester\":\"eve\"")
            })
        },
    ),
    ("id swapped after signing", Refusal::BadSignature, |f| {
        let (order, other) = (f.hook(), f.hook());
        let mut signed = f.changed_after(&order, |text| {
            text.replace(&order.id.to_string(), &other.id.to_string())
        });
        signed.id = other.id;
        signed
    }),
    ("another id on the envelope", Refusal::Malformed, |f| {
        SignedOrder {
            id: f.hook().id,
            ..f.signed(&f.hook())
        }
    }),
    // Another text for the same order, signed.
    ("a space in the text", Refusal::Malformed, |f| {
        f.changed_before(&f.hook(), |text| text.replacen(':', ": ", 1))
    }),
    ("a name twice", Refusal::Malformed, |f| {
        f.changed_before(&f.hook(), |text| {
            text.replacen("\"dry_run\":false", "\"dry_run\":true,\"dry_run\":false", 1)
        })
    }),
    ("an argument twice", Refusal::Malformed, |f| {
        f.changed_before(&f.hook(), |text| {
            text.replace(
                "\"mark\":\"hostile\"",
                "\"mark\":\"ok\",\"mark\":\"hostile\"",
            )
        })
    }),
    ("a field that nobody knows", Refusal::Malformed, |f| {
        f.changed_before(&f.hook(), |text| text.replacen('{', "{\"tier\":0,", 1))
    }),
    ("fields in another order", Refusal::Malformed, |f| {
        f.changed_before(&f.hook(), |text| {
            let text = text.replace(",\"dry_run\":false", "");
            text.replacen('{', "{\"dry_run\":false,", 1)
        })
    }),
    ("a letter escaped", Refusal::Malformed, |f| {
        f.changed_before(&f.hook(), |text| text.replace("hostile", "hostil\\u0065"))
    }),
    ("something after the end", Refusal::Malformed, |f| {
        f.changed_before(&f.hook(), |text| format!("{text}\n{text}"))
    }),
    ("no text at all", Refusal::Malformed, |f| {
        f.signed_text(f.hook().id, "")
    }),
    ("an action that nobody knows", Refusal::Malformed, |f| {
        f.changed_before(&f.hook(), |text| text.replace("run_hook", "run_shell"))
    }),
    ("a parameter that nobody knows", Refusal::Malformed, |f| {
        f.changed_before(&f.hook(), |text| {
            text.replace("\"name\":", "\"command\":\"reboot\",\"name\":")
        })
    }),
    ("a parameter out of its limits", Refusal::Malformed, |f| {
        f.changed_before(&f.order(restart("appsvc")), |text| {
            text.replace("\"stop_timeout_s\":120", "\"stop_timeout_s\":100000")
        })
    }),
    // Times.
    ("expired", Refusal::Expired, |f| {
        f.signed(&at(f.hook(), (-300, -300, -200)))
    }),
    ("not valid yet", Refusal::NotYet, |f| {
        f.signed(&at(f.hook(), (0, HOUR, 2 * HOUR)))
    }),
    ("made in the future", Refusal::NotYet, |f| {
        f.signed(&at(f.hook(), (DAY, DAY, 2 * DAY)))
    }),
    (
        "valid for longer than orders can be",
        Refusal::Expired,
        |f| f.signed(&at(f.hook(), (0, 0, 15 * DAY))),
    ),
    ("made before the host was there", Refusal::Replayed, |f| {
        f.signed(&at(f.hook(), (-DAY, -DAY, DAY)))
    }),
    // What the host's policy does not allow, signed by everybody who may sign.
    ("an action that is not allowed", Refusal::NotAllowed, |f| {
        let spec = serde_json::json!({"action": "end_process", "pid": 4711, "started_at_ms": 1,
            "image": "java"});
        f.signed_by(&[&f.ann, &f.bob], &f.order(spec))
    }),
    ("a subject that is not allowed", Refusal::NotAllowed, |f| {
        f.signed_by(&[&f.ann, &f.bob], &f.order(restart("other")))
    }),
    ("a subject that is denied", Refusal::NotAllowed, |f| {
        f.signed(&f.order(hook("forbidden", "hostile")))
    }),
    ("a service that is never touched", Refusal::Protected, |f| {
        f.signed_by(&[&f.ann, &f.bob], &f.order(restart("sshd")))
    }),
    ("the agent itself", Refusal::Protected, |f| {
        f.signed_by(&[&f.ann, &f.bob], &f.order(restart("tidemark-agent")))
    }),
    // Hooks.
    ("a hook outside the folder", Refusal::Malformed, |f| {
        f.signed(&f.order(hook("../evil", "hostile")))
    }),
    ("a hook by its absolute path", Refusal::Malformed, |f| {
        f.signed(&f.order(hook("/bin/sh", "hostile")))
    }),
    ("a hook that is hidden", Refusal::Malformed, |f| {
        f.signed(&f.order(hook(".evil", "hostile")))
    }),
    ("a hook that is a link", Refusal::NoSuchTarget, |f| {
        f.signed(&f.order(hook("link", "hostile")))
    }),
    ("a hook that others may write", Refusal::Unsafe, |f| {
        f.signed(&f.order(hook("open", "hostile")))
    }),
    ("a hook that is not there", Refusal::NoSuchTarget, |f| {
        f.signed(&f.order(hook("missing", "hostile")))
    }),
    (
        "an argument that would be a variable of the system",
        Refusal::Malformed,
        |f| {
            let order = f.hook();
            f.changed_before(&order, |text| text.replace("\"mark\"", "\"LD_PRELOAD\""))
        },
    ),
    ("an argument with a line break", Refusal::Malformed, |f| {
        f.signed(&f.order(hook("count", "a\nb")))
    }),
    (
        "a name as long as the order may be",
        Refusal::Malformed,
        |f| {
            let order = f.hook();
            let long = "x".repeat(30_000);
            f.changed_before(&order, |text| text.replace("count", &long))
        },
    ),
    ("arguments without number", Refusal::Malformed, |f| {
        let order = f.hook();
        let many: String = (0..1_000).map(|n| format!("\"a{n:04}\":\"x\",")).collect();
        f.changed_before(&order, |text| {
            text.replace("{\"mark\"", &format!("{{{many}\"mark\""))
        })
    }),
    ("a text of nothing but brackets", Refusal::Malformed, |f| {
        let order = f.hook();
        f.signed_text(order.id, &"[".repeat(text_of(&order).len() * 50))
    }),
];
