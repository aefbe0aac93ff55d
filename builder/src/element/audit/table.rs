//! Verdicts as text.

use super::{Class, Reason, Verdict};

impl Class {
    /// How people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exercised => "exercised",
            Self::NotExercised => "not exercised",
            Self::NotRootless => "not rootless",
        }
    }
}

const UNKNOWN: &str = "nothing was found against it, but no test builds it";

fn place(reason: &Reason) -> String {
    let element = reason.element.as_ref().map(|element| format!("{element}/")).unwrap_or_default();
    let line = if reason.line == 0 { String::new() } else { format!(":{}", reason.line) };
    format!("{element}{}{line}", reason.file.display())
}

fn counts(verdicts: &[Verdict]) -> String {
    let count = |class| verdicts.iter().filter(|verdict| verdict.class == class).count();
    format!(
        "{} elements: {} exercised, {} not exercised, {} not rootless",
        verdicts.len(),
        count(Class::Exercised),
        count(Class::NotExercised),
        count(Class::NotRootless)
    )
}

/// For a terminal: an element a line, and each reason below it.
pub fn plain(verdicts: &[Verdict]) -> String {
    let mut text = String::new();
    for verdict in verdicts {
        let head = format!("{:28} {:14}", verdict.element, verdict.class.name());
        match &verdict.test {
            Some(test) => text.push_str(&format!("{head} {test}\n")),
            None if verdict.reasons.is_empty() => text.push_str(&format!("{head} {UNKNOWN}\n")),
            None => {
                text.push_str(&format!("{}\n", head.trim_end()));
                for reason in &verdict.reasons {
                    text.push_str(&format!("    {}: {}\n", place(reason), reason.reason));
                }
            }
        }
    }
    text + &counts(verdicts) + "\n"
}

/// For a document: a table of element, verdict, and the test or the first reason.
pub fn markdown(verdicts: &[Verdict]) -> String {
    let mut text =
        format!("{}.\n\n| Element | Works | Test, or reason |\n|---|---|---|\n", counts(verdicts));
    for verdict in verdicts {
        let (works, why) = match (&verdict.test, verdict.reasons.as_slice()) {
            (Some(test), _) => ("yes", format!("`{test}`")),
            (None, []) => (verdict.class.name(), UNKNOWN.to_owned()),
            (None, [first, rest @ ..]) => {
                let more = match rest.len() {
                    0 => String::new(),
                    more => format!(" (and {more} more)"),
                };
                let reason = first.reason.replace('|', "\\|");
                (verdict.class.name(), format!("`{}`: {reason}{more}", place(first)))
            }
        };
        text.push_str(&format!("| {} | {works} | {why} |\n", verdict.element));
    }
    text
}
