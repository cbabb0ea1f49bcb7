//! What becomes of a large fleet when its sessions end all at once: one controller or several, real agents' sessions in a
//! network of their own, restarts in rotation, and figures of how the fleet came back. `tests/examples/herd.rs` is its program.

pub mod args;
pub mod asking;
pub mod blow;
pub mod field;
pub mod flock;
pub mod load;
pub mod names;
pub mod report;
pub mod run;
pub mod timeline;

pub use args::Arguments;
pub use report::HerdReport;
