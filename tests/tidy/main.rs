//! House rules that are cheap to check and easy to forget: what a core may not touch, who may depend on whom, that documents
//! say what is there, which test stands for which requirement, and the language of it all.

#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod book;
mod documents;
mod rules;
mod symptoms;
mod trace;
mod words;

use std::path::{Path, PathBuf};

/// The root of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every file below `dir` that ends so, with its path relative to the root, in order.
fn files(dir: &str, ending: &str) -> Vec<(String, String)> {
    fn walk(dir: &Path, ending: &str, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            if name.starts_with('.') || ["target", "demo-run", "vendor"].contains(&name) {
                continue;
            }
            if path.is_dir() {
                walk(&path, ending, found);
            } else if name.ends_with(ending) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    let start = root().join(dir);
    if start.is_file() {
        found.push(start);
    } else {
        walk(&start, ending, &mut found);
    }
    found.sort();
    let text = |path: &PathBuf| std::fs::read_to_string(path).unwrap();
    found.iter().map(|p| (p.strip_prefix(root()).unwrap().display().to_string(), text(p))).collect()
}

/// The part of a source file before its unit tests.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or(text)
}
