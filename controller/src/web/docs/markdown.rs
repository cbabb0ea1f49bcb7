//! The documentation's Markdown as HTML that the pages' own policy allows: no inline style, headings that can be linked to.

use std::collections::BTreeMap;

use pulldown_cmark::{CodeBlockKind, CowStr, Event, Options, Parser, Tag, TagEnd, html};

/// A page of the book.
pub(super) struct Chapter {
    /// Its first heading.
    pub(super) title: String,
    /// All of it.
    pub(super) html: String,
}

/// A page from its Markdown. Links to other files become links to their pages.
pub(super) fn chapter(text: &str) -> Chapter {
    let mut events: Vec<Event<'_>> = parser(text).map(|event| adapted(event, "")).collect();
    let title = name_headings(&mut events);
    Chapter {
        title,
        html: to_html(events),
    }
}

/// The list of chapters, with addresses that hold on every page.
pub(super) fn contents(text: &str) -> String {
    let events = parser(text).map(|event| adapted(event, "/docs/"));
    // The heading is for people who read the file.
    let list = events.skip_while(|event| !matches!(event, Event::End(TagEnd::Heading(_))));
    to_html(list.skip(1).collect())
}

fn parser(text: &str) -> Parser<'_> {
    Parser::new_ext(text, Options::ENABLE_TABLES)
}

fn to_html(events: Vec<Event<'_>>) -> String {
    let mut text = String::new();
    html::push_html(&mut text, events.into_iter());
    // What is wider than a telephone is scrolled, also with the keyboard.
    text.replace("<pre>", "<pre tabindex=\"0\">")
        .replace("<table>", "<div class=\"table\" tabindex=\"0\"><table>")
        .replace("</table>", "</table></div>")
}

fn adapted<'a>(event: Event<'a>, folder: &str) -> Event<'a> {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "whatever else a library finds in a text stays as it is"
    )]
    match event {
        // Columns that are aligned would be styled inline, which the pages' policy forbids.
        Event::Start(Tag::Table(columns)) => {
            let none = columns.iter().map(|_| pulldown_cmark::Alignment::None);
            Event::Start(Tag::Table(none.collect()))
        }
        // What follows the language is for the test that runs the commands.
        Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
            let language = info.split([',', ' ']).next().unwrap_or_default().to_owned();
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language.into())))
        }
        Event::Start(Tag::Link {
            link_type,
            dest_url,
            title,
            id,
        }) => Event::Start(Tag::Link {
            link_type,
            dest_url: address(&dest_url, folder).map_or(dest_url, CowStr::from),
            title,
            id,
        }),
        other => other,
    }
}

/// The page of a link to another file of the book; `None` for what leads elsewhere.
fn address(link: &str, folder: &str) -> Option<String> {
    if link.contains("://") {
        return None;
    }
    let (file, place) = match link.split_once('#') {
        Some((file, place)) => (file, Some(place)),
        None => (link, None),
    };
    let page = file.strip_suffix(".md")?;
    let place = place.map_or_else(String::new, |place| format!("#{place}"));
    Some(format!("{folder}{page}.html{place}"))
}

/// The words until a heading ends.
fn heading(inner: &[Event<'_>]) -> String {
    let mut words = String::new();
    for event in inner {
        if matches!(event, Event::End(TagEnd::Heading(_))) {
            break;
        }
        if let Event::Text(text) | Event::Code(text) = event {
            words.push_str(text);
        }
    }
    words
}

/// Gives each heading the name that the book gives it; the text of the first.
fn name_headings(events: &mut [Event<'_>]) -> String {
    let mut taken: BTreeMap<String, u32> = BTreeMap::new();
    let mut title = None;
    let mut at = 0;
    while at < events.len() {
        let (before, inner) = events.split_at_mut(at + 1);
        if let Some(Event::Start(Tag::Heading { id, .. })) = before.last_mut() {
            let text = heading(inner);
            *id = Some(name_of(&text, &mut taken).into());
            title.get_or_insert(text);
        }
        at += 1;
    }
    title.unwrap_or_default()
}

/// As mdBook does it: letters and digits in lower case, white space as hyphens, nothing else; a second one is numbered.
fn name_of(heading: &str, taken: &mut BTreeMap<String, u32>) -> String {
    let name: String = heading
        .chars()
        .filter_map(|c| match c {
            _ if c.is_alphanumeric() || matches!(c, '_' | '-') => Some(c.to_ascii_lowercase()),
            _ if c.is_whitespace() => Some('-'),
            _ => None,
        })
        .collect();
    let count = taken.entry(name.clone()).or_default();
    *count += 1;
    match *count {
        1 => name,
        more => format!("{name}-{}", more - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_headings_to_link_to_and_nothing_that_the_policy_forbids() {
        let text = "# A `b` & C!\n\n| a | b |\n|--:|---|\n| 1 | 2 |\n\n## More\n\n## More\n\n```console,wait\n$ x\n```\n";
        let Chapter { title, html } = chapter(text);
        assert_eq!(title, "A b & C!");
        for part in [
            "<h1 id=\"a-b--c\">",
            "<h2 id=\"more\">",
            "<h2 id=\"more-1\">",
            "class=\"language-console\"",
            "<td>1</td>",
        ] {
            assert!(html.contains(part), "{part}: {html}");
        }
        assert!(!html.contains("style="), "{html}");
    }

    #[test]
    fn links_to_files_become_links_to_pages_and_others_stay() {
        let html =
            chapter("[a](x.md) [b](../y.md#z) [c](https://example.com/w.md) [d](#here)").html;
        for link in ["x.html", "../y.html#z", "https://example.com/w.md", "#here"] {
            assert!(html.contains(&format!("href=\"{link}\"")), "{link}: {html}");
        }
        let html = contents("# Summary\n\n- [A](x.md)\n  - [B](y/z.md)\n");
        assert!(
            html.contains("href=\"/docs/x.html\"") && html.contains("href=\"/docs/y/z.html\""),
            "{html}"
        );
        assert!(!html.contains("Summary"), "{html}");
    }
}
