//! Help: the pages of the book that people of the console need, as they were when this program was
//! built.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::response::Response;
use axum::routing::get;
use minijinja::Environment;
use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::failure::Failure;
use crate::page::Page;
use crate::{Console, ROOT, templates};

/// One page of the book.
struct Chapter {
    /// Its name in the address, and that of its file without `.md`.
    name: &'static str,
    text: &'static str,
    title: String,
    /// What the reader can do after it: its first paragraph.
    aim: String,
    html: String,
}

/// The pages by the names of their files, in the order of the list.
macro_rules! book {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/", $name, ".md")))),+]
    };
}

const BOOK: [(&str, &str); 14] = book!(
    "approve",
    "rollouts",
    "operate",
    "on-site",
    "install",
    "troubleshooting",
    "audit",
    "security",
    "upgrade-and-backup",
    "fleet-link",
    "metrics",
    "versions",
    "api",
    "glossary",
);

/// What changed for users, by release, and how the help calls it.
const NEWS: (&str, &str) = ("changelog", include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../CHANGELOG.md")));
const NEWS_TITLE: &str = "What is new";

/// Every page of the help, what is new first.
fn book() -> impl Iterator<Item = (&'static str, &'static str)> {
    std::iter::once(NEWS).chain(BOOK)
}

static CHAPTERS: LazyLock<Vec<Chapter>> = LazyLock::new(|| {
    let mut chapters: Vec<Chapter> = book().map(|(name, text)| chapter(name, text)).collect();
    chapters[0].title = NEWS_TITLE.to_owned();
    chapters
});

pub(crate) fn routes() -> Router<Console> {
    Router::new().route(&format!("{ROOT}/help"), get(list)).route(&format!("{ROOT}/help/{{name}}"), get(show))
}

pub(crate) fn add_templates(environment: &mut Environment<'static>) -> Result<(), minijinja::Error> {
    templates!(environment, "help/list.html", "help/show.html");
    Ok(())
}

/// A heading's name in addresses, as GitHub and mdBook make it, so that links of the book lead here
/// too.
fn slug(text: &str) -> String {
    let kept = text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Where a link of the book leads in the console; `None` for what is not in it, or elsewhere.
fn target(link: &str) -> Option<String> {
    let (file, fragment) = link.split_once('#').map_or((link, ""), |(file, fragment)| (file, fragment));
    let is_name = fragment.chars().all(|c| c.is_alphanumeric() || "-_".contains(c));
    if !is_name {
        return None;
    }
    let hash = if fragment.is_empty() { String::new() } else { format!("#{fragment}") };
    if file.is_empty() {
        return Some(hash);
    }
    let name = file.strip_suffix(".md")?;
    BOOK.iter().any(|(known, _)| *known == name).then(|| format!("{ROOT}/help/{name}{hash}"))
}

/// The text of what stands between here and the end of a heading or a paragraph.
fn text_of<'a>(events: impl Iterator<Item = &'a Event<'a>>) -> String {
    let mut text = String::new();
    for event in events {
        match event {
            Event::Text(part) | Event::Code(part) => text.push_str(part),
            Event::SoftBreak | Event::HardBreak => text.push(' '),
            Event::End(TagEnd::Heading(_) | TagEnd::Paragraph) => break,
            _ => {}
        }
    }
    text
}

/// Renders one page. Markup in the text is shown as text, pictures as their words, and links lead
/// within the book alone.
fn chapter(name: &'static str, text: &'static str) -> Chapter {
    let events: Vec<Event<'_>> = Parser::new_ext(text, Options::ENABLE_TABLES).collect();
    let first = |wanted: fn(&Event<'_>) -> bool| {
        let at = events.iter().position(wanted);
        at.map(|at| text_of(events[at..].iter())).unwrap_or_default()
    };
    let title = first(|event| matches!(event, Event::Start(Tag::Heading { .. })));
    let aim = first(|event| matches!(event, Event::Start(Tag::Paragraph)));
    let mut used: BTreeMap<String, u32> = BTreeMap::new();
    let (mut open_links, mut shown) = (Vec::new(), Vec::new());
    let mut tables = 0;
    for (at, event) in events.iter().enumerate() {
        let raw = |html: &str| Event::Html(CowStr::from(html.to_owned()));
        let made = match event {
            Event::Html(markup) | Event::InlineHtml(markup) => Event::Text(markup.clone()),
            Event::Start(Tag::Heading { level, classes, attrs, .. }) => {
                let slug = slug(&text_of(events[at..].iter()));
                let count = used.entry(slug.clone()).or_insert(0);
                let id = if *count == 0 { slug } else { format!("{slug}-{count}") };
                *count += 1;
                let (classes, attrs) = (classes.clone(), attrs.clone());
                Event::Start(Tag::Heading { level: *level, id: Some(id.into()), classes, attrs })
            }
            Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
                let to = target(dest_url);
                open_links.push(to.is_some());
                let Some(to) = to else { continue };
                let (title, id) = (title.clone(), id.clone());
                Event::Start(Tag::Link { link_type: *link_type, dest_url: to.into(), title, id })
            }
            Event::End(TagEnd::Link) if open_links.pop() != Some(true) => continue,
            Event::Start(Tag::Image { .. }) => raw("<em>"),
            Event::End(TagEnd::Image) => raw("</em>"),
            Event::Start(Tag::CodeBlock(_)) => raw("<pre tabindex=\"0\"><code>"),
            Event::End(TagEnd::CodeBlock) => raw("</code></pre>\n"),
            Event::Start(Tag::Table(_)) => {
                tables += 1;
                let named =
                    format!("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Table {tables}\">");
                shown.push(raw(&named));
                event.clone()
            }
            Event::End(TagEnd::Table) => {
                shown.push(event.clone());
                raw("</div>")
            }
            other => other.clone(),
        };
        shown.push(made);
    }
    let mut html = String::new();
    html::push_html(&mut html, shown.into_iter());
    Chapter { name, text, title, aim, html }
}

fn digest(texts: impl Iterator<Item = &'static str>) -> String {
    hex::encode(texts.fold(Sha256::new(), |hash, text| hash.chain_update(text)).finalize())
}

async fn list(page: Page) -> Result<Response, Failure> {
    let shown = |chapter: &Chapter| json!({ "name": chapter.name, "title": chapter.title, "aim": chapter.aim });
    let chapters: Vec<Value> = CHAPTERS.iter().map(shown).collect();
    let digest = digest(book().map(|(_, text)| text));
    page.render("help/list.html", json!({ "chapters": chapters, "digest": digest }))
}

async fn show(page: Page, Path(name): Path<String>) -> Result<Response, Failure> {
    let Some(found) = CHAPTERS.iter().find(|chapter| chapter.name == name) else {
        return Err(Failure::not_found("The help has no page of that name."));
    };
    let digest = digest([found.text].into_iter());
    page.render("help/show.html", json!({ "title": found.title, "html": found.html, "digest": digest }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_console_the_book_brings_no_markup_of_its_own() {
        let text = "# A <img src=x onerror=alert(1)>\n\n<script>alert(1)</script>\n\n[x](javascript:alert(1)) [y](https://evil.example/) \
            [z](audit.md#find-things) [here](#a) [w](audit.md#\"onclick=) ![pic](rollouts/canary.svg)\n\n```sh\n<b>\n```\n\n| a |\n|---|\n| <i> |\n";
        let made = chapter("x", text);
        for hostile in ["<img", "<script", "<i>", "<b>", "javascript:", "evil.example", "onclick=\""] {
            assert!(!made.html.contains(hostile), "{hostile} in {}", made.html);
        }
        assert!(made.html.contains("href=\"/console/help/audit#find-things\"") && made.html.contains("href=\"#a\""));
        assert!(made.html.contains("&lt;script&gt;") && made.html.contains("<em>pic</em>"), "{}", made.html);
    }

    #[test]
    fn console_every_page_of_the_book_can_be_read() {
        for chapter in CHAPTERS.iter() {
            let Chapter { name, title, aim, html, .. } = chapter;
            assert!(!title.is_empty() && aim.len() > 20, "{name}: {title}: {aim}");
            assert_eq!(html.matches("<h1").count(), 1, "{name}");
            assert!(!html.contains("href=\"http") && !html.contains("<img"), "{name}");
            let ids: Vec<&str> = html.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
            let unique: std::collections::BTreeSet<_> = ids.iter().collect();
            assert_eq!(ids.len(), unique.len(), "{name}: ids are unique");
        }
    }

    #[test]
    fn console_the_help_says_what_is_new() {
        let news = &CHAPTERS[0];
        assert_eq!((news.name, &*news.title), ("changelog", NEWS_TITLE));
        let newest = NEWS.1.lines().find_map(|line| line.strip_prefix("## ")).expect("a release");
        assert!(news.html.contains(&format!(">{newest}</h2>")), "{newest}");
        assert!(news.html.matches("<li>").count() > 20, "each change is an item");
    }

    #[test]
    fn console_links_of_the_book_lead_to_headings() {
        for chapter in CHAPTERS.iter() {
            for link in chapter.html.split("href=\"/console/help/").skip(1) {
                let link = link.split('"').next().unwrap_or_default();
                let (name, fragment) = link.split_once('#').unwrap_or((link, ""));
                let there = CHAPTERS.iter().find(|chapter| chapter.name == name).expect("a page of the book");
                let is_there = fragment.is_empty() || there.html.contains(&format!(" id=\"{fragment}\""));
                assert!(is_there, "{} links to {link}", chapter.name);
            }
        }
    }
}
