//! What can be said about the page without a browser.

use explorer::{CONTENT_SECURITY_POLICY, PAGE};

#[test]
fn page_is_one_whole_document() {
    assert!(PAGE.starts_with("<!doctype html>"));
    assert!(PAGE.ends_with("</html>\n"));
    for tag in ["html", "head", "style", "body", "script", "main"] {
        assert_eq!(PAGE.matches(&format!("</{tag}>")).count(), 1, "{tag}");
    }
}

#[test]
fn page_asks_for_nothing_from_elsewhere() {
    let namespace = "http://www.w3.org/2000/svg";
    let rest = PAGE.replace(namespace, "");
    for forbidden in ["http://", "https://", "src=\"", "@import", "url("] {
        assert!(!rest.contains(forbidden), "{forbidden}");
    }
    assert!(CONTENT_SECURITY_POLICY.contains("default-src 'none'"));
}

#[test]
fn data_enters_the_document_only_as_text() {
    for forbidden in [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "DOMParser",
        "new Function",
    ] {
        assert!(!PAGE.contains(forbidden), "{forbidden}");
    }
}

#[test]
fn ids_that_the_script_names_exist_once() {
    let mut names: Vec<&str> = Vec::new();
    for call in ["byId(\"", "setText(\""] {
        let calls = PAGE.split(call).skip(1);
        names.extend(calls.filter_map(|rest| rest.split('"').next()));
    }
    assert!(names.len() > 15, "{names:?}");
    for name in names {
        assert_eq!(PAGE.matches(&format!("id=\"{name}\"")).count(), 1, "{name}");
    }
}

#[test]
fn hooks_for_browser_tests_are_there() {
    for hook in [
        "id=\"height\"",
        "id=\"step\"",
        "data-curve=\"loss\"",
        "data-curve=\"reward\"",
        "data-curve=\"evaluation\"",
        "\"data-point\"",
        "\"data-miner\"",
        "\"data-slash-reason\"",
        "\"data-proposal\"",
    ] {
        assert!(PAGE.contains(hook), "{hook}");
    }
}
