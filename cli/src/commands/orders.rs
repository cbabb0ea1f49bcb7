//! An order in words, for whoever signs it: everything that is in its bytes, and nothing that is not.

use serde_json::Value;
use tidemark_model::{ActionSpec, Order};

use super::actions::at;
use crate::render::text::visible;

/// What is done, in one line.
pub(super) fn title(order: &Order) -> String {
    let dry_run = if order.dry_run { " (dry run)" } else { "" };
    format!("{}{dry_run}", visible(&order.spec.summary()))
}

/// Everything else that is signed, but the id and the host.
pub(super) fn particulars(order: &Order) -> String {
    // A field that is added is to be shown, too.
    let Order {
        id: _,
        host: _,
        spec,
        dry_run: _,
        issued_at_ms,
        not_before_ms,
        expires_at_ms,
        requester,
        reason,
        undo_within_s,
    } = order;
    let undo = match undo_within_s {
        Some(seconds) => {
            format!("within {seconds} s of being done, without another signature")
        }
        None => "not without another signature".to_owned(),
    };
    format!(
        "in full  {}\nasked by {}, because: {}\nmade     {}\nfrom     {}\nuntil    {}\nundo     {undo}\n",
        visible(&parameters(spec)),
        visible(requester),
        visible(reason),
        at(issued_at_ms.unix_ms()),
        at(not_before_ms.unix_ms()),
        at(expires_at_ms.unix_ms()),
    )
}

/// Every parameter as it is signed: a title leaves some out.
fn parameters(spec: &ActionSpec) -> String {
    match serde_json::to_value(spec) {
        Ok(Value::Object(fields)) => {
            let fields = fields.iter().map(|(name, value)| format!("{name}={value}"));
            fields.collect::<Vec<_>>().join(", ")
        }
        Ok(other) => other.to_string(),
        Err(error) => error.to_string(),
    }
}
