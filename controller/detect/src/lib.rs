//! Trend, forecast and churn of a port space: pure and deterministic.
