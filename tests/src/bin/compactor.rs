//! Brings the history of a controller's database to where it would be days later, with the controller's own compactor: for tests
//! that end it on its way.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use tidemark_controller::boot::{Foundation, assemble};
use tidemark_controller::pki::Authority;
use tidemark_controller::tasks::compact::Compactor;
use tidemark_history::compact::Retention;
use tidemark_model::Timestamp;
use tidemark_runtime::{Clock, Entropy, Lifecycle};
use tidemark_store::{DatabaseUrl, Store};

/// A turn of every host takes an hour; after so many everything is merged and rolled up.
const TURNS: u32 = 30;
const TURN: Duration = Duration::from_secs(3_600);

#[derive(Parser)]
struct Arguments {
    /// The database's file, of a controller that is stopped
    #[arg(long)]
    database: PathBuf,
    /// A folder for what a controller needs beside it
    #[arg(long)]
    folder: PathBuf,
    /// What time it is, in milliseconds since 1970
    #[arg(long)]
    at_ms: i64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let at = Timestamp::from_unix_ms(arguments.at_ms);
    let clock = Clock::manual(at);
    let life = Lifecycle::new(TURN);
    let store = Store::open_existing(&DatabaseUrl::sqlite(&arguments.database)).await?;
    let authority = Authority::open(&arguments.folder.join("pki"), at, &Entropy::System)?;
    let app = assemble(Foundation {
        life: life.clone(),
        ..Foundation::unconfigured(store, authority, clock.clone())
    })
    .await?;
    let mut compactor = Compactor::new(Arc::clone(&app), Retention::default());
    for _ in 0..TURNS {
        clock.advance(TURN);
        compactor.activate().await?;
    }
    life.stop();
    life.run_until(std::future::pending(), std::future::pending())
        .await;
    app.store.close().await;
    Ok(())
}
