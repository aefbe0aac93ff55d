//! `goldsmith elements test`.

use std::path::{Path, PathBuf};

use clap::Args;
use goldsmith_images::store::Store;
use regex::Regex;

use super::{Search, catalogue};
use crate::element::selftest::{Builder, Interrupts, Test, discover, run as run_test};
use crate::element::shipped;
use crate::error::{Failure, Kind, Result};
use crate::phase::session::store_failure;
use crate::request::Request;

/// What `test` takes.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// Where elements are looked for
    #[command(flatten)]
    search: Search,
    /// List the tests, run none
    #[arg(short, long)]
    list: bool,
    /// Keep what each test prints, as ELEMENT-TEST.log in this directory
    #[arg(long, value_name = "DIR")]
    logs: Option<PathBuf>,
    /// Only tests whose name, ELEMENT/TEST, this regular expression finds
    #[arg(value_name = "REGEX")]
    regex: Option<String>,
}

/// Runs the verb; the status is 1 when a test fails.
///
/// # Errors
///
/// When no test is found, or one cannot be started.
pub(super) fn run(args: &TestArgs, request: &mut Request, cache: &Path) -> Result<u8> {
    let regex = Regex::new(args.regex.as_deref().unwrap_or_default()).map_err(|error| {
        Failure::new(Kind::Usage, format!("the regular expression: {error}"))
            .hint("it is looked for in names like ELEMENT/TEST, which --list prints")
    })?;
    let env = request.env.clone();
    let no_builtin_elements = args.search.no_builtin_elements || request.no_builtin_elements;
    let mut elements_path: Vec<_> =
        args.search.elements_path.iter().map(|dir| request.cwd.join(dir)).collect();
    elements_path.extend(request.elements_path.iter().cloned());
    let catalogue = catalogue(request, &args.search, cache)?;
    let mut tests = discover(&catalogue);
    tests.retain(|test| regex.is_match(&test.full_name()));
    if tests.is_empty() {
        return Err(Failure::new(Kind::Usage, "no element has such a test")
            .hint("`goldsmith elements test --list` lists all of them"));
    }
    if args.list {
        for test in &tests {
            crate::report::print(&format!("{:60} {}\n", test.full_name(), test.describe()));
        }
        return Ok(0);
    }
    let store = Store::open(cache).map_err(|error| store_failure(&error))?;
    let lib = shipped::unpack(&store.elements())?.lib;
    let builder =
        Builder { elements_path, no_builtin_elements, cache: cache.to_path_buf(), lib, env };
    let failed = run_all(&tests, &builder, args.logs.as_deref().map(|dir| request.cwd.join(dir)))?;
    crate::report::print(&format!("{} passed, {failed} failed\n", tests.len() - failed));
    Ok(u8::from(failed > 0))
}

fn run_all(tests: &[Test], builder: &Builder, logs: Option<PathBuf>) -> Result<usize> {
    let trouble = |error: std::io::Error| Failure::wrap(Kind::Host, "the logs", &error);
    let interrupts = Interrupts::catch()?;
    let temporary =
        tempfile::Builder::new().prefix("goldsmith-logs-").tempdir().map_err(trouble)?;
    let kept = logs.is_some();
    let place = logs.unwrap_or_else(|| temporary.path().to_path_buf());
    fs_err::create_dir_all(&place).map_err(trouble)?;
    let mut failed = 0;
    for test in tests {
        let log = place.join(format!("{}-{}.log", test.element, test.name));
        fs_err::write(&log, "").map_err(trouble)?;
        let outcome = run_test(test, builder, &log, &interrupts)?;
        let took = outcome.took.as_secs_f64();
        match outcome.failure {
            None => {
                let remark = outcome.remark.map(|text| format!(", {text}")).unwrap_or_default();
                let name = test.full_name();
                crate::report::print(&format!("pass {name} ({took:.1} s{remark})\n"));
            }
            Some(why) => {
                failed += 1;
                for line in &outcome.tail {
                    crate::report::print(&format!("    {line}\n"));
                }
                let see = if kept { format!("; {}", log.display()) } else { String::new() };
                let name = test.full_name();
                crate::report::print(&format!("FAIL {name} ({took:.1} s): {why}{see}\n"));
            }
        }
    }
    Ok(failed)
}
