//! Generates the wire types with protox, so that no protoc is needed to build.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = ["tidemark/v1/enrollment.proto", "tidemark/v1/session.proto"];
    let descriptors = protox::compile(files, ["."])?;
    tonic_prost_build::configure()
        .emit_rerun_if_changed(true)
        .compile_fds(descriptors)?;
    println!("cargo::rerun-if-changed=tidemark");
    Ok(())
}
