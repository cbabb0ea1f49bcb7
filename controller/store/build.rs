//! Rebuilds the crate when a migration is added: `sqlx::migrate!` itself only sees changes of those it embedded.

#[expect(
    clippy::print_stdout,
    reason = "this is how a build script talks to cargo"
)]
fn main() {
    println!("cargo:rerun-if-changed=../../migrations");
}
