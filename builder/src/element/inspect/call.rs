//! Programs that a script runs: its commands without `sudo`, `env`, `chroot` and their like,
//! and with variables put in that the script itself gives a value.

use std::collections::BTreeMap;

use super::shell::{Simple, commands};

/// A program and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    /// Where the command begins, from 1.
    pub(crate) line: usize,
    /// The program's name without directories.
    pub(crate) program: String,
    /// The same as the script spells it.
    pub(crate) path: String,
    /// Its arguments.
    pub(crate) arguments: Vec<String>,
    /// Whether `chroot` leads into the image first.
    pub(crate) in_image: bool,
    /// Whether its failure is expected.
    pub(crate) tolerated: bool,
    /// Whether it runs in some cases only.
    pub(crate) conditional: bool,
}

type Values = BTreeMap<String, Vec<String>>;

/// How often a variable may lead to another one.
const DEPTH: usize = 4;

/// The calls of a script, those of `sh -c` and of substitutions included.
pub(crate) fn calls(text: &str) -> Vec<Call> {
    let simple = commands(text, 1);
    let values = assignments(&simple);
    let mut calls = Vec::new();
    for one in simple {
        let words = one.words.clone();
        strip(&one, words, &values, false, DEPTH, &mut calls);
    }
    calls
}

/// Hosts of the URLs in a script's commands, with the line of each; text that is only printed
/// names none.
pub(crate) fn hosts(text: &str) -> Vec<(usize, String)> {
    let mut hosts = Vec::new();
    for one in commands(text, 1) {
        let printed = ["echo", "printf", "die", ":"].iter().any(|word| one.words[0] == *word);
        if printed {
            continue;
        }
        for word in &one.words {
            for (at, mark) in word.match_indices("://") {
                let rest = &word[at + mark.len()..];
                let end = rest.find(['/', ':', ' ', '"', '}', '\n', '\'']).unwrap_or(rest.len());
                let host = &rest[..end];
                if host.contains('.') && !host.contains(['$', '(', '*', '@', '?']) {
                    hosts.push((one.line, host.to_owned()));
                }
            }
        }
    }
    hosts
}

/// What variables may hold: `NAME=VALUE`, with export and the like, and `${NAME:=VALUE}`.
fn assignments(simple: &[Simple]) -> Values {
    let mut values = Values::new();
    for one in simple {
        for word in &one.words {
            if let Some((name, value)) = assignment(word) {
                values.entry(name.to_owned()).or_default().push(value.to_owned());
            }
            if let Some((name, value)) = word
                .strip_prefix("${")
                .and_then(|word| word.strip_suffix('}'))
                .and_then(|word| word.split_once(":="))
            {
                values.entry(name.to_owned()).or_default().push(value.to_owned());
            }
        }
    }
    values
}

fn assignment(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let name = name.strip_suffix('+').unwrap_or(name);
    let fine = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    fine.then_some((name, value))
}

/// Takes off what runs another program, until the program itself is first.
fn strip(
    one: &Simple,
    mut words: Vec<String>,
    values: &Values,
    mut in_image: bool,
    depth: usize,
    calls: &mut Vec<Call>,
) {
    loop {
        let Some(first) = words.first().cloned() else { return };
        if assignment(&first).is_some() {
            words.remove(0);
            continue;
        }
        if first.starts_with('$') && first != "$()" {
            for value in expansions(&first, values) {
                let mut again = shlex::split(&value).unwrap_or_default();
                again.extend(words[1..].iter().cloned());
                if depth > 0 && again != words {
                    strip(one, again, values, in_image, depth - 1, calls);
                }
            }
            return;
        }
        let program = first.rsplit('/').next().unwrap_or(&first).to_owned();
        in_image |= program == "chroot";
        let skipped = prefix(&program, &words);
        if let Some(skipped) = skipped.filter(|skipped| *skipped < words.len()) {
            words.drain(..skipped);
            continue;
        }
        if matches!(program.as_str(), "sh" | "bash" | "dash")
            && let Some(at) = words.iter().position(|word| word == "-c")
            && let Some(script) = words.get(at + 1)
            && depth > 0
        {
            for inner in commands(script, one.line) {
                let inner = Simple {
                    tolerated: one.tolerated || inner.tolerated,
                    conditional: one.conditional || inner.conditional,
                    ..inner
                };
                strip(&inner, inner.words.clone(), values, in_image, depth - 1, calls);
            }
        }
        if program == "find"
            && let Some(at) = words.iter().position(|word| word == "-exec" || word == "-execdir")
            && depth > 0
        {
            let inner: Vec<_> = words[at + 1..]
                .iter()
                .take_while(|word| !matches!(word.as_str(), ";" | "+"))
                .cloned()
                .collect();
            strip(one, inner, values, in_image, depth - 1, calls);
        }
        let arguments = words.split_off(1);
        calls.push(Call {
            line: one.line,
            program,
            path: first,
            arguments,
            in_image,
            tolerated: one.tolerated,
            conditional: one.conditional,
        });
        return;
    }
}

/// How many words to take off when `program` only runs another one.
fn prefix(program: &str, words: &[String]) -> Option<usize> {
    match program {
        "sudo" => options(words, &["-u", "-g", "-C", "-h", "-p"], 0),
        "env" => options(words, &["-u", "-C"], 0),
        "exec" => options(words, &["-a"], 0),
        "nice" | "ionice" | "nohup" | "eval" | "builtin" => options(words, &["-n", "-c"], 0),
        "command" if words.get(1).is_some_and(|word| word.starts_with('-')) => None,
        "command" => Some(1),
        "timeout" => options(words, &["-k", "-s"], 1),
        "xargs" => options(words, &["-I", "-n", "-P", "-d", "-L", "-s"], 0),
        "flock" => options(words, &["-w", "-E"], 1),
        "chroot" => options(words, &[], 1),
        _ => None,
    }
}

/// How many words a prefix, its options (`valued` have a value) and `operands` take.
fn options(words: &[String], valued: &[&str], operands: usize) -> Option<usize> {
    let mut at = 1;
    while let Some(word) = words.get(at) {
        if word == "--" {
            at += 1;
            break;
        }
        if !word.starts_with('-') {
            break;
        }
        at += 1 + usize::from(valued.contains(&word.as_str()));
    }
    Some(at + operands)
}

/// What a word that is one variable may stand for.
fn expansions(word: &str, values: &Values) -> Vec<String> {
    let inner = match word.strip_prefix("${") {
        Some(rest) => rest.strip_suffix('}').unwrap_or_default(),
        None => word.strip_prefix('$').unwrap_or_default(),
    };
    let (name, default) = match inner.split_once(":-").or_else(|| inner.split_once(":=")) {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    let mut list: Vec<_> = values.get(name).cloned().unwrap_or_default();
    list.retain(|value| !value.contains(&format!("{{{name}")));
    list.extend(default.map(str::to_owned));
    list.extend(known(name));
    // A path that is not known: its last part may still name the program.
    if list.is_empty()
        && let Some((_, rest)) = word.split_once('/')
    {
        list.push(rest.to_owned());
    }
    list.sort();
    list.dedup();
    list
}

/// Variables of diskimage-builder's own elements that name programs.
fn known(name: &str) -> Option<String> {
    let program = match name {
        "DIB_PYTHON_EXEC" => "python3",
        "YUM" => "dnf",
        _ => return None,
    };
    Some(program.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_behind_what_runs_them() {
        for (text, found) in [
            ("sudo -E -u x A=b /bin/mount -o loop a b", "mount -o loop a b"),
            ("sudo chroot $T apt-get update", "image: apt-get update"),
            ("get=\"sudo chroot $T apt-get\"\n$get update", "image: apt-get update"),
            (": \"${R:=podman}\"\ns=\"\"\nif x; then s=sudo; fi\n${s} ${R} run a", "podman run a"),
            ("sudo bash -c \"A=b losetup -d c\"", "losetup -d c"),
            ("find a -exec sudo rm {} +", "rm {}"),
            ("a | xargs -n 1 sudo dmsetup b", "dmsetup b"),
            ("${YUM:-yum} install a", "yum install a"),
            ("$H/bin/extract-image a", "extract-image a"),
            ("timeout 10 command -p x y", "command -p x y"),
        ] {
            let found_by_us: Vec<_> = calls(text)
                .iter()
                .map(|call| {
                    let image = if call.in_image { "image: " } else { "" };
                    format!("{image}{} {}", call.program, call.arguments.join(" "))
                })
                .collect();
            assert!(found_by_us.contains(&found.to_owned()), "{text}: {found_by_us:?}");
        }
    }
}
