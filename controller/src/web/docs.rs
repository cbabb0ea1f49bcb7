//! `/docs/`: the documentation from inside the binary, at the same addresses as the book that is built from it.
//!
//! Anybody may read it: it says nothing about the fleet, and whoever is paged at night need not sign in for a runbook.

mod markdown;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use askama::Template;
use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse as _, Redirect, Response};
use rust_embed::RustEmbed;
use tidemark_model::ErrorCode;

use super::{for_person, page as respond};
use crate::api::problem::{Answer, ApiProblem};
use markdown::Chapter;

#[derive(RustEmbed)]
#[folder = "../docs/"]
#[include = "*.md"]
#[include = "screenshots/upgrades.png"]
struct Book;

/// The list of chapters; links to pages under `/docs/`.
static CONTENTS: LazyLock<String> =
    LazyLock::new(|| text_of("SUMMARY").map_or_else(String::new, |text| markdown::contents(&text)));

/// Every page by the name of its file, made once.
static CHAPTERS: LazyLock<BTreeMap<String, Chapter>> = LazyLock::new(|| {
    let chapter = |file: Cow<'static, str>| {
        let name = file.strip_suffix(".md")?.to_owned();
        let chapter = markdown::chapter(&text_of(&name)?);
        Some((name, chapter))
    };
    Book::iter().filter_map(chapter).collect()
});

/// `GET /docs`.
pub async fn root() -> Redirect {
    Redirect::permanent("/docs/")
}

/// `GET /docs/`.
pub async fn first() -> Response {
    for_person(chapter("index"))
}

/// `GET /docs/{*page}`, as in `/docs/runbooks/bound_leak.html`; and the pictures of its pages.
pub async fn page(Path(page): Path<String>) -> Response {
    if page.ends_with(".png")
        && let Some(picture) = file_of(&page)
    {
        return ([(header::CONTENT_TYPE, "image/png")], picture).into_response();
    }
    for_person(page.strip_suffix(".html").map_or_else(missing, chapter))
}

fn missing<T>() -> Answer<T> {
    Err(ApiProblem::new(
        ErrorCode::NotFound,
        "there is no such page in the documentation; its contents are at /docs/",
    ))
}

/// The page that was written as `name.md`.
fn chapter(name: &str) -> Answer<Response> {
    let Some(Chapter { title, html }) = CHAPTERS.get(name) else {
        return missing();
    };
    let address = format!("href=\"/docs/{name}.html\"");
    Ok(respond(&DocsPage {
        contents: CONTENTS.replace(&address, &format!("{address} aria-current=\"page\"")),
        title,
        html,
        version: env!("CARGO_PKG_VERSION"),
    }))
}

fn text_of(name: &str) -> Option<String> {
    String::from_utf8(file_of(&format!("{name}.md"))?.into_owned()).ok()
}

fn file_of(path: &str) -> Option<Cow<'static, [u8]>> {
    // A name that leads elsewhere is no file of the book.
    if path
        .split('/')
        .any(|part| part.is_empty() || part.starts_with('.'))
    {
        return None;
    }
    Some(Book::get(path)?.data)
}

#[derive(Template)]
#[template(path = "docs.html")]
struct DocsPage {
    title: &'static str,
    /// Ours, from Markdown.
    contents: String,
    /// Ours, from Markdown.
    html: &'static str,
    version: &'static str,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tidemark_model::runbook;

    use super::*;

    /// The targets of a page's links.
    fn links(html: &str) -> impl Iterator<Item = &str> {
        html.split("href=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
    }

    #[test]
    fn every_code_has_a_page_at_the_address_that_is_told() {
        for code in runbook::codes() {
            let path = runbook::path(code);
            let name = path
                .strip_prefix("/docs/")
                .and_then(|path| path.strip_suffix(".html"));
            assert_eq!(CHAPTERS[name.unwrap()].title, code);
        }
    }

    #[test]
    fn every_page_is_in_the_contents_and_every_link_of_them_leads_to_a_page() {
        let listed: BTreeSet<String> = links(&CONTENTS).map(str::to_owned).collect();
        let pages: BTreeSet<String> = Book::iter()
            .filter(|file| file.ends_with(".md") && &**file != "SUMMARY.md")
            .map(|file| format!("/docs/{}.html", file.strip_suffix(".md").unwrap()))
            .collect();
        assert_eq!(listed, pages);
    }

    #[test]
    fn no_name_leads_out_of_the_book() {
        for name in [
            "../README",
            "runbooks/../../README",
            "",
            "/etc/passwd",
            "runbooks//leak",
            ".",
        ] {
            assert!(chapter(name).is_err(), "{name}");
        }
    }
}
