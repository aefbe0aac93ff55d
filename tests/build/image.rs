//! An image of several elements that tests share.
//!
//! An image is built once for all tests of a run: they queue at a lock, and for those who
//! come later goldsmith finds everything up to date.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use goldsmith_tests::TestEnv;

use crate::{member, probe};

/// A finished image to look at.
pub(crate) struct Image {
    pub(crate) tar: std::path::PathBuf,
    /// What `tar -tv` prints of it.
    pub(crate) list: String,
}

impl Image {
    /// Builds the image `name` of these elements, with these variables, unless it is there.
    pub(crate) fn build(name: &str, elements: &[&str], variables: &[(&str, &str)]) -> Result<Self> {
        Self::build_in(&TestEnv::new()?, name, elements, variables)
    }

    /// The same, from a directory with files that the variables name.
    pub(crate) fn build_in(
        env: &TestEnv,
        name: &str,
        elements: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<Self> {
        probe::write(env)?;
        Self::build_as(env, name, "tar", &[], elements, variables)
    }

    /// The same, with other types of output and options, and without the usual probes.
    pub(crate) fn build_as(
        env: &TestEnv,
        name: &str,
        types: &str,
        options: &[&str],
        elements: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<Self> {
        let place =
            env.cache().with_file_name(format!("elements-{}", rustix::process::geteuid().as_raw()));
        fs_err::create_dir_all(&place)?;
        let lock = fs_err::File::create(place.join("lock"))?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)?;
        let mut command = env.command("goldsmith")?;
        command.args(["build", "-t", types, "--progress", "plain", "-o"]).arg(place.join(name));
        command.args(options).args(elements).envs(variables.iter().copied());
        let output = command.output()?;
        goldsmith_tests::succeeded(&output)?;
        let tar = place.join(format!("{name}.tar"));
        let list = Command::new("tar").arg("-tvf").arg(&tar).output()?;
        Ok(Self { list: String::from_utf8(list.stdout)?, tar })
    }

    /// The text of a file.
    pub(crate) fn text(&self, path: &str) -> Result<String> {
        member(&self.tar, &format!(".{path}"))
    }

    /// The line of `tar -tv` for a path.
    pub(crate) fn entry(&self, path: &str) -> Option<&str> {
        let wanted = format!(" .{path}");
        self.list.lines().find(|line| {
            let line = line.trim_end_matches('/');
            let name = line.split_once(" -> ").map_or(line, |(name, _)| name);
            name.ends_with(&wanted)
        })
    }

    /// Fails unless all of these are in the image.
    pub(crate) fn has(&self, paths: &[&str]) -> Result<()> {
        for path in paths {
            ensure!(self.entry(path).is_some(), "{path} is missing");
        }
        Ok(())
    }

    /// Fails if one of these is in the image.
    pub(crate) fn lacks(&self, paths: &[&str]) -> Result<()> {
        for path in paths {
            ensure!(self.entry(path).is_none(), "{path} is in the image");
        }
        Ok(())
    }

    /// Whatever is below a directory, as `tar -tv` lists it.
    pub(crate) fn list_below(&self, directory: &str) -> Vec<&str> {
        let below = format!(" .{directory}/");
        self.list.lines().filter(|line| line.contains(&below) && !line.ends_with(&below)).collect()
    }

    /// Fails unless the unit starts at boot.
    pub(crate) fn enabled(&self, unit: &str) -> Result<()> {
        let found = self.list.lines().any(|line| {
            line.contains("./etc/systemd/system/") && line.contains(&format!(".wants/{unit} -> "))
        });
        ensure!(found, "{unit} is not enabled");
        Ok(())
    }

    pub(crate) fn installed(&self, packages: &[&str]) -> Result<()> {
        let status = self.text("/var/lib/dpkg/status")?;
        for package in packages {
            let stanza = status
                .split("\n\n")
                .find(|stanza| stanza.lines().next() == Some(&format!("Package: {package}")));
            let stanza = stanza.with_context(|| format!("{package} is not there"))?;
            ensure!(stanza.contains("Status: install ok installed"), "{stanza}");
        }
        Ok(())
    }
}
