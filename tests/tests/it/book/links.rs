//! Links of a built book.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Pages that mdBook makes of the others.
const MADE: [&str; 3] = ["print.html", "toc.html", "404.html"];

/// Follows every link of every page under `folder`; how many pages and links there are.
///
/// # Errors
/// The first links that lead nowhere.
pub fn follow(folder: &Path) -> anyhow::Result<(usize, usize)> {
    let (mut pages, mut links, mut dead) = (0, 0, Vec::new());
    for page in html(folder)? {
        if MADE.iter().any(|made| page.ends_with(made)) {
            continue;
        }
        pages += 1;
        let text = fs::read_to_string(&page)?;
        for link in targets(&text) {
            links += 1;
            if !leads_somewhere(&page, &text, link)? {
                dead.push(format!("{}: {link}", page.display()));
            }
        }
    }
    anyhow::ensure!(dead.is_empty(), "links that lead nowhere: {dead:#?}");
    Ok((pages, links))
}

fn html(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(html(&path)?);
        } else if path.extension().is_some_and(|end| end == "html") {
            found.push(path);
        }
    }
    Ok(found)
}

/// Links to other places of the book; those elsewhere are not asked.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    let all = text
        .split(" href=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next());
    all.filter(|link| !link.contains("://") && !link.starts_with("mailto:") && !link.is_empty())
}

fn leads_somewhere(page: &Path, text: &str, link: &str) -> anyhow::Result<bool> {
    let (file, place) = link.split_once('#').unwrap_or((link, ""));
    let there = if file.is_empty() {
        text.to_owned()
    } else {
        let target = page.parent().context("a page is in a folder")?.join(file);
        if !target.is_file() {
            return Ok(false);
        }
        if place.is_empty() {
            return Ok(true);
        }
        fs::read_to_string(target)?
    };
    Ok(place.is_empty() || there.contains(&format!("id=\"{place}\"")))
}
