//! What every Tidemark process needs: tasks with an owner, clock, entropy, configuration, telemetry, TLS.
