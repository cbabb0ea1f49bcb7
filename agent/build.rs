//! For Windows: compiles the agent's messages into its executable, where the event viewer looks for their texts, and its
//! version, which Windows and the agent's own audit tell.

use std::env;
use std::error::Error;
use std::fs;
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
    fs::write(out.join("agent.rc"), resources())?;
    run(&out, "windres", &["agent.rc".as_ref(), object.as_ref()])?;
    println!("cargo::rustc-link-arg-bins={}", object.display());
    Ok(())
}

/// The messages and a `VERSIONINFO`, whose version has four parts.
fn resources() -> String {
    let parts = ["MAJOR", "MINOR", "PATCH"]
        .map(|part| env::var(format!("CARGO_PKG_VERSION_{part}")).unwrap_or_default());
    let numbers = parts.join(",");
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    format!(
        r#"#include "tidemark.rc"
1 VERSIONINFO
FILEVERSION {numbers},0
PRODUCTVERSION {numbers},0
FILETYPE 1
BEGIN
  BLOCK "StringFileInfo"
  BEGIN
    BLOCK "040904B0"
    BEGIN
      VALUE "FileDescription", "Tidemark agent"
      VALUE "FileVersion", "{version}"
      VALUE "OriginalFilename", "tidemark-agent.exe"
      VALUE "ProductName", "Tidemark"
      VALUE "ProductVersion", "{version}"
    END
  END
  BLOCK "VarFileInfo"
  BEGIN
    VALUE "Translation", 0x409, 0x4B0
  END
END
"#
    )
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
