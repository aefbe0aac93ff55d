//! The commands of a shell script, read without running it.
//!
//! No parser of bash: it finds where commands begin and end through quotes, comments,
//! here-documents, substitutions, tests and `case`, and leaves the rest alone. Text of
//! here-documents is no command.

/// A simple command as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Simple {
    /// Where it begins, from 1.
    pub(super) line: usize,
    /// Its words without quotes; substitutions stay `$NAME`, commands in them are `$()`.
    pub(super) words: Vec<String>,
    /// Whether its failure is expected: a condition, or `|| true` and the like follow.
    pub(super) tolerated: bool,
    /// Whether it stands between `if` and `fi` or `case` and `esac`.
    pub(super) conditional: bool,
}

/// What may follow `||` and leaves a failure without consequence.
const CONSOLATIONS: [&str; 6] = ["true", ":", "echo", "printf", "continue", "/bin/true"];

/// Finds the commands of `text`, which begins at `line`, those in substitutions included.
pub(super) fn commands(text: &str, line: usize) -> Vec<Simple> {
    let mut scanner = Scanner { chars: text.chars().collect(), line, ..Scanner::default() };
    scanner.run();
    scanner.found
}

/// Reads a script character by character.
#[derive(Default)]
pub(super) struct Scanner {
    pub(super) chars: Vec<char>,
    pub(super) at: usize,
    pub(super) line: usize,
    pub(super) found: Vec<Simple>,
    pub(super) words: Vec<String>,
    pub(super) begun: usize,
    pub(super) word: Option<String>,
    /// The word begun is where a redirection leads.
    redirects: bool,
    /// Inside `[[ ]]`, where operators are none.
    testing: bool,
    /// Between `if` and `then`, `while` and `do`.
    pub(super) condition: bool,
    /// How many `if` are around.
    ifs: usize,
    /// Each `case` around: whether a pattern comes next.
    cases: Vec<bool>,
    here: Vec<(String, bool)>,
    pipeline: usize,
}

impl Scanner {
    pub(super) fn peek(&self, ahead: usize) -> char {
        self.chars.get(self.at + ahead).copied().unwrap_or('\0')
    }

    pub(super) fn push(&mut self, c: char) {
        if self.word.is_none() && self.words.is_empty() {
            self.begun = self.line;
        }
        self.word.get_or_insert_default().push(c);
    }

    fn run(&mut self) {
        while self.at < self.chars.len() {
            let c = self.peek(0);
            if self.skip_pattern(c) {
                continue;
            }
            self.at += 1;
            match c {
                '\\' if self.peek(0) == '\n' => {
                    self.at += 1;
                    self.line += 1;
                }
                '\\' => {
                    let next = self.peek(0);
                    self.at += 1;
                    self.push(next);
                }
                '\'' => self.single_quoted(),
                '"' => self.double_quoted(),
                '$' => self.dollar(),
                '`' => self.backtick(),
                '#' if self.word.is_none() => {
                    while self.at < self.chars.len() && self.peek(0) != '\n' {
                        self.at += 1;
                    }
                }
                '\n' => self.newline(),
                ' ' | '\t' | '\r' => self.end_word(),
                _ if self.testing && self.word.as_deref() != Some("]]") => self.push(c),
                '(' if self.word.as_ref().is_some_and(|word| word.ends_with('=')) => self.array(),
                ';' | '&' | '|' | '(' | ')' => self.operator(c),
                '<' | '>' => self.redirection(c),
                _ => self.push(c),
            }
        }
        self.end_command();
    }

    /// Patterns of `case` look like commands and are none.
    fn skip_pattern(&mut self, c: char) -> bool {
        let fresh = self.word.is_none() && self.words.is_empty();
        if !fresh || self.cases.last() != Some(&true) || c.is_whitespace() || c == '#' || c == ';' {
            return false;
        }
        let rest: String = self.chars[self.at..].iter().take(5).collect();
        if rest.starts_with("esac") && !rest[4..].starts_with(char::is_alphanumeric) {
            return false;
        }
        let mut first = true;
        while self.at < self.chars.len() {
            let c = self.peek(0);
            self.at += 1;
            match c {
                '\n' => self.line += 1,
                '(' if first => {}
                ')' => break,
                '\'' | '"' => {
                    while self.at < self.chars.len() && self.peek(0) != c {
                        self.at += 1;
                    }
                    self.at += 1;
                }
                _ => {}
            }
            first = false;
        }
        if let Some(expecting) = self.cases.last_mut() {
            *expecting = false;
        }
        true
    }

    fn newline(&mut self) {
        self.end_command();
        self.pipeline = self.found.len();
        self.line += 1;
        for (end, strip) in std::mem::take(&mut self.here) {
            while self.at < self.chars.len() {
                let rest = &self.chars[self.at..];
                let text: String = rest.iter().take_while(|c| **c != '\n').collect();
                self.at += text.chars().count() + 1;
                self.line += 1;
                if (if strip { text.trim_start_matches('\t') } else { &text }) == end {
                    break;
                }
            }
        }
    }

    fn operator(&mut self, c: char) {
        let twice = self.peek(0) == c;
        if c == '&' && self.peek(0) == '>' {
            return;
        }
        self.end_command();
        match c {
            ';' if twice || self.peek(0) == '&' => {
                self.at += 1;
                if let Some(expecting) = self.cases.last_mut() {
                    *expecting = true;
                }
            }
            '&' if twice => self.at += 1,
            '|' if twice => {
                self.at += 1;
                let rest: String = self.chars[self.at..].iter().take(40).collect();
                let next = rest.trim_start_matches([' ', '\t', '{', '(']);
                let next = next.split([' ', '\n', ';', ')', '\t']).next().unwrap_or_default();
                if CONSOLATIONS.contains(&next) {
                    let from = self.pipeline.min(self.found.len());
                    self.found[from..].iter_mut().for_each(|one| one.tolerated = true);
                }
            }
            '|' => {
                self.at += usize::from(self.peek(0) == '&');
                return;
            }
            _ => {}
        }
        self.pipeline = self.found.len();
    }

    fn redirection(&mut self, c: char) {
        if self.word.as_ref().is_some_and(|word| word.chars().all(|c| c.is_ascii_digit())) {
            self.word = None;
        }
        self.end_word();
        if self.peek(0) == '(' {
            let line = self.line;
            let inner = self.balanced('(', ')');
            self.inner(&inner, line);
            return;
        }
        if c == '<' && self.peek(0) == '<' && self.peek(1) != '<' {
            self.at += 1;
            let strip = self.peek(0) == '-';
            self.at += usize::from(strip);
            while self.peek(0) == ' ' {
                self.at += 1;
            }
            let mut end = String::new();
            while !self.peek(0).is_whitespace()
                && !matches!(self.peek(0), '\0' | ';' | '|' | ')' | '>')
            {
                if !matches!(self.peek(0), '\'' | '"' | '\\') {
                    end.push(self.peek(0));
                }
                self.at += 1;
            }
            self.here.push((end, strip));
            return;
        }
        while matches!(self.peek(0), '<' | '>' | '&' | '|') {
            self.at += 1;
        }
        self.redirects = true;
    }

    fn end_word(&mut self) {
        let Some(word) = self.word.take() else { return };
        if std::mem::take(&mut self.redirects) {
            return;
        }
        if self.words.is_empty() {
            match word.as_str() {
                "if" | "elif" | "while" | "until" => {
                    self.ifs += usize::from(word == "if");
                    return self.condition = true;
                }
                "then" | "do" => return self.condition = false,
                "fi" => return self.ifs = self.ifs.saturating_sub(1),
                "else" | "done" | "{" | "}" | "!" | "time" => return,
                "esac" => {
                    self.cases.pop();
                    return;
                }
                "[[" => self.testing = true,
                _ => {}
            }
        }
        self.testing &= word != "]]";
        let is_case = self.words.first().is_some_and(|first| first == "case");
        if is_case && word == "in" {
            self.words.clear();
            self.cases.push(true);
            return;
        }
        self.words.push(word);
    }

    fn end_command(&mut self) {
        self.end_word();
        self.redirects = false;
        if !self.words.is_empty() {
            self.found.push(Simple {
                line: self.begun,
                words: std::mem::take(&mut self.words),
                tolerated: self.condition,
                conditional: self.conditional(),
            });
        }
    }

    pub(super) fn conditional(&self) -> bool {
        self.ifs > 0 || !self.cases.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        commands(text, 1)
            .iter()
            .map(|one| {
                format!(
                    "{}{}{}",
                    one.line,
                    if one.tolerated { "?" } else { ":" },
                    one.words.join(" ")
                )
            })
            .collect()
    }

    #[test]
    fn commands_begin_and_end_where_the_shell_says() {
        for (text, found) in [
            ("a b; c # d\ne", &["1:a b", "1:c", "2:e"][..]),
            ("a \\\n  b && c | d", &["1:a b", "2:c", "2:d"]),
            ("if a; then\n  b\nfi", &["1?a", "2:b"]),
            ("a || true\nb || die", &["1?a", "1:true", "2:b", "2:die"]),
            ("a | b || echo no", &["1?a", "1?b", "1:echo no"]),
            ("x=$(a \"$(b c)\") d", &["1:b c", "1:a $()", "1:x=$() d"]),
            ("echo 'a; b' \"c | $d\" > /e 2>&1", &["1:echo a; b c | $d"]),
            ("cat << EOF | a\nb; c\nEOF\nd", &["1:cat", "1:a", "4:d"]),
            ("cat <<-'EOF'\n\tb\n\tEOF\nd", &["1:cat", "4:d"]),
            (
                "case $x in\n  a|b) c ;;\n  \"d\") e;;\n  *)\n    f\n    ;;\nesac\ng",
                &["2:c", "3:e", "5:f", "8:g"],
            ),
            ("[[ $a =~ ^(b|c)$ && d ]] && e", &["1:[[ $a =~ ^(b|c)$ && d ]]", "1:e"]),
            (
                "if [[ -z \"$a\"  ]]; then\n  b=(c\n d)\nfi\ne",
                &["1?[[ -z $a ]]", "2:: c d", "2:b=", "5:e"],
            ),
            ("f() {\n  a\n}\nfunction g {\n  b\n}", &["1:f", "2:a", "4:function g {", "5:b"]),
            ("sh -c \"a\nb\"", &["1:sh -c a\nb"]),
            ("a=${b:-${c}} d `e f`", &["1:e f", "1:a=${b:-${c}} d $()"]),
            ("while read -r x; do a; done < <(b c)", &["1?read -r x", "1:a", "1:b c"]),
        ] {
            assert_eq!(lines(text), found, "{text}");
        }
    }
}
