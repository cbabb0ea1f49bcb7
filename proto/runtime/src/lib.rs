//! What every Tidemark process needs and no domain knows of: tasks with an owner, time, entropy, configuration,
//! telemetry and TLS.

pub mod clock;
pub mod config;
pub mod contexts;
pub mod durable;
pub mod entropy;
pub mod lifecycle;
pub mod log_file;
pub mod telemetry;
pub mod tls;

pub use clock::Clock;
pub use entropy::Entropy;
pub use lifecycle::{Lifecycle, Outcome};
