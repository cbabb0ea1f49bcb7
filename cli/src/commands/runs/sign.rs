//! `run sign`: the orders that were made with a run's plan, grouped as a person can take them in, and signed in one go. What is
//! shown is read from the very bytes that are signed: a controller that shows one thing and sends another gains nothing.

use std::collections::{BTreeMap, BTreeSet};

use tidemark_model::signing::{KeyId, Purpose};
use tidemark_model::view::{RunOrderView, RunSignature, RunSignatures};
use tidemark_model::{HostId, Order};

use super::report::Described;
use crate::args::PassphraseArgs;
use crate::commands::Ctx;
use crate::commands::consent::Consent;
use crate::commands::keys;
use crate::commands::orders;
use crate::commands::show::show_once;
use crate::failure::Failure;
use crate::render::text::visible;

/// Signatures that are brought at once.
const BROUGHT_MAX: usize = 1_000;
/// Hosts of a group that are named.
const NAMED_MAX: usize = 40;

/// An order to be signed.
struct ToSign {
    order: Order,
    host_name: String,
    bytes: Vec<u8>,
}

/// Signs what the key is wanted for and has not signed.
pub(super) async fn sign(
    ctx: &Ctx<'_>,
    number: i64,
    (name, passphrase): (&str, &PassphraseArgs),
    consent: Consent,
) -> Result<(), Failure> {
    let api = ctx.api()?;
    let public = keys::public_of(name)?;
    let key_id = public.id();
    let run = api.run(number).await?;
    let orders = api.run_orders(number).await?;
    let to_sign = to_sign(&orders, key_id)?;
    if to_sign.is_empty() {
        ctx.console.note(&nothing_to_sign(&orders, key_id));
        return show_once(ctx, &Described(run));
    }
    ctx.console.write(&shown(&to_sign))?;
    if !consent.is_given(ctx, "Sign all of them?", "this signs them")? {
        return Ok(());
    }
    let key = keys::open(ctx, name, passphrase)?;
    let public_key = public.to_string();
    let mut signed = run;
    for some in to_sign.chunks(BROUGHT_MAX) {
        let signatures = some.iter().map(|one| {
            let signature = key.sign(Purpose::Order, &one.bytes)?;
            Ok(RunSignature {
                action: one.order.id.to_string(),
                signature: signature.to_base64(),
            })
        });
        let brought = RunSignatures {
            plan_hash: signed.plan.hash.clone(),
            public_key: public_key.clone(),
            signatures: signatures.collect::<Result<_, Failure>>()?,
        };
        signed = api.sign_run(number, &brought).await?;
    }
    show_once(ctx, &Described(signed))
}

/// Orders that want this key, read from their bytes.
fn to_sign(orders: &[RunOrderView], key: KeyId) -> Result<Vec<ToSign>, Failure> {
    let mut ids = BTreeSet::new();
    let mut found = Vec::new();
    for view in orders {
        if !view.keys.contains(&key) || view.signed_by.contains(&key) {
            continue;
        }
        let bytes = view.order.as_bytes().to_vec();
        let order = Order::from_bytes(&bytes).map_err(|error| {
            Failure::usage(format!(
                "the controller sent what is no order ({error}); nothing was signed"
            ))
        })?;
        if order.id.to_string() != view.action || !ids.insert(order.id) {
            return Err(Failure::usage(
                "the controller sent another order than it says, or one twice; nothing was signed",
            ));
        }
        found.push(ToSign {
            order,
            host_name: view.host_name.clone(),
            bytes,
        });
    }
    Ok(found)
}

fn nothing_to_sign(orders: &[RunOrderView], key: KeyId) -> String {
    if orders.is_empty() {
        return "no order of this run can be signed ahead: no host wants signatures, or the window is too far away (the plan says which)"
            .to_owned();
    }
    if orders.iter().any(|order| order.keys.contains(&key)) {
        return format!("key {key} has signed every order that wants it");
    }
    format!("no host of this run takes signatures of key {key}")
}

/// Orders that differ in their hosts alone.
#[derive(Default)]
struct Group {
    hosts: BTreeMap<String, HostId>,
    orders: usize,
}

fn shown(to_sign: &[ToSign]) -> String {
    // Alike is what reads alike: everything that is signed is in it.
    let mut groups: BTreeMap<(String, String), Group> = BTreeMap::new();
    for ToSign {
        order, host_name, ..
    } in to_sign
    {
        let alike = (orders::title(order), orders::particulars(order));
        let group = groups.entry(alike).or_default();
        group
            .hosts
            .insert(format!("{host_name} {}", order.host), order.host);
        group.orders += 1;
    }
    let mut text = String::new();
    for ((title, particulars), group) in &groups {
        let (hosts, orders) = (group.hosts.len(), group.orders);
        let again = match orders > hosts {
            true => format!(" ({orders} orders: it may be tried again)"),
            false => String::new(),
        };
        text.push_str(&format!("{title}\non {hosts} hosts{again}\n{particulars}"));
        for host in group.hosts.keys().take(NAMED_MAX) {
            text.push_str(&format!("  {}\n", visible(host)));
        }
        if let Some(more @ 1..) = hosts.checked_sub(NAMED_MAX) {
            text.push_str(&format!("  and {more} more\n"));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use tidemark_model::action::ActionId;
    use tidemark_model::{ActionSpec, Timestamp};

    use super::*;

    const KEY: KeyId = KeyId::from_bytes([7; 8]);

    fn order(number: u8, pool: &str) -> RunOrderView {
        let order = Order {
            id: ActionId::from_bytes([number; 16]),
            host: HostId::of_identity_spki(&[number]),
            spec: ActionSpec::RecycleAppPool {
                pool: pool.to_owned(),
            },
            dry_run: false,
            issued_at_ms: Timestamp::from_unix_ms(0),
            not_before_ms: Timestamp::from_unix_ms(1),
            expires_at_ms: Timestamp::from_unix_ms(2),
            requester: "ann".to_owned(),
            reason: "run 1 (weekly): patches".to_owned(),
            undo_within_s: None,
        };
        RunOrderView {
            action: order.id.to_string(),
            host_name: format!("web-{number}"),
            order: String::from_utf8(order.to_bytes()).unwrap(),
            wanted: 1,
            keys: vec![KEY],
            signed_by: Vec::new(),
        }
    }

    #[test]
    fn the_same_on_many_hosts_is_one_group_and_something_else_is_not() {
        let mut orders: Vec<_> = (1..=45).map(|number| order(number, "Shop")).collect();
        orders.push(order(99, "Pay"));
        let to_sign = to_sign(&orders, KEY).unwrap();
        let text = shown(&to_sign);
        assert!(text.contains("Shop\non 45 hosts\n"), "{text}");
        assert!(text.contains("and 5 more"), "{text}");
        assert!(text.contains("Pay\non 1 hosts\n"), "{text}");
    }

    #[test]
    fn what_lets_itself_be_undone_says_for_how_long_and_is_a_group_of_its_own() {
        let limit = |number, undo_within_s| {
            let view = order(number, "Shop");
            let read = Order::from_bytes(view.order.as_bytes()).unwrap();
            let limit = Order {
                spec: ActionSpec::SetDotnetConnectionLimit { connections: 12 },
                undo_within_s,
                ..read
            };
            RunOrderView {
                order: String::from_utf8(limit.to_bytes()).unwrap(),
                ..view
            }
        };
        let to_sign = to_sign(&[limit(1, None), limit(2, Some(3_900))], KEY).unwrap();
        let text = shown(&to_sign);
        assert_eq!(text.matches("\non 1 hosts\n").count(), 2, "{text}");
        for part in [
            "undo     within 3900 s of being done, without another signature",
            "undo     not without another signature",
            r#"in full  action="set_dotnet_connection_limit", connections=12"#,
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn only_what_wants_the_key_and_lacks_its_signature_is_signed() {
        let (mut signed, mut other) = (order(1, "Shop"), order(2, "Shop"));
        signed.signed_by.push(KEY);
        other.keys.clear();
        let orders = [signed, other, order(3, "Shop")];
        let found = to_sign(&orders, KEY).unwrap();
        let ids: Vec<_> = found.iter().map(|one| one.order.id).collect();
        assert_eq!(ids, [ActionId::from_bytes([3; 16])]);
    }

    #[test]
    fn an_order_that_is_not_what_it_is_said_to_be_stops_everything() {
        let renamed = RunOrderView {
            action: order(2, "Shop").action,
            ..order(1, "Shop")
        };
        let spaced = RunOrderView {
            order: format!(" {}", order(1, "Shop").order),
            ..order(1, "Shop")
        };
        for odd in [
            vec![renamed],
            vec![spaced],
            vec![order(1, "Shop"), order(1, "Shop")],
        ] {
            assert!(to_sign(&odd, KEY).is_err());
        }
    }
}
