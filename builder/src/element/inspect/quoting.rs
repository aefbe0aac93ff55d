//! Quotes, substitutions and arrays of a shell script: one word each, however long.

use super::shell::{Scanner, Simple, commands};

impl Scanner {
    pub(super) fn single_quoted(&mut self) {
        self.word.get_or_insert_default();
        if self.words.is_empty() {
            self.begun = self.line;
        }
        while self.at < self.chars.len() && self.peek(0) != '\'' {
            let c = self.peek(0);
            self.line += usize::from(c == '\n');
            self.push(c);
            self.at += 1;
        }
        self.at += 1;
    }

    pub(super) fn double_quoted(&mut self) {
        self.word.get_or_insert_default();
        if self.words.is_empty() {
            self.begun = self.line;
        }
        let begun = self.begun;
        while self.at < self.chars.len() {
            let c = self.peek(0);
            self.at += 1;
            match c {
                '"' => break,
                '\\' => {
                    let next = self.peek(0);
                    self.at += 1;
                    self.line += usize::from(next == '\n');
                    if !matches!(next, '"' | '$' | '`' | '\\' | '\n') {
                        self.push('\\');
                    }
                    self.push(next);
                }
                '$' => self.dollar(),
                '`' => self.backtick(),
                _ => {
                    self.line += usize::from(c == '\n');
                    self.push(c);
                }
            }
        }
        self.begun = begun;
    }

    /// `$(commands)`, `$((arithmetic))`, `${NAME...}`, `$NAME`.
    pub(super) fn dollar(&mut self) {
        match (self.peek(0), self.peek(1)) {
            ('(', '(') => {
                self.balanced('(', ')');
                self.push('0');
            }
            ('(', _) => {
                let line = self.line;
                let inner = self.balanced('(', ')');
                self.inner(&inner, line);
            }
            ('{', _) => {
                let inner = self.balanced('{', '}');
                for c in "${".chars().chain(inner.chars()).chain("}".chars()) {
                    self.push(c);
                }
            }
            _ => self.push('$'),
        }
    }

    pub(super) fn inner(&mut self, text: &str, line: usize) {
        let (tolerated, conditional) = (self.condition, self.conditional());
        self.found.extend(commands(text, line).into_iter().map(|one| Simple {
            tolerated: one.tolerated || tolerated,
            conditional: one.conditional || conditional,
            ..one
        }));
        for c in "$()".chars() {
            self.push(c);
        }
    }

    pub(super) fn backtick(&mut self) {
        let line = self.line;
        let mut inner = String::new();
        while self.at < self.chars.len() && self.peek(0) != '`' {
            self.line += usize::from(self.peek(0) == '\n');
            inner.push(self.peek(0));
            self.at += 1;
        }
        self.at += 1;
        self.inner(&inner, line);
    }

    /// What lies between the bracket that comes next and the one that closes it.
    pub(super) fn balanced(&mut self, open: char, close: char) -> String {
        let mut depth = 0_usize;
        let mut inner = String::new();
        let mut quote = None;
        while self.at < self.chars.len() {
            let c = self.peek(0);
            self.at += 1;
            self.line += usize::from(c == '\n');
            match c {
                '\\' => {
                    inner.push(c);
                    inner.push(self.peek(0));
                    self.line += usize::from(self.peek(0) == '\n');
                    self.at += 1;
                    continue;
                }
                '\'' | '"' if quote == Some(c) => quote = None,
                '\'' | '"' if quote.is_none() && open == '(' => quote = Some(c),
                _ if quote.is_some() => {}
                _ if c == open => {
                    depth += 1;
                    if depth == 1 {
                        continue;
                    }
                }
                _ if c == close => {
                    depth -= 1;
                    if depth == 0 {
                        break;
                    }
                }
                _ => {}
            }
            inner.push(c);
        }
        inner
    }

    /// The values of an array are no command.
    pub(super) fn array(&mut self) {
        self.at -= 1;
        let line = self.line;
        let inner = self.balanced('(', ')');
        self.found.extend(commands(&format!(": {}", inner.replace('\n', " ")), line));
    }
}
