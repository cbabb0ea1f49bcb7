//! How far the orders of runs are signed: by keys that their hosts believe at the moment.

use std::collections::{BTreeMap, HashMap};

use tidemark_model::HostId;
use tidemark_model::action::{ActionId, HostPolicyView, Order};
use tidemark_model::run::Run;
use tidemark_model::signing::KeyId;
use tidemark_store::{RunOrder, RunOrderCount, StoreError, StoredKeyStatement, Tx};

use crate::keys::bring::newest;
use crate::keys::{count_taken, not_believed};

/// Orders that are read at once.
const PAGE: u32 = 1_000;

/// Keys that each host does not believe, each with why, worked out once.
#[derive(Default)]
pub(super) struct NotBelieved(HashMap<HostId, BTreeMap<KeyId, String>>);

impl NotBelieved {
    pub(super) fn of(
        &mut self,
        (host, policy): (HostId, &HostPolicyView),
        statements: &[StoredKeyStatement],
    ) -> &BTreeMap<KeyId, String> {
        let entry = self.0.entry(host);
        entry.or_insert_with(|| not_believed(policy, statements))
    }
}

/// Which keys signed these orders of a run; those that nobody signed are not among them.
///
/// # Errors
/// When the database fails.
pub async fn signers_of(
    tx: &mut Tx,
    number: i64,
    orders: impl Iterator<Item = ActionId> + Clone,
) -> Result<HashMap<ActionId, Vec<KeyId>>, StoreError> {
    let mut signers: HashMap<ActionId, Vec<KeyId>> = HashMap::new();
    if let Some((first, last)) = orders.clone().min().zip(orders.max()) {
        for (id, key) in tx.run_order_signers(number, first..=last).await? {
            signers.entry(id).or_default().push(key);
        }
    }
    Ok(signers)
}

/// How far the orders of each of these runs are signed, by number; those of a run that has ended as they were.
///
/// # Errors
/// When the database fails.
pub async fn counts(tx: &mut Tx, runs: &[Run]) -> Result<HashMap<i64, RunOrderCount>, StoreError> {
    let numbers = || runs.iter().map(|run| run.number);
    let (Some(first), Some(last)) = (numbers().min(), numbers().max()) else {
        return Ok(HashMap::new());
    };
    let counts = tx.run_order_counts(first..=last).await?;
    let mut counts: HashMap<i64, RunOrderCount> = counts.into_iter().collect();
    let mut statements = None;
    for run in runs.iter().filter(|run| !run.state.is_final()) {
        let Some(count) = counts.get_mut(&run.number).filter(|one| one.signed > 0) else {
            continue;
        };
        let statements = match &statements {
            Some(read) => read,
            None => statements.insert(newest(tx).await?),
        };
        count.signed = believed(tx, run.number, statements).await?;
    }
    Ok(counts)
}

/// How many orders of a run have as many signatures as their hosts want, of keys that these believe.
async fn believed(
    tx: &mut Tx,
    number: i64,
    statements: &[StoredKeyStatement],
) -> Result<u64, StoreError> {
    let mut lost = NotBelieved::default();
    let (mut signed, mut after) = (0_u64, None);
    loop {
        let page = tx.run_orders_page(number, after, PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(signed);
        };
        after = Some(last.id);
        let mut signers = signers_of(tx, number, page.iter().map(|order| order.id)).await?;
        let read = |stored: RunOrder| {
            let keys = signers.remove(&stored.id)?;
            let order = Order::from_bytes(&stored.bytes).ok()?;
            Some((order, stored.wanted, keys))
        };
        let read: Vec<_> = page.into_iter().filter_map(read).collect();
        let hosts: Vec<HostId> = read.iter().map(|(order, ..)| order.host).collect();
        let policies = tx.host_policies_of(&hosts).await?;
        for (order, wanted, keys) in read {
            let count = match policies.get(&order.host) {
                Some(policy) => {
                    let lost = lost.of((order.host, policy), statements);
                    count_taken((policy, lost), order.spec.tier(), &keys)
                }
                None => keys.len(),
            };
            signed += u64::from(count as u64 >= u64::from(wanted));
        }
    }
}
