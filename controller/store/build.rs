//! Rebuilds the crate when a migration is added: `sqlx::migrate!` itself only sees changes of those it embedded.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations");
}
