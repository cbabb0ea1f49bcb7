//! For Windows: compiles the agent's messages into its executable, where the event viewer looks for their texts.

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

const MESSAGES: &str = "messages/tidemark.mc";
const TOOLS: &str = "x86_64-w64-mingw32-";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={MESSAGES}");
    if env::var("CARGO_CFG_TARGET_OS")? != "windows" {
        return Ok(());
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    let messages = env::current_dir()?.join(MESSAGES);
    let object = out.join("messages.o");
    // Both tools write beside each other: windres includes the binary table by its name alone.
    run(&out, "windmc", &["-U".as_ref(), messages.as_ref()])?;
    run(&out, "windres", &["tidemark.rc".as_ref(), object.as_ref()])?;
    println!("cargo::rustc-link-arg-bins={}", object.display());
    Ok(())
}

fn run(folder: &Path, tool: &str, arguments: &[&Path]) -> Result<(), Box<dyn Error>> {
    let name = format!("{TOOLS}{tool}");
    let status = Command::new(&name)
        .current_dir(folder)
        .args(arguments)
        .status()
        .map_err(|error| format!("{name}: {error}; apt-get install binutils-mingw-w64-x86-64"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{name} ended with {status}").into())
    }
}
