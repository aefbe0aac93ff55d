//! The commands of the documentation, run as they stand there.
//!
//! A page lists all that becomes of its commands: one that the list does not have is a failure, as
//! is one of the list that the page has no more. What takes too long here, or needs what this
//! tier does not have, names the test that runs it.

mod others;
mod read;
mod readme;

pub(crate) use others::bases;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use goldsmith_tests::TestEnv;

/// What becomes of a command.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// Every part runs it: it prepares for what comes after it.
    Always,
    /// This part runs it as it stands.
    Run(&'static str),
    /// This part runs the line: the command, with what the page leaves to the reader.
    Filled(&'static str, &'static str),
    /// This test runs it, `TIER::NAME`.
    Elsewhere(&'static str),
    /// It builds or tests goldsmith itself.
    Source,
    /// The text speaks of the verb alone.
    Word,
}

/// A page and what becomes of its commands, by the first line of each.
struct Page {
    text: &'static str,
    fates: &'static [(&'static str, Fate)],
}

/// What commands printed to standard output, by their first lines.
type Told = BTreeMap<String, String>;

impl Page {
    fn fate(&self, first: &str) -> Option<Fate> {
        self.fates.iter().find(|(text, _)| *text == first).map(|(_, fate)| *fate)
    }

    /// Fails unless the list has every command of the page, and no others.
    fn is_settled(&self) -> Result<()> {
        let commands = read::commands(self.text);
        for command in &commands {
            ensure!(self.fate(&command.first).is_some(), "nobody runs {:?}", command.first);
        }
        for (text, fate) in self.fates {
            ensure!(commands.iter().any(|command| command.first == *text), "{text:?} is gone");
            match fate {
                Fate::Filled(_, line) => {
                    ensure!(read::keeps(text, line), "{line:?} is another command than {text:?}");
                }
                Fate::Elsewhere(test) => exists(test)?,
                Fate::Always | Fate::Run(_) | Fate::Source | Fate::Word => {}
            }
        }
        Ok(())
    }

    /// The parts that run something.
    fn parts(&self) -> BTreeSet<&'static str> {
        let part = |fate: &Fate| match fate {
            Fate::Run(part) | Fate::Filled(part, _) => Some(*part),
            _ => None,
        };
        self.fates.iter().filter_map(|(_, fate)| part(fate)).collect()
    }

    /// Runs the commands of a part in one shell, in the order of the page. The program, its cache
    /// and a home are those of the test, the rest is a user's who has no elements of his own.
    fn run(&self, part: &str, env: &TestEnv) -> Result<Told> {
        let told = env.path("told");
        fs_err::create_dir_all(&told)?;
        let (mut script, mut firsts) = ("set -eu\n".to_owned(), Vec::new());
        for command in read::commands(self.text) {
            let line = match self.fate(&command.first) {
                Some(Fate::Always) => command.text,
                Some(Fate::Run(of)) if of == part => command.text,
                Some(Fate::Filled(of, line)) if of == part => line.to_owned(),
                _ => continue,
            };
            let (number, file) = (firsts.len(), told.display());
            // Braces, not a subshell: variables last.
            write!(script, "echo '+ {number}' >&2\n{{\n{line}\n}} > '{file}/{number}'\n")?;
            firsts.push(command.first);
        }
        ensure!(!firsts.is_empty(), "no command belongs to {part}");
        let output = shell(env)?.arg("-c").arg(&script).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        let last =
            said.lines().filter_map(|line| line.strip_prefix("+ ")?.parse().ok()).next_back();
        let last: usize = last.context("nothing was run")?;
        let tail: Vec<_> = said.lines().rev().take(40).collect();
        let tail: Vec<_> = tail.into_iter().rev().collect();
        ensure!(output.status.success(), "{:?}: {}", firsts[last], tail.join("\n"));
        let text = |number: usize| fs_err::read_to_string(told.join(number.to_string()));
        let pairs = firsts.into_iter().enumerate().map(|(at, first)| Ok((first, text(at)?)));
        pairs.collect()
    }
}

/// A shell that finds the program by its name, and what is installed in `~/bin`.
fn shell(env: &TestEnv) -> Result<Command> {
    let goldsmith = env.command("goldsmith")?;
    let bin = env.path("path");
    if !bin.exists() {
        fs_err::create_dir(&bin)?;
        std::os::unix::fs::symlink(goldsmith.get_program(), bin.join("goldsmith"))?;
    }
    let mut command = Command::new("bash");
    command.env_clear();
    for (name, value) in goldsmith.get_envs() {
        // The page says what is exported, and where elements are.
        if name != "DIB_RELEASE" && name != "ELEMENTS_PATH" {
            command.env(name, value.unwrap_or(OsStr::new("")));
        }
    }
    let usual = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{}:{usual}", bin.display(), env.path("bin").display());
    command.env("PATH", path).current_dir(env.directory.path()).stdin(Stdio::null());
    Ok(command)
}

/// Fails unless there is the test, `TIER::NAME`.
fn exists(test: &str) -> Result<()> {
    let (tier, name) = test.split_once("::").with_context(|| format!("{test} has no tier"))?;
    let mut found = false;
    for file in walkdir::WalkDir::new(Path::new(env!("CARGO_MANIFEST_DIR")).join(tier)) {
        let file = file?;
        if file.path().extension().is_some_and(|ending| ending == "rs") {
            let text = fs_err::read_to_string(file.path())?;
            found |= text.contains(&format!("#[test]\nfn {name}("));
        }
    }
    ensure!(found, "there is no test {test}");
    Ok(())
}
