//! Words of container files: quotes, escapes and variables, as the Dockerfile reference has
//! them.

use std::iter::Peekable;
use std::str::Chars;

/// The value of a variable; nothing when it is not set.
pub type Values<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Splits at blanks that are not quoted; quotes and escapes stay, for [`fill`].
///
/// # Errors
///
/// When a quote has no end.
pub fn split(text: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word) = (Vec::new(), String::new());
    let mut quote = None;
    let mut letters = text.chars();
    while let Some(c) = letters.next() {
        match (c, quote) {
            ('\\', Some('"') | None) => {
                word.push(c);
                word.extend(letters.next());
                continue;
            }
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (c, None) if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            _ => {}
        }
        word.push(c);
    }
    if quote.is_some() {
        return Err("a quote has no end".to_owned());
    }
    if !word.is_empty() {
        words.push(word);
    }
    Ok(words)
}

/// Takes quotes and escapes away and puts the values of variables in: `$NAME`, `${NAME}`,
/// `${NAME:-default}`, `${NAME:+instead}`, `${NAME:?message}`, and these without the colon,
/// which ask whether a variable is set and not whether it is empty.
///
/// # Errors
///
/// For other things in braces, a quote or brace without its end, and a variable that is missed.
pub fn fill(text: &str, values: &Values<'_>) -> Result<String, String> {
    let mut letters = text.chars().peekable();
    let mut out = String::new();
    while let Some(c) = letters.next() {
        match c {
            '\'' => loop {
                match letters.next().ok_or("a quote has no end")? {
                    '\'' => break,
                    inner => out.push(inner),
                }
            },
            '"' => quoted(&mut letters, values, &mut out)?,
            '\\' => out.push(letters.next().unwrap_or('\\')),
            '$' => out.push_str(&variable(&mut letters, values)?),
            _ => out.push(c),
        }
    }
    Ok(out)
}

/// What is between double quotes, the first of which is gone.
fn quoted(
    letters: &mut Peekable<Chars<'_>>,
    values: &Values<'_>,
    out: &mut String,
) -> Result<(), String> {
    loop {
        match letters.next().ok_or("a quote has no end")? {
            '"' => return Ok(()),
            '\\' => match letters.next().ok_or("a quote has no end")? {
                escaped @ ('"' | '$' | '\\') => out.push(escaped),
                other => out.extend(['\\', other]),
            },
            '$' => out.push_str(&variable(letters, values)?),
            inner => out.push(inner),
        }
    }
}

/// What is behind a dollar.
fn variable(letters: &mut Peekable<Chars<'_>>, values: &Values<'_>) -> Result<String, String> {
    if letters.next_if_eq(&'{').is_some() {
        return in_braces(letters, values);
    }
    let name = name(letters);
    if name.is_empty() { Ok("$".to_owned()) } else { Ok(values(&name).unwrap_or_default()) }
}

fn name(letters: &mut Peekable<Chars<'_>>) -> String {
    let mut name = String::new();
    while let Some(c) = letters.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
        name.push(c);
    }
    name
}

fn in_braces(letters: &mut Peekable<Chars<'_>>, values: &Values<'_>) -> Result<String, String> {
    let name = name(letters);
    if name.is_empty() {
        return Err("${ without a name is not supported".to_owned());
    }
    let no_end = || format!("${{{name} has no end");
    let colon = letters.next_if_eq(&':').is_some();
    let what = letters.next().ok_or_else(no_end)?;
    let value = values(&name).filter(|value| !colon || !value.is_empty());
    if what == '}' && !colon {
        return Ok(value.unwrap_or_default());
    }
    let word = up_to_brace(letters).ok_or_else(no_end)?;
    let other = || fill(&word, values);
    match (what, value) {
        ('-', Some(value)) | ('?', Some(value)) => Ok(value),
        ('-', None) | ('+', Some(_)) => other(),
        ('+', None) => Ok(String::new()),
        ('?', None) => Err(format!("{name}: {}", other()?)),
        _ => {
            let colon = if colon { ":" } else { "" };
            Err(format!("${{{name}{colon}{what}{word}}} is not supported"))
        }
    }
}

/// The text up to the brace that closes; braces, escapes and quotes in it are skipped.
fn up_to_brace(letters: &mut Peekable<Chars<'_>>) -> Option<String> {
    let (mut text, mut depth, mut quote) = (String::new(), 0, None);
    loop {
        let c = letters.next()?;
        match (c, quote) {
            ('\\', Some('"') | None) => {
                text.push(c);
                text.push(letters.next()?);
                continue;
            }
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            ('}', None) if depth == 0 => return Some(text),
            ('}', None) => depth -= 1,
            ('{', None) => depth += 1,
            _ => {}
        }
        text.push(c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_expand_as_in_container_files() {
        let value = |name: &str| match name {
            "A" => Some("a".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        for (text, filled) in [
            ("x${A}y$A.z", "xaya.z"),
            ("${B:-b$A}", "ba"),
            ("${B:-${C:-${A}}}x", "ax"),
            ("${A:+set}${B:+set}", "set"),
            ("${EMPTY:-x}${EMPTY-y}${EMPTY+z}${B-w}", "xzw"),
            ("${A:?needed}", "a"),
            (r"\$A $", "$A $"),
            (r#""$A b" 'it $A' "\$A" '\n' "\n""#, r"a b it $A $A \n \n"),
            (r"a\ b\\", r"a b\"),
            ("$B$A1-$_", "-"),
            ("${A:-'}'}${B:-'}'}", "a}"),
        ] {
            assert_eq!(fill(text, &value).as_deref(), Ok(filled), "{text}");
        }
        for (text, words) in [
            ("${A#x}", "${A#x} is not supported"),
            ("${A:1}", "not supported"),
            ("${B:?is needed}", "B: is needed"),
            ("${A", "has no end"),
            ("${}", "without a name"),
            ("'x", "quote"),
            ("\"x", "quote"),
        ] {
            let error = fill(text, &value).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn words_keep_their_quotes() {
        let words = split(r#" a="b c" 'd e'f  g\ h "#).unwrap();
        assert_eq!(words, [r#"a="b c""#, "'d e'f", r"g\ h"]);
        assert!(split("a 'b").is_err());
        assert!(split("").unwrap().is_empty());
    }
}
