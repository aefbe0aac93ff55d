//! The shipped elements and the tests that build them.

use std::collections::BTreeSet;

use crate::root;

/// The names of the lines `NAME: TEXT` that are indented by `indent`.
fn names(text: &str, indent: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| line.strip_prefix(indent)?.split_once(": "))
        .filter(|(name, _)| name.starts_with(|c: char| c.is_ascii_lowercase()))
        .map(|(name, _)| name.to_owned())
        .collect()
}

/// Each is either in exercised.yaml with a test (tests/cli checks that this test builds it) or in
/// unbuilt.yaml with a reason.
#[test]
fn every_shipped_element_is_built_by_a_test_or_says_why_not() {
    let read = |name: &str| {
        fs_err::read_to_string(root().join("tests/compat").join(name)).expect("a list")
    };
    let exercised = read("exercised.yaml");
    let (_, exercised) = exercised.split_once("\nshipped:\n").expect("a section");
    let (exercised, _) = exercised.split_once("\nothers:").expect("another section");
    let built = names(exercised, "  ");
    let unbuilt = names(&read("unbuilt.yaml"), "");
    assert!(built.is_sorted() && unbuilt.is_sorted(), "the lists are not sorted");
    let there: BTreeSet<_> = fs_err::read_dir(root().join("elements"))
        .expect("there are elements")
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    let listed: BTreeSet<_> = built.iter().chain(&unbuilt).cloned().collect();
    assert!(listed.len() == built.len() + unbuilt.len(), "one is in both lists");
    let forgotten: Vec<_> = there.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&there).collect();
    assert!(forgotten.is_empty() && gone.is_empty(), "forgotten: {forgotten:?}, gone: {gone:?}");
    for element in &there {
        assert!(
            root().join("elements").join(element).join("README.rst").is_file(),
            "{element} has no README.rst"
        );
    }
}
