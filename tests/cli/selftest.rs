//! `goldsmith elements test` without building anything.

use anyhow::{Result, ensure};

use crate::with_os;

const UNIT: &str = "import unittest\nclass T(unittest.TestCase):\n    def test_a(self):\n";

#[test]
fn tests_are_listed_and_chosen_by_name() -> Result<()> {
    let env = with_os()?;
    env.element("a/tests/test_a.py", UNIT)?;
    env.element("a/test-elements/plain/element-deps", "base\n")?;
    env.element("b/test-elements/both/test-output-formats", "tar,qcow2\n")?;
    env.element("b/test-elements/ram/element-type", "ramdisk\n")?;
    let line = ["elements", "test", "--list", "--no-builtin-elements"];
    let listed = |more: &[&str]| -> Result<Vec<String>> {
        let ran = env.run(&[&line, more].concat())?;
        ensure!(ran.status == 0, "{ran:?}");
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        Ok(ran.stdout.lines().map(words).collect())
    };
    let all = ["a/tests python", "a/plain disk tar", "b/both disk tar,qcow2", "b/ram ramdisk"];
    ensure!(listed(&[])? == all, "{:?}", listed(&[])?);
    ensure!(listed(&["^b/"])? == all[2..], "{:?}", listed(&["^b/"])?);
    let ran = env.run(&["elements", "test", "--list", "nothing"])?;
    ensure!(ran.status == 2 && ran.stderr.contains("no element has such a test"), "{ran:?}");
    let ran = env.run(&["elements", "test", "a("])?;
    ensure!(ran.status == 2 && ran.stderr.contains("the regular expression"), "{ran:?}");
    Ok(())
}

#[test]
fn python_tests_are_run() -> Result<()> {
    let env = with_os()?;
    env.element("good/tests/__init__.py", "")?;
    env.element("good/tests/test_a.py", &format!("{UNIT}        self.assertTrue(True)\n"))?;
    let ran = env.run(&["elements", "test", "tests$"])?;
    ensure!(ran.status == 0 && ran.stdout.ends_with("1 passed, 0 failed\n"), "{ran:?}");
    env.element("bad/tests/test_a.py", &format!("{UNIT}        self.assertEqual(1, 2)\n"))?;
    env.element("lost/tests/test_a.py", "import no_such_module\n")?;
    env.element("none/tests/test_a.py", "# nothing\n")?;
    env.element("ours/tests/test_a.py", "import unittest\nimport diskimage_builder.logging_config\nclass T(unittest.TestCase):\n    def test_a(self):\n        pass\n")?;
    let ran = env.run(&["elements", "test", "tests$"])?;
    ensure!(ran.status == 1 && ran.stdout.ends_with("2 passed, 3 failed\n"), "{ran:?}");
    for part in [
        "AssertionError: 1 != 2",
        "FAIL lost/tests (",
        "ModuleNotFoundError: No module named 'no_such_module'; DIB_PYTHON_EXEC names another",
        "unittest finds no test",
        "pass ours/tests (",
    ] {
        ensure!(ran.stdout.contains(part), "{part:?} in {}", ran.stdout);
    }
    // Nothing is left in the elements.
    ensure!(!env.path("elements/good/tests/__pycache__").exists());
    Ok(())
}
