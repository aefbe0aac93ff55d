//! LVM's syntax of metadata: sections of keys, whose values are numbers, strings and lists.

use std::collections::BTreeMap;

use super::super::volume::VolumeError;

/// How deep sections may lie: a segment's is the fourth.
const DEEPEST: usize = 8;
/// The most sections, keys and values of a text.
const MOST: usize = 1 << 18;

/// A number or a string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
    Number(u64),
    Text(String),
}

/// What stands between braces.
#[derive(Debug, Default)]
pub(super) struct Section {
    values: BTreeMap<String, Vec<Word>>,
    pub(super) sections: BTreeMap<String, Self>,
}

impl Section {
    /// The words of a key, one or a list; none when there is no such key.
    pub(super) fn list(&self, key: &str) -> &[Word] {
        self.values.get(key).map(Vec::as_slice).unwrap_or_default()
    }

    /// The number of a key.
    pub(super) fn number(&self, key: &str) -> Option<u64> {
        match self.list(key) {
            [Word::Number(number)] => Some(*number),
            _ => None,
        }
    }

    /// The string of a key.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match self.list(key) {
            [Word::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether a key's list has that string.
    pub(super) fn has(&self, key: &str, flag: &str) -> bool {
        self.list(key).iter().any(|word| matches!(word, Word::Text(text) if text == flag))
    }
}

/// Reads a whole text.
pub(super) fn parse(text: &[u8]) -> Result<Section, VolumeError> {
    let damaged = |reason| VolumeError::damaged("the text of the volume group", reason);
    // A zero byte ends it, which counts as a part of it.
    let end = text.iter().position(|&byte| byte == 0).unwrap_or(text.len());
    let mut parser = Parser { rest: text.get(..end).unwrap_or_default(), left: MOST };
    let mut open = vec![(String::new(), Section::default())];
    loop {
        parser.blanks();
        let Some(byte) = parser.rest.first() else { break };
        if *byte == b'}' {
            parser.skip(1);
            let (name, section) = open.pop().unwrap_or_default();
            let Some((_, above)) = open.last_mut() else {
                return Err(damaged("it closes a section that is not open"));
            };
            if above.sections.insert(name, section).is_some() {
                return Err(damaged("a section is there twice"));
            }
            continue;
        }
        let name = parser.name().ok_or_else(|| damaged("it has no name where one must be"))?;
        parser.blanks();
        match parser.rest.first() {
            Some(b'{') => {
                parser.skip(1);
                open.push((name, Section::default()));
                if open.len() > DEEPEST {
                    return Err(damaged("its sections lie too deep"));
                }
            }
            Some(b'=') => {
                parser.skip(1);
                let words = parser.value().ok_or_else(|| damaged("a value makes no sense"))?;
                let here = open.last_mut().map(|(_, section)| &mut section.values);
                if here.is_some_and(|values| values.insert(name, words).is_some()) {
                    return Err(damaged("a key is there twice"));
                }
            }
            _ => return Err(damaged("a name has neither a value nor a section")),
        }
        parser.count().ok_or_else(|| damaged("it is too long"))?;
    }
    match (open.pop(), open.is_empty()) {
        (Some((_, section)), true) => Ok(section),
        _ => Err(damaged("it ends within a section")),
    }
}

/// What of a text is not read yet.
struct Parser<'a> {
    rest: &'a [u8],
    /// How many things may still come.
    left: usize,
}

impl Parser<'_> {
    fn count(&mut self) -> Option<()> {
        self.left = self.left.checked_sub(1)?;
        Some(())
    }

    fn skip(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
    }

    /// Takes bytes as long as they fit.
    fn take(&mut self, fits: impl Fn(u8) -> bool) -> &[u8] {
        let count = self.rest.iter().position(|&byte| !fits(byte)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(count);
        self.rest = rest;
        taken
    }

    /// Passes over blanks and comments.
    fn blanks(&mut self) {
        loop {
            self.take(|byte| byte.is_ascii_whitespace());
            if self.rest.first() != Some(&b'#') {
                return;
            }
            self.take(|byte| byte != b'\n');
        }
    }

    fn name(&mut self) -> Option<String> {
        let name = self.take(|byte| byte.is_ascii_alphanumeric() || b"+_.-".contains(&byte));
        (!name.is_empty()).then(|| String::from_utf8_lossy(name).into_owned())
    }

    /// A word, or a list of them.
    fn value(&mut self) -> Option<Vec<Word>> {
        self.blanks();
        if self.rest.first() != Some(&b'[') {
            return Some(vec![self.word()?]);
        }
        self.skip(1);
        let mut words = Vec::new();
        loop {
            self.blanks();
            match self.rest.first()? {
                b']' => {
                    self.skip(1);
                    return Some(words);
                }
                b',' if !words.is_empty() => self.skip(1),
                _ => {
                    words.push(self.word()?);
                    self.count()?;
                }
            }
        }
    }

    fn word(&mut self) -> Option<Word> {
        if self.rest.first() != Some(&b'"') {
            let digits = self.take(|byte| byte.is_ascii_digit());
            return std::str::from_utf8(digits).ok()?.parse().ok().map(Word::Number);
        }
        self.skip(1);
        let mut text = Vec::new();
        loop {
            text.extend_from_slice(self.take(|byte| byte != b'"' && byte != b'\\'));
            let quote = *self.rest.first()?;
            self.skip(1);
            if quote == b'"' {
                return Some(Word::Text(String::from_utf8_lossy(&text).into_owned()));
            }
            text.push(*self.rest.first()?);
            self.skip(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_keys_and_lists() {
        let text = b"# LVM's \"own\" {\ncontents = \"x # y \\\"z\\\" \\\\\"\n\n\
            vg-a {\n\tseqno = 3\t# three\n\tflags = []\n\tlist = [\n\"pv0\", 5,\n\"pv1\", 0\n]\n\
            0.+_- {a=1}}\n\0rest";
        let all = parse(text).unwrap();
        assert_eq!(all.text("contents"), Some("x # y \"z\" \\"));
        let group = &all.sections["vg-a"];
        assert_eq!((group.number("seqno"), group.number("flags")), (Some(3), None));
        assert_eq!((group.text("seqno"), group.list("nothing").len()), (None, 0));
        let [first, Word::Number(5), Word::Text(second), Word::Number(0)] = group.list("list")
        else {
            panic!("{group:?}")
        };
        assert_eq!((first, second.as_str()), (&Word::Text("pv0".to_owned()), "pv1"));
        assert!(group.has("list", "pv1") && !group.has("list", "pv2"));
        assert_eq!(group.sections["0.+_-"].number("a"), Some(1));
    }

    #[test]
    fn text_that_makes_no_sense() {
        let deep = "a {".repeat(100_000) + &"}".repeat(100_000);
        let long = format!("a = [{}]", "1,".repeat(MOST + 1));
        for (text, expected) in [
            ("a {", "within a section"),
            ("}", "not open"),
            ("a { } }", "not open"),
            ("a = ", "value"),
            ("a = [1", "value"),
            ("a = [,1]", "value"),
            ("a = [[1]]", "value"),
            ("a = \"x", "value"),
            ("a = \"x\\", "value"),
            ("a = -1", "value"),
            ("a = 99999999999999999999", "value"),
            ("a = b", "value"),
            ("a = 1 a = 2", "twice"),
            ("a { } a { }", "twice"),
            ("a", "neither"),
            ("a b", "neither"),
            ("= 1", "no name"),
            ("/ = 1", "no name"),
            (&deep, "too deep"),
            (&long, "value"),
            (&"a { } ".repeat(2), "twice"),
        ] {
            let error = parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}: not {expected}");
        }
        let many: String = (0..=MOST).map(|n| format!("k{n}=1\n")).collect();
        assert!(parse(many.as_bytes()).unwrap_err().to_string().contains("too long"));
        assert!(parse(b"").unwrap().sections.is_empty());
    }
}
