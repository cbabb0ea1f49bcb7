//! What a controller reads of strangers before it knows them: modules of it that stand by themselves, so that the whole of it
//! need not be built.

#[path = "../../../controller/src/pki/peer.rs"]
pub mod peer;
#[path = "../../../controller/src/pki/request.rs"]
pub mod request;
