//! Reads container files: one stage of FROM, RUN, COPY, ENV, ARG, WORKDIR and USER. Anything
//! else is refused by name: leaving it out would make another image.

use std::collections::BTreeMap;

use super::words::{fill, split};

/// A line that is not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its number, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// One instruction after FROM, variables not yet expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instruction {
    /// A command for the shell, or with its arguments.
    Run(Command),
    /// Files of the context: sources, then the destination.
    Copy {
        /// `user[:group]` of the copies.
        owner: Option<String>,
        /// Paths in the context and, last, the one in the image.
        paths: Vec<String>,
    },
    /// Variables of the image.
    Env(Vec<(String, String)>),
    /// Variables of the build, with their defaults.
    Arg(Vec<(String, Option<String>)>),
    /// Where commands run from here on.
    Workdir(String),
    /// Who runs them.
    User(String),
}

/// What RUN runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// By `/bin/sh -c`.
    Shell(String),
    /// As it is.
    Exec(Vec<String>),
}

/// A container file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Containerfile {
    /// The image to begin with, arguments expanded.
    pub from: String,
    /// Arguments of the lines before it: ARG without a default makes them visible again.
    pub before: BTreeMap<String, String>,
    /// Instructions with the number of their line.
    pub instructions: Vec<(usize, Instruction)>,
}

impl Containerfile {
    /// Reads the text; `arguments` are values for ARG.
    ///
    /// # Errors
    ///
    /// With the first line that is not understood.
    pub fn read(text: &str, arguments: &BTreeMap<String, String>) -> Result<Self, Refused> {
        let mut before = BTreeMap::new();
        let mut from = None;
        let mut instructions = Vec::new();
        for (line, text) in logical_lines(text)? {
            let refuse = |reason: String| Refused { line, reason };
            let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((&text, ""));
            let (word, rest) = (word.to_ascii_uppercase(), rest.trim());
            if rest.is_empty() {
                return Err(refuse(format!("{word} says nothing")));
            }
            if rest.contains("<<") && matches!(word.as_str(), "RUN" | "COPY") {
                return Err(refuse(format!("{word} with a here-document is not supported")));
            }
            match (word.as_str(), &from) {
                ("FROM", None) => {
                    let image = from_image(rest, &before, arguments).map_err(refuse)?;
                    from = Some(image);
                }
                ("FROM", Some(_)) => {
                    return Err(refuse("a second FROM: stages are not supported".to_owned()));
                }
                ("ARG", None) => {
                    for (name, default) in defaults(rest).map_err(refuse)? {
                        let value = |name: &str| before.get(name).cloned();
                        let default = default.map(|text| fill(&text, &value));
                        let default = default.transpose().map_err(refuse)?;
                        if let Some(value) = arguments.get(&name).cloned().or(default) {
                            before.insert(name, value);
                        }
                    }
                }
                (_, None) => return Err(refuse(format!("{word} before FROM"))),
                (_, Some(_)) => instructions.push((line, one(&word, rest).map_err(refuse)?)),
            }
        }
        let nothing = || Refused { line: 1, reason: "there is no FROM".to_owned() };
        Ok(Self { from: from.ok_or_else(nothing)?, before, instructions })
    }
}

fn one(word: &str, rest: &str) -> Result<Instruction, String> {
    Ok(match word {
        "RUN" if rest.starts_with("--") => {
            let option = rest.split(['=', ' ']).next().unwrap_or_default();
            return Err(format!("RUN {option} is not supported"));
        }
        "RUN" => Instruction::Run(match list(rest) {
            Some(argv) if !argv.is_empty() => Command::Exec(argv),
            _ => Command::Shell(rest.to_owned()),
        }),
        "COPY" => copy(rest)?,
        "ENV" => Instruction::Env(variables(rest)?),
        "ARG" => Instruction::Arg(defaults(rest)?),
        "WORKDIR" => Instruction::Workdir(rest.to_owned()),
        "USER" => Instruction::User(rest.to_owned()),
        other => return Err(format!("{other} is not supported")),
    })
}

fn from_image(
    rest: &str,
    before: &BTreeMap<String, String>,
    arguments: &BTreeMap<String, String>,
) -> Result<String, String> {
    let words: Vec<_> = rest.split_whitespace().collect();
    let image = match words.as_slice() {
        [image] => image,
        [image, keyword, _] if keyword.eq_ignore_ascii_case("as") => image,
        [option, ..] if option.starts_with("--") => {
            let option = option.split('=').next().unwrap_or_default();
            return Err(format!("FROM {option} is not supported"));
        }
        _ => return Err("FROM takes one image".to_owned()),
    };
    // What is built is known without an ARG here.
    let built = |name: &str| {
        let known = name.starts_with("TARGET") || name.starts_with("BUILD");
        arguments.get(name).filter(|_| known).cloned()
    };
    let image = fill(image, &|name| before.get(name).cloned().or_else(|| built(name)))?;
    match image.as_str() {
        "" => Err("FROM has a variable without a value".to_owned()),
        "scratch" => Err("FROM scratch is not supported".to_owned()),
        _ => Ok(image),
    }
}

fn copy(rest: &str) -> Result<Instruction, String> {
    let mut owner = None;
    let mut rest = rest;
    while let Some(option) = rest.strip_prefix("--") {
        let (option, after) = option.split_once(' ').unwrap_or((option, ""));
        match option.split_once('=') {
            Some(("chown", value)) => owner = Some(value.to_owned()),
            _ => {
                let name = option.split('=').next().unwrap_or_default();
                return Err(format!("COPY --{name} is not supported"));
            }
        }
        rest = after.trim_start();
    }
    let paths = match list(rest) {
        Some(paths) => paths,
        None => split(rest).map_err(|problem| format!("COPY: {problem}"))?,
    };
    if paths.len() < 2 {
        return Err("COPY takes sources and a destination".to_owned());
    }
    Ok(Instruction::Copy { owner, paths })
}

/// `NAME=VALUE NAME="VALUE"`, or the old `NAME VALUE`.
fn variables(rest: &str) -> Result<Vec<(String, String)>, String> {
    let (first, value) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    if !first.contains('=') {
        return Ok(vec![(first.to_owned(), value.trim().to_owned())]);
    }
    let words = split(rest).map_err(|problem| format!("ENV: {problem}"))?;
    let pair = |word: String| match word.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err(format!("ENV: {word} is not NAME=VALUE")),
    };
    words.into_iter().map(pair).collect()
}

/// `NAME`, `NAME=DEFAULT`, or several of them.
fn defaults(rest: &str) -> Result<Vec<(String, Option<String>)>, String> {
    let words = split(rest).map_err(|problem| format!("ARG: {problem}"))?;
    let pair = |word: String| match word.split_once('=') {
        Some((name, default)) => (name.to_owned(), Some(default.to_owned())),
        None => (word, None),
    };
    Ok(words.into_iter().map(pair).collect())
}

/// A JSON list of strings.
fn list(text: &str) -> Option<Vec<String>> {
    text.starts_with('[').then(|| serde_json::from_str(text).ok())?
}

/// Lines joined at a backslash, without comments and empty ones, with the number of the first.
fn logical_lines(text: &str) -> Result<Vec<(usize, String)>, Refused> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (at, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        if let Some(comment) = trimmed.strip_prefix('#') {
            let directive = comment.trim().to_ascii_lowercase();
            if lines.is_empty() && directive.starts_with("escape=") {
                let reason = "another escape character is not supported".to_owned();
                return Err(Refused { line: at + 1, reason });
            }
            continue;
        }
        if trimmed.is_empty() {
            continue;
        }
        let (part, goes_on) = match trimmed.strip_suffix('\\') {
            Some(part) => (part, true),
            None => (trimmed, false),
        };
        match lines.last_mut().filter(|_| open) {
            Some((_, whole)) => {
                whole.push(' ');
                whole.push_str(part);
            }
            None => lines.push((at + 1, part.to_owned())),
        }
        open = goes_on;
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Containerfile, Refused> {
        let arguments = BTreeMap::from([("RELEASE".to_owned(), "40".to_owned())]);
        Containerfile::read(text, &arguments)
    }

    #[test]
    fn what_elements_write_is_understood() {
        let text = "# a comment\nARG RELEASE=39\nARG HOST=docker.io\nFROM ${HOST}/library/fedora:$RELEASE AS base\n\nRUN dnf install -y findutils \\\n    # between\n    util-linux\nrun [\"true\", \"a b\"]\nENV A=1 B=\"x y\"\nENV OLD some words\nARG WITH=$A\nCOPY --chown=1:2 a b /to/\nWORKDIR /srv\nUSER nobody\n";
        let file = read(text).unwrap();
        assert_eq!(file.from, "docker.io/library/fedora:40");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected = [
            (6, Instruction::Run(Command::Shell("dnf install -y findutils  util-linux".into()))),
            (9, Instruction::Run(Command::Exec(vec!["true".into(), "a b".into()]))),
            (10, Instruction::Env(vec![pair("A", "1"), pair("B", "\"x y\"")])),
            (11, Instruction::Env(vec![pair("OLD", "some words")])),
            (12, Instruction::Arg(vec![("WITH".into(), Some("$A".into()))])),
            (
                13,
                Instruction::Copy {
                    owner: Some("1:2".into()),
                    paths: vec!["a".into(), "b".into(), "/to/".into()],
                },
            ),
            (14, Instruction::Workdir("/srv".into())),
            (15, Instruction::User("nobody".into())),
        ];
        assert_eq!(file.instructions, expected);
    }

    #[test]
    fn everything_else_is_refused_by_name() {
        for (text, line, words) in [
            ("", 1, "no FROM"),
            ("RUN x\nFROM a", 1, "RUN before FROM"),
            ("FROM a\nFROM b", 2, "stages"),
            ("FROM --platform=x a", 1, "FROM --platform"),
            ("FROM scratch", 1, "scratch"),
            ("FROM a\nADD x /", 2, "ADD"),
            ("FROM a\n\nENTRYPOINT [\"x\"]", 3, "ENTRYPOINT"),
            ("FROM a\nRUN --mount=type=cache,target=/x y", 2, "RUN --mount"),
            ("FROM a\nRUN <<EOF\nx\nEOF", 2, "here-document"),
            ("FROM a\nCOPY --from=b x /", 2, "COPY --from"),
            ("FROM a\nCOPY x", 2, "destination"),
            ("FROM a\nCOPY x \"y", 2, "quote"),
            ("FROM a$B${C", 1, "no end"),
            ("FROM a\nENV A=1 B", 2, "B is not NAME=VALUE"),
            ("FROM a\nRUN", 2, "says nothing"),
            ("# escape=`\nFROM a", 1, "escape"),
        ] {
            let refused = read(text).unwrap_err();
            assert!(refused.line == line && refused.reason.contains(words), "{text}: {refused:?}");
        }
    }
}
