//! Break points of diskimage-builder: `break=before-install,after-error`.
//!
//! The drivers of phases run the shells (`lib/driver/break-points`); here is decided who
//! sits at them, and that no result that somebody had a hand in is ever reused.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;

use goldsmith_runtime::Stdin;

use super::table::{PHASES, Phase, Place};
use crate::error::{Failure, Kind, Result};

/// The variables that ask for break points. Results do not depend on them.
const VARIABLES: [&str; 3] = ["break", "break_cmd", "break_outside_target"];

/// Variables that a step's key covers.
pub fn without(env: &BTreeMap<String, String>) -> impl Iterator<Item = (&String, &String)> {
    env.iter().filter(|(name, _)| !VARIABLES.contains(&name.as_str()))
}

/// Points of older diskimage-builders, the phase that they belong to now, and whether they
/// come when its hooks are done (contract 2.6; a build fires them in `lib/driver/host-phase`).
const OLD: [(&str, &str); 2] =
    [("after-first-boot", "extra-data"), ("before-block-device-size", "post-root")];

/// Refuses names that are no break point: somebody would wait for a shell in vain.
///
/// # Errors
///
/// For the first such name; the failure lists the valid ones.
pub fn check(env: &BTreeMap<String, String>) -> Result<()> {
    let phases = PHASES
        .iter()
        .map(Phase::name)
        .flat_map(|name| [format!("before-{name}"), format!("after-{name}")]);
    let valid: Vec<String> = phases
        .chain(["after-error".to_owned()])
        .chain(OLD.map(|(point, _)| point.to_owned()))
        .collect();
    let list = env.get("break").map(String::as_str).unwrap_or_default();
    match list.split(',').find(|item| !item.is_empty() && !valid.iter().any(|name| name == item)) {
        None => Ok(()),
        Some(unknown) => {
            let message = format!("break={list}: there is no break point {unknown:?}");
            Err(Failure::new(Kind::Configuration, message)
                .hint(format!("the break points are {}", valid.join(", "))))
        }
    }
}

/// The command that runs in the tools container when a hook of `phase` fails, if somebody
/// asks for one by `break_outside_target`.
pub fn outside(env: &BTreeMap<String, String>, phase: &Phase) -> Option<Vec<String>> {
    let set = |name: &str| env.get(name).filter(|value| !value.is_empty());
    set("break_outside_target")?;
    let asked = phase.place == Place::Target && listed(env, "after-error");
    let command = set("break_cmd").map_or("bash", String::as_str);
    asked.then(|| ["bash", "-c", command].map(str::to_owned).to_vec())
}

/// Whether any break point is asked for.
pub fn any(env: &BTreeMap<String, String>) -> bool {
    env.get("break").is_some_and(|list| !list.is_empty())
}

/// Whether somebody steps in before or after the hooks of `phase`, and may change its result.
pub fn steps_in(env: &BTreeMap<String, String>, phase: &Phase) -> bool {
    let name = phase.name();
    listed(env, &format!("before-{name}"))
        || listed(env, &format!("after-{name}"))
        || OLD.iter().any(|(point, of)| *of == name && listed(env, point))
}

/// A part of a step's key that no other step has.
pub fn once() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    format!("{:?} {}", now.unwrap_or_default(), std::process::id())
}

/// Where a phase's standard input comes from.
pub fn stdin(env: &BTreeMap<String, String>, phase: &Phase) -> Stdin {
    // What diskimage-builder does: only these have the break point after-error.
    let may_fail_openly = phase.place == Place::Target || phase.name() == "block-device";
    if steps_in(env, phase) || may_fail_openly && listed(env, "after-error") {
        persons_stdin()
    } else {
        Stdin::Null
    }
}

/// A person gets a terminal inside; files and pipes are passed on.
pub fn persons_stdin() -> Stdin {
    let person = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if person { Stdin::Terminal } else { Stdin::Inherit }
}

fn listed(env: &BTreeMap<String, String>, point: &str) -> bool {
    env.get("break").is_some_and(|list| list.split(',').any(|item| item == point))
}

#[cfg(test)]
mod tests {
    use super::*;
    fn env(list: &str) -> BTreeMap<String, String> {
        [("break", list), ("break_cmd", "id"), ("DIB_RELEASE", "x")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    fn phases(test: impl Fn(&Phase) -> bool) -> Vec<&'static str> {
        PHASES.iter().filter(|phase| test(phase)).map(Phase::name).collect()
    }

    #[test]
    fn points_are_found_by_their_whole_name() {
        let stepped = |list: &str| phases(|phase| steps_in(&env(list), phase));
        assert_eq!(stepped("before-install"), ["install"]);
        assert_eq!(stepped("after-root,before-post-install"), ["root", "post-install"]);
        assert!(stepped("install,after-error,before-inst").is_empty());
        assert_eq!(
            stepped("after-first-boot,before-block-device-size"),
            ["extra-data", "post-root"]
        );
        assert!(!any(&env("")) && any(&env("x")));
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_valid_ones() {
        check(&env("before-root,after-cleanup,after-error,,after-first-boot")).unwrap();
        let failure = check(&env("after-error,before-instal")).unwrap_err();
        assert!(failure.message.contains("\"before-instal\""), "{failure}");
        assert!(failure.hints[0].contains("before-install, after-install"), "{failure:?}");
    }

    #[test]
    fn outside_of_the_image_only_a_failed_target_phase_stops() {
        let asking = |outside: &str| {
            let mut env = env("after-error");
            env.insert("break_outside_target".into(), outside.into());
            phases(|phase| super::outside(&env, phase).is_some())
        };
        assert_eq!(asking("1"), ["pre-install", "install", "post-install", "finalise"]);
        assert!(asking("").is_empty());
    }

    #[test]
    fn only_what_can_stop_is_given_input() {
        let opened = phases(|phase| stdin(&env("after-error"), phase) != Stdin::Null);
        assert_eq!(opened, ["pre-install", "install", "post-install", "block-device", "finalise"]);
    }

    #[test]
    fn keys_do_not_see_break_points() {
        let env = env("after-error");
        assert_eq!(
            without(&env).map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
            ["DIB_RELEASE"]
        );
    }
}
