//! docs/elements.md: every file of the guide, built and tested as it stands there.

use anyhow::{Context, Result, ensure};
use goldsmith_tests::TestEnv;

use crate::{member, ok};

const GUIDE: &str = include_str!("../../docs/elements.md");

/// Writes each code block that names a file; how many there are.
fn extract(env: &TestEnv) -> Result<usize> {
    let mut blocks = GUIDE.split("\n```");
    blocks.next();
    let mut files = 0;
    // Between an opening fence and a closing one.
    for block in blocks.step_by(2) {
        let (head, text) = block.split_once('\n').context("a block without text")?;
        let (_, path) =
            head.split_once(' ').with_context(|| format!("the block {head:?} names no file"))?;
        env.element(path, &format!("{text}\n"))?;
        files += 1;
    }
    Ok(files)
}

/// The command lines of the guide that stand on a line of their own, or between backquotes.
fn commands() -> Vec<Vec<&'static str>> {
    let own = GUIDE.lines().filter_map(|line| line.strip_prefix("    goldsmith "));
    let inline = GUIDE.split('`').filter_map(|text| text.strip_prefix("goldsmith elements "));
    let words = |line: &'static str| line.split_whitespace().collect();
    // What is built lies among the elements, so mistakes are looked for first.
    inline
        .map(|line| [vec!["elements"], words(line)].concat())
        .chain(own.map(words))
        .filter(|words: &Vec<_>| words.len() > 2)
        .collect()
}

#[test]
fn the_elements_of_the_guide_do_what_it_says() -> Result<()> {
    let env = TestEnv::new()?;
    ensure!(extract(&env)? >= 14, "the guide has lost its examples");
    let (mut said, mut lines) = (String::new(), 0);
    for mut words in commands() {
        // What the guide leaves to the reader.
        for word in &mut words {
            if *word == "DIRECTORY" {
                *word = ".";
            }
        }
        let mut command = env.command("goldsmith")?;
        command.env("DIB_DEBIAN_KERNEL", "none").env_remove("ELEMENTS_PATH").args(&words);
        command.current_dir(env.path("elements"));
        let ran = goldsmith_tests::ran(&mut command)?;
        ok(&ran)?;
        said += &(ran.stdout + &ran.stderr);
        lines += 1;
    }
    ensure!(lines == 4, "the guide has {lines} command lines, not 4");
    ensure!(said.contains("Welcome to the office.\n") && said.contains(" 0 findings"), "{said}");
    ensure!(said.contains("greeter/greets"), "no test ran: {said}");

    let tar = env.path("elements/image.tar");
    ensure!(member(&tar, "./etc/greeter.conf")? == "Welcome to the office.\n");
    ensure!(member(&tar, "./var/lib/dpkg/status")?.contains("Package: hello\n"));
    let wanted = "./etc/systemd/system/multi-user.target.wants/greeter.service";
    let list = std::process::Command::new("tar").arg("-tf").arg(&tar).output()?;
    ensure!(String::from_utf8(list.stdout)?.lines().any(|line| line == wanted), "no service");
    let beside = env.path("elements/image.greeting");
    ensure!(fs_err::read_to_string(beside)? == "Welcome to the office.\n");
    Ok(())
}
