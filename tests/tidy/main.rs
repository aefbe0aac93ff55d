//! Repository rules: what house.md calls invariants, checked on every commit.

mod elements;

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root").to_path_buf()
}

fn tracked(ending: &str) -> Vec<(String, String)> {
    let output = Command::new("git")
        .arg("-C")
        .arg(root())
        .args(["ls-files", "-co", "--exclude-standard"])
        .output();
    let list =
        String::from_utf8(output.expect("git lists the files").stdout).expect("names are UTF-8");
    let files: Vec<_> = list
        .lines()
        .filter(|name| name.ends_with(ending))
        .filter_map(|name| Some((name.to_owned(), fs_err::read_to_string(root().join(name)).ok()?)))
        .collect();
    assert!(!files.is_empty(), "git lists no {ending} files");
    files
}

/// Lines that are neither tests nor below a `#[cfg(test)] mod tests {`.
fn code_lines(text: &str) -> usize {
    text.lines().take_while(|line| *line != "#[cfg(test)]").count()
}

#[test]
fn rooms_are_small() {
    let large: Vec<_> = tracked(".rs")
        .into_iter()
        .filter(|(name, _)| !name.contains("tests"))
        .map(|(name, text)| (name, code_lines(&text)))
        .filter(|(_, lines)| *lines > 400)
        .collect();
    assert!(large.is_empty(), "over 400 lines: {large:?}");
}

#[test]
fn crates_depend_in_one_direction() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo metadata runs");
    let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    let value: serde_json::Value = serde_json::from_str(&text).expect("cargo writes JSON");
    for package in value["packages"].as_array().expect("packages") {
        let name = package["name"].as_str().unwrap_or_default();
        let allowed: &[&str] = match name {
            "goldsmith" => &["goldsmith-runtime", "goldsmith-images"],
            "goldsmith-tests" => &["goldsmith", "goldsmith-runtime", "goldsmith-images"],
            _ => &[],
        };
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let on = dependency["name"].as_str().unwrap_or_default();
            assert!(
                !on.starts_with("goldsmith") || allowed.contains(&on),
                "{name} depends on {on}"
            );
        }
    }
}

#[test]
fn unsafe_code_lives_in_one_room() {
    for (name, text) in tracked(".rs") {
        let here = name.starts_with("runtime/src/sys/") || name.starts_with("tests/");
        assert!(here || !text.contains("unsafe {"), "{name} has unsafe code");
    }
}

#[test]
fn images_starts_no_process_and_reads_no_environment() {
    for (name, text) in tracked(".rs") {
        if !name.starts_with("images/src") || name.contains("test") {
            continue;
        }
        let code: Vec<_> = text.lines().take_while(|line| *line != "#[cfg(test)]").collect();
        let code = code.join("\n");
        for word in ["process::Command", "env::var", "println!", "eprintln!"] {
            assert!(!code.contains(word), "{name} uses {word}");
        }
    }
}

#[test]
fn only_the_report_room_prints() {
    for (name, text) in tracked(".rs") {
        let exempt = ["builder/src/report/", "builder/build.rs", "tests/"];
        if exempt.iter().any(|prefix| name.starts_with(prefix)) || name.contains("test") {
            continue;
        }
        let code: Vec<_> = text.lines().take_while(|line| *line != "#[cfg(test)]").collect();
        for word in ["println!(", "eprintln!("] {
            assert!(!code.join("\n").contains(word), "{name} prints");
        }
    }
}

#[test]
fn libcontainer_is_named_in_the_helper_only() {
    for (name, text) in tracked(".rs") {
        let here = name.starts_with("runtime/src/child/") || name.starts_with("tests/tidy");
        assert!(here || !text.contains("use libcontainer"), "{name} uses libcontainer");
    }
}

#[test]
fn attacks_have_the_tests_that_their_table_names() {
    let table = fs_err::read_to_string(root().join("docs/attacks.md")).expect("the table");
    let code: String = tracked(".rs").into_iter().map(|(_, text)| text).collect();
    let mut numbers = 0;
    for line in table.lines().filter(|line| line.starts_with("| I")) {
        numbers += 1;
        assert!(line.starts_with(&format!("| I{numbers} |")), "{line}");
        for name in line.split('`').skip(1).step_by(2) {
            assert!(code.contains(&format!("fn {name}()")), "{name} is no test");
        }
    }
    assert_eq!(numbers, 30);
}

#[test]
fn no_element_is_named_in_rust() {
    let names: Vec<_> = fs_err::read_dir(root().join("elements"))
        .expect("there are elements")
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    for (name, text) in tracked(".rs") {
        // The implied elements of the compatible command line, what plans say of EFI and the
        // contract's sizes of it, and data files that are called like the elements that read them.
        let exempt = [
            "builder/src/compat/",
            "builder/src/block_device/size.rs",
            "tests/",
            "builder/src/phase/",
            "builder/src/element/lint/data",
        ];
        if exempt.iter().any(|prefix| name.starts_with(prefix)) || name.ends_with("tests.rs") {
            continue;
        }
        let code: Vec<_> = text
            .lines()
            .take_while(|line| *line != "#[cfg(test)]")
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect();
        for element in names.iter().filter(|element| element.contains('-')) {
            assert!(!code.join("\n").contains(&format!("\"{element}\"")), "{name} names {element}");
        }
    }
}

#[test]
fn no_host_of_this_machine_is_written_down() {
    let mut hosts = Vec::new();
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(list) = fs_err::read_dir("/etc/apt/sources.list.d") {
        files.extend(list.flatten().map(|entry| entry.path()));
    }
    for file in files {
        let text = fs_err::read_to_string(file).unwrap_or_default();
        for word in text.split_whitespace() {
            if let Some((_, rest)) = word.split_once("://") {
                hosts.extend(rest.split('/').next().map(str::to_owned));
            }
        }
    }
    hosts.push(["pypi", "org"].join("."));
    hosts.push(["static.crates", "io"].join("."));
    hosts.retain(|host| host.contains('.'));
    for ending in [".rs", ".toml", ".md", ".yaml", ".sh", ".rst"] {
        for (name, text) in tracked(ending) {
            for host in &hosts {
                assert!(!text.contains(host.as_str()), "{name} names {host}");
            }
        }
    }
}

/// The behaviours that matter most have numbers in diskimage-builder's contract, and each a
/// test with a comment that names its number.
#[test]
fn every_row_of_the_contract_has_a_test() {
    let mut missing: Vec<u32> = (1..=25).collect();
    for (_, text) in tracked(".rs").into_iter().chain(tracked(".sh")) {
        for (at, mark) in text.match_indices("contract 9.") {
            let digits = text[at + mark.len()..].split(|c: char| !c.is_ascii_digit()).next();
            missing.retain(|row| digits != Some(row.to_string().as_str()));
        }
    }
    assert!(missing.is_empty(), "rows of section 9 without a test: {missing:?}");
}

#[test]
fn every_test_file_belongs_to_a_target() {
    let manifest = fs_err::read_to_string(root().join("tests/Cargo.toml")).expect("a manifest");
    for (name, _) in tracked(".rs") {
        let Some(rest) = name.strip_prefix("tests/") else { continue };
        let (directory, file) = rest.split_once('/').expect("a tier's directory");
        if directory == "src" {
            continue;
        }
        let main = format!("{directory}/main.rs");
        assert!(manifest.contains(&format!("path = \"{main}\"")), "{main} is no target");
        // What is in a directory is told by the directory's own file.
        let module = file.trim_end_matches(".rs").trim_end_matches("/mod");
        let (parent, module) = match module.rsplit_once('/') {
            Some((parent, module)) => (format!("{directory}/{parent}/mod.rs"), module),
            None => (main, module),
        };
        if module != "main" {
            let text = fs_err::read_to_string(root().join("tests").join(&parent)).expect("parent");
            assert!(text.contains(&format!("mod {module};")), "{name} is forgotten");
        }
    }
}
