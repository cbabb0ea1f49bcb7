//! The controller: gateway, ingest, history, forecasts, API and pages.
