//! The other pages, whose commands tests of their subjects run; what is left are the pods'.

use anyhow::{Context as _, Result, ensure};
use goldsmith_tests::TestEnv;

use super::Fate::{Always, Elsewhere, Run, Source, Word};
use super::Page;
use crate::ok;

const LOCK: Page = Page {
    text: include_str!("../../../docs/lock.md"),
    fates: &[
        (
            "goldsmith lock -n -t tar small mine",
            Elsewhere("build::a_locked_build_reads_what_the_lock_has_and_nothing_else"),
        ),
        (
            "goldsmith build --locked --offline -n -t tar small mine",
            Elsewhere("build::a_locked_build_reads_what_the_lock_has_and_nothing_else"),
        ),
        (
            "goldsmith lock -f mine.lock -n -t tar -o a small mine",
            Elsewhere("build::drift_is_an_error_that_names_it"),
        ),
        (
            "goldsmith build --lock mine.lock --locked -n -t tar small mine",
            Elsewhere("build::drift_is_an_error_that_names_it"),
        ),
        ("goldsmith build", Word),
        ("goldsmith lock", Word),
        (
            "goldsmith outdated",
            Elsewhere("build::a_locked_build_reads_what_the_lock_has_and_nothing_else"),
        ),
        (
            "goldsmith update tool",
            Elsewhere("build::a_locked_build_reads_what_the_lock_has_and_nothing_else"),
        ),
    ],
};

/// The test of the cache runs every line of the block.
const STORE: super::Fate = Elsewhere("build::the_cache_is_shown_checked_and_made_smaller");
const CACHE: Page = Page {
    text: include_str!("../../../docs/cache.md"),
    fates: &[
        ("goldsmith store prune --max-size 0", STORE),
        ("goldsmith store ls", STORE),
        ("goldsmith store du", STORE),
        ("goldsmith store gc --older-than 30", STORE),
        ("goldsmith store rm NAME", STORE),
        ("goldsmith store prune --max-size 20GiB", STORE),
        ("goldsmith store prune --older-than 90", STORE),
        ("goldsmith store fsck", STORE),
        ("goldsmith store fsck --repair", STORE),
    ],
};

const GUESTS: Page = Page {
    text: include_str!("../../../docs/guests.md"),
    fates: &[
        ("goldsmith boot", Word),
        ("goldsmith test", Word),
        ("goldsmith boot server.qcow2", Elsewhere("boot::a_tree_boots_from_other_kinds_of_disks")),
        (
            "goldsmith test server.qcow2 --spec asserts.toml --junit results.xml",
            Elsewhere("boot::a_server_boots_by_uefi_and_is_what_its_spec_says"),
        ),
    ],
};

const PODS: Page = Page {
    text: include_str!("../../../docs/kubernetes.md"),
    fates: &[
        ("tests/static-binary out/goldsmith", Source),
        ("buildah build --build-arg BINARY=out/goldsmith -t registry.example/goldsmith .", Source),
        ("goldsmith doctor --json", Elsewhere("build::what_pods_run_is_understood")),
    ],
};

const BASES: Page = Page {
    text: include_str!("../../../docs/base-yaml.md"),
    fates: &[
        ("export ELEMENTS_PATH=elements", Always),
        ("tar -C tree --owner=0 --group=0 -I zstd -cf rootfs.tar.zst .", Run("mine")),
        ("goldsmith build -n -t tar -o image mine", Run("mine")),
        ("goldsmith build -n -t tar --insecure-base -o image unsigned", Run("unsigned")),
        ("goldsmith plan", Word),
        (
            "DIB_CONTAINERFILE_DOCKERFILE=Containerfile DIB_CONTAINER_CONTEXT=context goldsmith build -n -t tar -o contained containerfile",
            Elsewhere("build::a_context_is_copied_by_patterns_without_what_it_leaves_out"),
        ),
    ],
};

/// Runs the commands of a part of the page of bases.
pub(crate) fn bases(env: &TestEnv, part: &str) -> Result<()> {
    BASES.run(part, env).map(drop)
}

#[test]
fn each_command_of_the_pages_is_run_by_a_test() -> Result<()> {
    for (name, page) in
        [("lock", LOCK), ("cache", CACHE), ("guests", GUESTS), ("pods", PODS), ("bases", BASES)]
    {
        page.is_settled().with_context(|| format!("the page of {name}"))?;
    }
    Ok(())
}

/// What the pods' containers run: of builds the plan, of the last step that its words are understood.
#[test]
fn what_pods_run_is_understood() -> Result<()> {
    let env = TestEnv::new()?;
    let (mut builds, mut others) = (0, 0);
    let commands = PODS.text.lines().filter_map(|line| line.trim().strip_prefix("command: ["));
    for line in commands {
        let words = line.trim_end_matches(']').replace("/out/", "").replace(',', " ");
        let words: Vec<_> = words.split_whitespace().collect();
        match words.as_slice() {
            ["goldsmith", "build", rest @ ..] => {
                ok(&env.run(&[&["plan"][..], rest].concat())?)?;
                builds += 1;
            }
            // A user has no loop devices, which is told before the tree is looked for.
            ["goldsmith", "materialise", rest @ ..] => {
                let ran = env.run(&[&["materialise"][..], rest].concat())?;
                ensure!(ran.status == 4 && ran.stderr.contains("loop needs root"), "{ran:#?}");
                others += 1;
            }
            other => anyhow::bail!("{other:?}"),
        }
    }
    ensure!((builds, others) == (2, 1), "the page has lost its pods");
    let doctor = env.run(&["doctor", "--json"])?;
    let said: serde_json::Value = serde_json::from_str(&doctor.stdout)?;
    ensure!(said.is_object() || said.is_array(), "{doctor:#?}");
    Ok(())
}
