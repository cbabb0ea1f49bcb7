//! The documentation at `/docs/`, as somebody reads it who is not signed in.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::{StatusCode, Url};
use tidemark_model::runbook;

use crate::api::client;
use crate::made_up::MadeUp;

/// Targets of a page's links, without those to other sites.
fn links(html: &str) -> impl Iterator<Item = &str> {
    let all = html.split(" href=\"").skip(1);
    let all = all.filter_map(|rest| rest.split('"').next());
    all.filter(|link| !link.contains("://"))
}

/// Every page of the documentation by its path, found by following links from the first.
async fn read_all(fleet: &MadeUp) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![fleet.url("/docs/")];
    while let Some(url) = open.pop() {
        let path = Url::parse(&url).unwrap().path().to_owned();
        if found.contains_key(&path) {
            continue;
        }
        let answer = client().get(&url).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        let policy = &answer.headers()["content-security-policy"];
        assert!(policy.to_str().unwrap().contains("default-src 'none'"));
        let html = answer.text().await.unwrap();
        for forbidden in ["<script", " style=", "onclick"] {
            assert!(!html.contains(forbidden), "{path}: {forbidden}");
        }
        for link in links(&html) {
            let to = Url::parse(&url).unwrap().join(link).unwrap();
            if to.path().starts_with("/docs/") {
                let page = to.as_str().split('#').next().unwrap().to_owned();
                open.push(page);
            }
        }
        found.insert(path, html);
    }
    found
}

#[tokio::test]
async fn every_page_is_served_to_everybody_and_its_links_lead_somewhere() {
    let fleet = MadeUp::start().await;
    let pages = read_all(&fleet).await;
    for code in runbook::codes() {
        assert!(pages.contains_key(&runbook::path(code)), "{code}");
    }
    let mut dead = BTreeSet::new();
    for (path, html) in &pages {
        let here = Url::parse(&fleet.url(path)).unwrap();
        for link in links(html) {
            let to = here.join(link).unwrap();
            let (Some(place), Some(page)) = (to.fragment(), pages.get(to.path())) else {
                continue;
            };
            if !page.contains(&format!("id=\"{place}\"")) {
                dead.insert(format!("{path}: {link}"));
            }
        }
    }
    assert!(dead.is_empty(), "{dead:#?}");
}

#[tokio::test]
async fn pictures_of_pages_are_served_with_them() {
    let fleet = MadeUp::start().await;
    let mut pictures = 0;
    for (path, html) in read_all(&fleet).await {
        let sources = html.split("<img src=\"").skip(1);
        for source in sources.filter_map(|rest| rest.split('"').next()) {
            let url = Url::parse(&fleet.url(&path)).unwrap().join(source).unwrap();
            if !url.path().starts_with("/docs/") {
                continue;
            }
            let answer = client().get(url).send().await.unwrap();
            assert_eq!(answer.headers()["content-type"], "image/png", "{path}");
            assert!(answer.bytes().await.unwrap().starts_with(b"\x89PNG"));
            pictures += 1;
        }
    }
    assert!(pictures > 0);
}

#[tokio::test]
async fn what_is_no_page_is_not_found_and_says_where_the_contents_are() {
    let fleet = MadeUp::start().await;
    for path in [
        "/docs/nothing.html",
        "/docs/runbooks/leak.md",
        "/docs/book.toml",
        "/docs/..%2f..%2fREADME.html",
        "/docs/%2fetc%2fpasswd.html",
    ] {
        let answer = client().get(fleet.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
        let page = answer.text().await.unwrap();
        assert!(page.contains("its contents are at /docs/"), "{page}");
    }
}
