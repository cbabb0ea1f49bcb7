//! Series, segment codec, tiers and the query engine: everything about history but SQL.
