//! Bodies of batches and segments by id, of many hosts at a time: what the compactor and queries take.

use std::collections::HashMap;

use tidemark_model::HostId;

use crate::host_rows::HostRows;
use crate::tx::statements;
use crate::{RecentId, SegmentId, StoreError, Tx};

macro_rules! bodies_from {
    ($table:literal) => {
        concat!(
            "SELECT stored.id, stored.body FROM json_each($1) AS hosts, json_each(hosts.value) AS ids \
             CROSS JOIN ",
            $table,
            " AS stored ON stored.host = hosts.key AND stored.id = ids.value"
        )
    };
    (postgres $table:literal) => {
        concat!(
            "SELECT stored.id, stored.body FROM UNNEST($1::text[], $2::bigint[]) AS wanted (host, id) JOIN ",
            $table,
            " AS stored ON stored.host = wanted.host AND stored.id = wanted.id"
        )
    };
}

statements! {
    RECENT_BODIES = bodies_from!("recent"), postgres bodies_from!(postgres "recent");
    SEGMENT_BODIES = bodies_from!("segments"), postgres bodies_from!(postgres "segments");
}

impl Tx {
    /// The bodies of these batches.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when one of them is gone: another compactor was there.
    pub async fn recent_bodies(
        &mut self,
        wanted: impl IntoIterator<Item = (HostId, RecentId)>,
    ) -> Result<HashMap<RecentId, Vec<u8>>, StoreError> {
        let mut rows = HostRows::default();
        for (host, RecentId(id)) in wanted {
            rows.add(host, [id]);
        }
        let found = self
            .bodies_of(RECENT_BODIES, &rows, "host's recent batch")
            .await?;
        let of_ids = found.into_iter().map(|(id, body)| (RecentId(id), body));
        Ok(of_ids.collect())
    }

    /// The bodies of these segments.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when one of them is gone: another compactor was there.
    pub async fn segment_bodies(
        &mut self,
        wanted: impl IntoIterator<Item = (HostId, SegmentId)>,
    ) -> Result<HashMap<SegmentId, Vec<u8>>, StoreError> {
        let mut rows = HostRows::default();
        for (host, SegmentId(id)) in wanted {
            rows.add(host, [id]);
        }
        let found = self
            .bodies_of(SEGMENT_BODIES, &rows, "host's segment")
            .await?;
        let of_ids = found.into_iter().map(|(id, body)| (SegmentId(id), body));
        Ok(of_ids.collect())
    }
}
