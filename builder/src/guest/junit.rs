//! Results for programs that read JUnit's XML.

use std::fmt::Write as _;

use super::script::{Answer, Check};

/// The document: one suite named `suite`, a case for each check; `seconds` is the wall time of
/// all of it. Where no check could be made, `error` says why.
pub fn document(
    suite: &str,
    seconds: f64,
    results: &[(Check, Answer)],
    error: Option<&str>,
) -> String {
    let failures = results.iter().filter(|(_, answer)| answer.status != 0).count();
    let (tests, errors) =
        (results.len() + usize::from(error.is_some()), usize::from(error.is_some()));
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let mut line = |written: std::fmt::Arguments<'_>| {
        if text.write_fmt(written).is_err() {
            tracing::debug!("writing to a string fails never");
        }
    };
    let suite = escaped(suite);
    line(format_args!(
        "<testsuites><testsuite name=\"{suite}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" time=\"{seconds:.3}\">\n"
    ));
    for (check, answer) in results {
        let (class, name) = (escaped(check.class), escaped(&check.name));
        let case = format!("<testcase classname=\"{class}\" name=\"{name}\" time=\"0\"");
        if answer.status == 0 {
            line(format_args!("{case}/>\n"));
            continue;
        }
        let first = escaped(answer.text.lines().next().unwrap_or("it is not as expected"));
        let all = escaped(&answer.text);
        line(format_args!("{case}><failure message=\"{first}\">{all}</failure></testcase>\n"));
    }
    if let Some(error) = error {
        let error = escaped(error);
        line(format_args!(
            "<testcase classname=\"guest\" name=\"boot\" time=\"0\"><error message=\"{error}\"/></testcase>\n"
        ));
    }
    text + "</testsuite></testsuites>\n"
}

/// A text as XML takes it; what no document may hold becomes a question mark.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            '\t' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'.. => escaped.push(c),
            _ => escaped.push('?'),
        }
    }
    escaped
}
