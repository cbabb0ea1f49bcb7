//! The wire contract between agents and controllers, generated from `tidemark/v1/*.proto`, and its one conversion to
//! the model. Nothing else in the product sees wire types and model types together.

pub mod convert;

/// Generated types and services of `tidemark.v1`.
pub mod v1 {
    #![expect(
        missing_docs,
        unused_qualifications,
        clippy::all,
        clippy::allow_attributes,
        clippy::too_many_lines,
        reason = "generated; the .proto files hold the documentation"
    )]
    tonic::include_proto!("tidemark.v1");
}

/// The protocol version that this build speaks.
pub const PROTOCOL_VERSION: u32 = 1;

/// The name in the controller's server certificate, whatever its address: agents trust the CA, not the name service.
pub const SERVER_NAME: &str = "controller.tidemark.internal";
