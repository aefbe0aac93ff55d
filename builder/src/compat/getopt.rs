//! Options as GNU getopt reads them: permutation, `--long=value`, unambiguous
//! abbreviations, short options in one word.

/// An option that a program knows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) short: Option<char>,
    pub(super) long: Option<&'static str>,
    pub(super) value: bool,
}

/// One option as it was given: its canonical name (long, else the letter) and value.
pub(super) type Given = (String, Option<String>);

/// Splits a command line into options and other words.
pub(super) fn parse(
    known: &[Known],
    words: &[String],
) -> Result<(Vec<Given>, Vec<String>), String> {
    let (mut options, mut rest) = (Vec::new(), Vec::new());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            rest.extend(words.cloned());
            break;
        }
        if let Some(long) = word.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            let option = find_long(known, name)?;
            let value = match (option.value, value) {
                (true, None) => Some(
                    words
                        .next()
                        .cloned()
                        .ok_or(format!("option '--{name}' requires an argument"))?,
                ),
                (false, Some(_)) => {
                    return Err(format!("option '--{name}' doesn't allow an argument"));
                }
                (_, value) => value,
            };
            options.push((canonical(&option), value));
        } else if let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            let mut letters = letters.chars();
            while let Some(letter) = letters.next() {
                let option = known
                    .iter()
                    .find(|option| option.short == Some(letter))
                    .ok_or(format!("invalid option -- '{letter}'"))?;
                let value = if option.value {
                    let attached: String = letters.by_ref().collect();
                    let next = || words.next().cloned();
                    let value = Some(attached).filter(|text| !text.is_empty()).or_else(next);
                    Some(value.ok_or(format!("option requires an argument -- '{letter}'"))?)
                } else {
                    None
                };
                options.push((canonical(option), value));
            }
        } else {
            rest.push(word.clone());
        }
    }
    Ok((options, rest))
}

fn canonical(option: &Known) -> String {
    option.long.map(str::to_owned).or(option.short.map(String::from)).unwrap_or_default()
}

fn find_long(known: &[Known], name: &str) -> Result<Known, String> {
    let longs = || known.iter().filter_map(|option| Some((option.long?, option)));
    if let Some((_, option)) = longs().find(|(long, _)| *long == name) {
        return Ok(*option);
    }
    let matching: Vec<_> = longs().filter(|(long, _)| long.starts_with(name)).collect();
    match matching.as_slice() {
        [(_, option)] => Ok(**option),
        [] => Err(format!("unrecognized option '--{name}'")),
        many => {
            let names: Vec<_> = many.iter().map(|(long, _)| format!("'--{long}'")).collect();
            Err(format!("option '--{name}' is ambiguous; possibilities: {}", names.join(" ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Known] = &[
        Known { short: Some('a'), long: None, value: true },
        Known { short: Some('x'), long: None, value: false },
        Known { short: None, long: Some("image-size"), value: true },
        Known { short: None, long: Some("image-cache"), value: true },
        Known { short: None, long: Some("offline"), value: false },
    ];

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn all_spellings() {
        let (options, rest) =
            parse(KNOWN, &words("vm -xxa amd64 --image-s 3 os --off --image-cache=/c -- -x"))
                .unwrap();
        let names: Vec<_> = options.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["x", "x", "a", "image-size", "offline", "image-cache"]);
        assert_eq!(options[2].1.as_deref(), Some("amd64"));
        assert_eq!(rest, ["vm", "os", "-x"]);
    }

    #[test]
    fn errors_read_as_getopts() {
        for (line, text) in [
            ("--nope", "unrecognized option '--nope'"),
            ("--image 3", "ambiguous"),
            ("-q", "invalid option -- 'q'"),
            ("-a", "requires an argument"),
            ("--offline=1", "doesn't allow an argument"),
        ] {
            let error = parse(KNOWN, &words(line)).unwrap_err();
            assert!(error.contains(text), "{error}");
        }
    }
}
