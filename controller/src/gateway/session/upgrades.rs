//! A session's part in upgrades: takes what the host says of its program, and sends the pieces that it asks for.

use tidemark_model::upgrade::UpgradeReport;
use tidemark_proto::convert::upgrade::{PieceWanted, piece_to_wire};
use tidemark_proto::v1::controller_frame;
use tonic::Status;

use super::Session;
use crate::gateway::outcome::status_of;
use crate::upgrades::report::{piece, take_report};

impl Session {
    /// A report that cannot be stored ends the session: the host tells it again with the next one.
    pub(super) async fn take_upgrade(&self, told: UpgradeReport) -> Result<(), Status> {
        let teller = (self.host, self.id);
        let taken = take_report(&self.app, teller, told).await;
        taken.map_err(|error| status_of(&error))
    }

    pub(super) async fn send_piece(&self, wanted: PieceWanted) -> Result<(), Status> {
        let piece = piece(&self.app, wanted)
            .await
            .map_err(|error| status_of(&error))?;
        self.send(controller_frame::Kind::UpgradePiece(piece_to_wire(piece)))
            .await
    }
}
