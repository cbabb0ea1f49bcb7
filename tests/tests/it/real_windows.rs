//! What waits for a real Windows: the script that asks one is PowerShell, and the documentation lists what it asks.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use tidemark_platform::service_facts::SERVICE_NAME;
use tree_sitter::{Node, Parser};

const SCRIPT: &str = include_str!("../../../deploy/windows/check-real-windows.ps1");
const DOCUMENTATION: &str = include_str!("../../../docs/WINDOWS.md");
const PACKAGE: &str = include_str!("../../../deploy/windows/tidemark-agent.wxs");

/// First part of the tree that is no PowerShell.
fn error_in(node: Node<'_>) -> Option<Node<'_>> {
    if node.is_error() || node.is_missing() {
        return Some(node);
    }
    let mut cursor = node.walk();
    let children: Vec<_> = node.children(&mut cursor).collect();
    children.into_iter().find_map(error_in)
}

/// That a text is PowerShell.
pub(crate) fn ensure_powershell(text: &str) -> anyhow::Result<()> {
    let mut parser = Parser::new();
    parser.set_language(&tree_sitter_powershell::LANGUAGE.into())?;
    let tree = parser.parse(text, None).context("it is parsed")?;
    let error = error_in(tree.root_node());
    ensure!(error.is_none(), "{error:?} in {text}");
    Ok(())
}

#[test]
fn the_script_for_a_real_server_is_powershell() -> anyhow::Result<()> {
    ensure_powershell(SCRIPT)?;
    // Without a mark Windows PowerShell reads a file in the server's own code page.
    ensure!(SCRIPT.is_ascii());
    ensure!(SCRIPT.contains(&format!("$ServiceName = '{SERVICE_NAME}'")));
    Ok(())
}

#[test]
fn every_check_of_the_script_stands_in_the_documentation() {
    let asked: BTreeSet<&str> = SCRIPT
        .lines()
        .filter_map(|line| line.strip_prefix("Test-Point '")?.split('\'').next())
        .collect();
    let documented: BTreeSet<&str> = DOCUMENTATION
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" |").next())
        .filter(|name| name.starts_with(|first: char| first.is_ascii_digit()))
        .collect();
    assert_eq!(asked, documented);
    assert!(asked.len() > 20, "{asked:?}");
}

#[test]
fn the_package_makes_the_service_that_the_agent_knows() {
    for facts in [
        format!("<ServiceInstall Id=\"AgentService\" Name=\"{SERVICE_NAME}\""),
        format!("<ServiceControl Id=\"AgentServiceControl\" Name=\"{SERVICE_NAME}\""),
        format!(
            "DisplayName=\"{}\"",
            tidemark_platform::service_facts::DISPLAY_NAME
        ),
        format!(
            "Description=\"{}\"",
            tidemark_platform::service_facts::DESCRIPTION
        ),
        "Arguments=\"service run\"".to_owned(),
    ] {
        assert!(PACKAGE.contains(&facts), "{facts}");
    }
}
