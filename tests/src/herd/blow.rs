//! The ways in which a fleet's sessions end all at once.

use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::args::Arguments;
use super::field::{CameUp, Field};
use crate::harness::neighbour::Cable;

/// How long a controller may take to end before the herd gives up; the goal is 15 s.
const END_PATIENCE: Duration = Duration::from_secs(60);

/// How the sessions end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Blow {
    /// A controller is killed, and started again after a while.
    Kill,
    /// A controller is asked to end, which sends its agents away, and started again at once.
    Drain,
    /// The cable to the agents is pulled, and put back after a while.
    Cut,
}

/// What came of a blow.
#[derive(Clone, Copy, Debug)]
pub struct Struck {
    /// When it was.
    pub at: Instant,
    /// When agents could connect again.
    pub open_at: Instant,
    /// From the controller's start until it listened, and until it answered.
    pub came_up: Option<CameUp>,
    /// From the request to end until it had, and whether it ended well.
    pub ended: Option<(Duration, bool)>,
}

/// Strikes, and puts everything back.
///
/// # Errors
/// When a controller does not end or not come back.
pub async fn strike(
    field: &mut Field<'_>,
    kind: Blow,
    victim: usize,
    arguments: &Arguments,
) -> anyhow::Result<Struck> {
    let at = Instant::now();
    let ended = match kind {
        Blow::Kill => {
            field.kill(victim).await?;
            sleep(arguments.down).await;
            None
        }
        Blow::Drain => Some(field.terminate(victim, END_PATIENCE).await?),
        Blow::Cut => {
            field.neighbour().cable(Cable::Pulled).await?;
            sleep(arguments.cut).await;
            field.neighbour().cable(Cable::Plugged).await?;
            return Ok(Struck {
                at,
                open_at: Instant::now(),
                came_up: None,
                ended: None,
            });
        }
    };
    let came_up = field.begin(victim).await?;
    Ok(Struck {
        at,
        open_at: came_up.listens_at,
        came_up: Some(came_up),
        ended,
    })
}
