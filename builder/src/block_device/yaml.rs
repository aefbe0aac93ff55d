//! YAML with the lines that its values stand in.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

/// A value and the line of the file that it begins in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) line: u64,
    pub(super) value: Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Nothing,
    /// A word that is in quotes, or could be.
    Text(String),
    /// A number or the like as the file writes it, `0x83` and `83` are different; and what it is.
    Plain(String, Scalar),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key and its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) line: u64,
}

/// A scalar that is no text.
pub(super) type Scalar = serde_json::Value;

impl Value {
    /// A scalar as it is written.
    pub(super) fn word(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Plain(text, _) => Some(text),
            _ => None,
        }
    }

    /// The same as JSON.
    pub(super) fn json(&self) -> serde_json::Value {
        match self {
            Self::Nothing => serde_json::Value::Null,
            Self::Text(text) => text.as_str().into(),
            Self::Plain(_, value) => value.clone(),
            Self::List(list) => list.iter().map(|node| node.value.json()).collect(),
            Self::Map(pairs) => {
                pairs.iter().map(|(key, node)| (key.name.clone(), node.value.json())).collect()
            }
        }
    }

    /// What it is, for people.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Text(_) | Self::Plain(..) => "a word",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

/// Reads a document.
///
/// # Errors
///
/// With the parser's words, which name the line, when it is no YAML.
pub(super) fn parse(text: &str) -> Result<Node, String> {
    let read: Spanned<Read> = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    let lines: Vec<_> = text.lines().collect();
    Ok(settle(read, &lines))
}

/// A value before its scalars are looked up in the text.
enum Read {
    Nothing,
    Quoted(String),
    Plain(Scalar),
    List(Vec<Spanned<Self>>),
    Map(Vec<(Spanned<String>, Spanned<Self>)>),
}

fn settle(read: Spanned<Read>, lines: &[&str]) -> Node {
    let value = match read.value {
        Read::Nothing => Value::Nothing,
        Read::Quoted(text) => Value::Text(text),
        Read::Plain(value) => {
            let text = written(&read.defined, lines).unwrap_or_else(|| value.to_string());
            Value::Plain(text, value)
        }
        Read::List(list) => Value::List(list.into_iter().map(|item| settle(item, lines)).collect()),
        Read::Map(pairs) => Value::Map(
            pairs
                .into_iter()
                .map(|(key, value)| {
                    let key = Key { line: key.referenced.line(), name: key.value };
                    (key, settle(value, lines))
                })
                .collect(),
        ),
    };
    Node { line: read.referenced.line(), value }
}

/// The word at a place of the text.
fn written(at: &Location, lines: &[&str]) -> Option<String> {
    let line = lines.get(usize::try_from(at.line().checked_sub(1)?).ok()?)?;
    let skip = usize::try_from(at.column().checked_sub(1)?).ok()?;
    let word: String = line
        .chars()
        .skip(skip)
        .take_while(|c| !c.is_whitespace() && !matches!(c, ',' | ']' | '}'))
        .collect();
    Some(word)
        .filter(|word| word.starts_with(|c: char| c.is_ascii_alphanumeric() || "+-.".contains(c)))
}

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Read;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a scalar, a list or a map")
    }

    fn visit_unit<E>(self) -> Result<Read, E> {
        Ok(Read::Nothing)
    }

    fn visit_none<E>(self) -> Result<Read, E> {
        Ok(Read::Nothing)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Read, D::Error> {
        Read::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Read, E> {
        Ok(Read::Plain(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Read, E> {
        Ok(Read::Plain(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Read, E> {
        Ok(Read::Plain(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Read, E> {
        Ok(Read::Plain(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Read, E> {
        Ok(Read::Quoted(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Read, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = seq.next_element()? {
            list.push(item);
        }
        Ok(Read::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Read, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Read::Map(pairs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(value: &Value) -> &[Node] {
        let Value::List(list) = value else { panic!("{value:?}") };
        list
    }

    fn map(value: &Value) -> &[(Key, Node)] {
        let Value::Map(pairs) = value else { panic!("{value:?}") };
        pairs
    }

    #[test]
    fn lines_and_words_are_kept() {
        let text = "# first\n- a:\n    type: 0x83\n    size: 83\n    list: [8300, '7', x]\n- b:\n- c: {on: true, n: -1.50}\n";
        let read = parse(text).unwrap().value;
        let (key, a) = &map(&list(&read)[0].value)[0];
        assert_eq!((key.name.as_str(), key.line), ("a", 2));
        let a = map(&a.value);
        assert_eq!((a[0].0.line, a[0].1.line, a[0].1.value.word()), (3, 3, Some("0x83")));
        assert_eq!((a[1].0.line, a[1].1.value.word()), (4, Some("83")));
        let words: Vec<_> = list(&a[2].1.value).iter().map(|node| node.value.word()).collect();
        assert_eq!(words, [Some("8300"), Some("7"), Some("x")]);
        assert_eq!(map(&list(&read)[1].value)[0].1.value, Value::Nothing);
        let c = map(&map(&list(&read)[2].value)[0].1.value);
        assert_eq!((c[0].1.value.word(), c[1].1.value.word()), (Some("true"), Some("-1.50")));
        let json = serde_json::json!([
            {"a": {"type": 131, "size": 83, "list": [8300, "7", "x"]}},
            {"b": null},
            {"c": {"on": true, "n": -1.5}},
        ]);
        assert_eq!(read.json(), json);
    }

    #[test]
    fn what_is_no_yaml_is_refused() {
        for text in ["a: [", "a: 1\na: 2\n"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(parse("").unwrap().value, Value::Nothing);
    }
}
