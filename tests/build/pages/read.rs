//! Finds the commands of a page: in its blocks, on indented lines, between backquotes.

/// A command of a page.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Command {
    /// Its first line, without what is said of it behind `#`; what follows on others is not in it.
    pub(super) first: String,
    /// All of it, as the shell is to read it.
    pub(super) text: String,
}

/// What begins a command between backquotes.
const BEGINNINGS: [&str; 4] = ["goldsmith ", "tests/example", "tests/run", "disk-image-create "];
/// Verbs of `goldsmith elements`, which the text names alone once it has named that.
const VERBS: [&str; 5] = ["show ", "graph ", "lint", "audit ", "test"];

/// All commands, in the order of the page.
pub(super) fn commands(page: &str) -> Vec<Command> {
    let mut found = Vec::new();
    // Prose and blocks in turn; a block's first line is its language.
    for (at, part) in page.split("\n```").enumerate() {
        if at % 2 == 0 {
            found.extend(in_prose(part.split_once('\n').map_or("", |(_, rest)| rest)));
        } else {
            let (language, text) = part.split_once('\n').unwrap_or_default();
            // Diagrams are indented.
            if matches!(language, "" | "sh") && !text.starts_with(' ') {
                found.extend(in_block(text));
            }
        }
    }
    found
}

/// Puts the lines of a block together that belong to one command.
fn in_block(text: &str) -> Vec<Command> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim().is_empty() {
            continue;
        }
        let mut all = line.to_owned();
        let mut last = line;
        let end = line.split_once("<<'").and_then(|(_, rest)| rest.split('\'').next());
        while last.ends_with('\\') || end.is_some_and(|end| last != end) {
            let Some(next) = lines.next() else { break };
            all = format!("{all}\n{next}");
            last = next;
        }
        found.push(Command { first: first(line), text: all });
    }
    found
}

/// Commands on indented lines and between backquotes.
fn in_prose(text: &str) -> Vec<Command> {
    let mut found = Vec::new();
    for (at, part) in text.split('`').enumerate() {
        if at % 2 == 0 {
            let lines = part.lines().filter_map(|line| line.strip_prefix("    goldsmith "));
            found.extend(lines.map(|line| in_one_line(&format!("goldsmith {line}"))));
        } else {
            // A line may end within it.
            let words = part.split_whitespace().collect::<Vec<_>>().join(" ");
            let verb = |verb: &str| match verb.strip_suffix(' ') {
                Some(_) => words.starts_with(verb),
                None => words == verb,
            };
            let begins = BEGINNINGS.iter().any(|begin| words.starts_with(begin));
            if begins || VERBS.iter().any(|one| verb(one)) {
                found.push(in_one_line(&words));
            }
        }
    }
    found
}

fn in_one_line(line: &str) -> Command {
    Command { first: first(line), text: line.to_owned() }
}

/// A line without remark and continuation.
fn first(line: &str) -> String {
    let line = line.split_once(" #").map_or(line, |(line, _)| line);
    line.trim_end_matches('\\').trim().to_owned()
}

/// Whether a line has all words of a command, in their order, but for those that stand for what
/// the reader has to say, in capitals.
pub(super) fn keeps(command: &str, line: &str) -> bool {
    let mut words = line.split_whitespace();
    let stands_for =
        |word: &&str| word.chars().any(char::is_uppercase) && **word == word.to_uppercase();
    command
        .split_whitespace()
        .filter(|word| !stands_for(word))
        .all(|wanted| words.any(|word| word == wanted))
}

#[test]
fn commands_are_found_wherever_a_page_has_them() {
    let page = "# Title\n\nRun `goldsmith a\nb`, then `show X`, not `shows`:\n\n    goldsmith c   # so\n\n\
        ```\nexport A=1\ncat > x <<'END'\ntext\nEND\ngoldsmith d \\\n    e\n```\n\n\
        ```yaml\ngoldsmith: f\n```\n\nand\n\n```\n  goldsmith --> g\n```\n`lint`, `tests/run`\n";
    let found = commands(page);
    let firsts: Vec<_> = found.iter().map(|command| command.first.as_str()).collect();
    let expected = [
        "goldsmith a b",
        "show X",
        "goldsmith c",
        "export A=1",
        "cat > x <<'END'",
        "goldsmith d",
        "lint",
        "tests/run",
    ];
    assert_eq!(firsts, expected);
    assert_eq!(found[4].text, "cat > x <<'END'\ntext\nEND");
    assert_eq!(found[5].text, "goldsmith d \\\n    e");
    assert!(keeps("show ELEMENT", "goldsmith elements show vm"));
    assert!(keeps("build -t oci", "goldsmith build -t oci -o x vm"));
    assert!(!keeps("build -t oci", "goldsmith build -o x -t tar vm"));
}
