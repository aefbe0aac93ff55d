//! `element-info`: what a list of elements expands to.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::element::{resolve, scan};
use crate::error::{Failure, Kind, Result};

/// Runs `element-info [--env|-e] ELEMENT...`; needs `ELEMENTS_PATH`.
///
/// # Errors
///
/// When `ELEMENTS_PATH` is empty or the elements do not resolve.
pub fn element_info(arguments: &[OsString]) -> Result<u8> {
    let words: Vec<String> =
        arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    if words.iter().any(|word| word == "-h" || word == "--help") {
        crate::report::print(
            "usage: element-info [--env|-e] ELEMENT...\n\nPrints the elements with all they depend on; with --env as shell definitions to eval.\n",
        );
        return Ok(0);
    }
    let env = words.iter().any(|word| word == "--env" || word == "-e");
    let wanted: Vec<String> = words.into_iter().filter(|word| !word.starts_with('-')).collect();
    let path = std::env::var("ELEMENTS_PATH").unwrap_or_default();
    let search: Vec<PathBuf> =
        path.split(':').filter(|entry| !entry.is_empty()).map(PathBuf::from).collect();
    if search.is_empty() {
        return Err(Failure::new(Kind::Configuration, "ELEMENTS_PATH must be set")
            .hint("name the directories that hold elements, separated by colons"));
    }
    let graph = resolve(&scan(&search)?, &wanted)?;
    let paths: BTreeMap<_, _> =
        graph.elements.iter().map(|e| (e.name.clone(), e.path.display().to_string())).collect();
    if !env {
        crate::report::print(&format!("{}\n", graph.names()));
        return Ok(0);
    }
    let quote =
        |text: &str| shlex::try_quote(text).map_or_else(|_| String::new(), |q| q.into_owned());
    let yaml: Vec<_> = paths.iter().map(|(name, path)| format!("{name}: {path}")).collect();
    let pairs: Vec<_> = paths.iter().map(|(name, path)| format!("[{name}]={path} ")).collect();
    crate::report::print(&format!(
        "export IMAGE_ELEMENT={}\nexport IMAGE_ELEMENT_YAML={}\nfunction get_image_element_array {{\n  echo {}\n}};\nexport -f get_image_element_array;\n",
        quote(&graph.names()),
        quote(&format!("{{{}}}", yaml.join(", "))),
        quote(&pairs.concat()),
    ));
    Ok(0)
}
