//! What a container file does, with every variable filled in: the values of ENV and ARG, the
//! working directory and the user do not depend on what commands do, so that all of it is
//! known before one runs.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use goldsmith_images::oci::{Platform, Run};

use super::parse::{Command, Containerfile, Instruction, Refused};
use super::words::fill;

/// Where programs are looked for in images that do not say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Arguments that need no ARG.
const PROXIES: [&str; 10] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// One thing to do in a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// A command.
    Run {
        /// Program and arguments.
        argv: Vec<String>,
        /// Its whole environment but for `HOME`.
        env: BTreeMap<String, String>,
        /// Its working directory.
        directory: PathBuf,
        /// `USER[:GROUP]`; nothing for root.
        user: String,
    },
    /// Files of the context.
    Copy {
        /// `USER[:GROUP]` of the copies.
        owner: Option<String>,
        /// Paths in the context.
        sources: Vec<String>,
        /// An absolute path in the image; with a slash at its end it is a directory.
        to: String,
    },
    /// A directory that must be there.
    Directory(PathBuf),
}

/// Arguments of the build that say what is built; an ARG makes them visible.
pub(super) fn platform_arguments(platform: &Platform) -> BTreeMap<String, String> {
    let mut arguments = BTreeMap::new();
    for side in ["TARGET", "BUILD"] {
        let mut set = |what: &str, value: String| arguments.insert(format!("{side}{what}"), value);
        set("PLATFORM", platform.to_string());
        set("OS", platform.os.clone());
        set("ARCH", platform.architecture.clone());
        set("VARIANT", platform.variant.clone().unwrap_or_default());
    }
    arguments
}

/// What instructions change beside files.
struct Machine<'a> {
    env: BTreeMap<String, String>,
    arguments: BTreeMap<String, String>,
    directory: PathBuf,
    user: String,
    given: &'a BTreeMap<String, String>,
}

impl Containerfile {
    /// Fills variables in: `run` is how the image that it begins with wants to be run, `given`
    /// are values for ARG.
    ///
    /// # Errors
    ///
    /// With the first line whose variables are not understood.
    pub(super) fn steps(
        &self,
        run: &Run,
        given: &BTreeMap<String, String>,
    ) -> Result<Vec<(usize, Step)>, Refused> {
        let mut machine = Machine {
            env: run.variables().into_iter().collect(),
            arguments: BTreeMap::new(),
            directory: run.directory(),
            user: run.user.clone().unwrap_or_default(),
            given,
        };
        machine.env.entry("PATH".to_owned()).or_insert_with(|| PATH.to_owned());
        let mut steps = Vec::new();
        for (line, instruction) in &self.instructions {
            let step = machine
                .obey(instruction, &self.before)
                .map_err(|reason| Refused { line: *line, reason })?;
            steps.extend(step.map(|step| (*line, step)));
        }
        Ok(steps)
    }
}

impl Machine<'_> {
    fn obey(
        &mut self,
        instruction: &Instruction,
        before: &BTreeMap<String, String>,
    ) -> Result<Option<Step>, String> {
        match instruction {
            Instruction::Run(command) => return Ok(Some(self.command(command))),
            Instruction::Copy { owner, paths } => {
                let mut paths =
                    paths.iter().map(|path| self.filled(path)).collect::<Result<Vec<_>, _>>()?;
                let owner = owner.as_deref().map(|owner| self.filled(owner)).transpose()?;
                let last = paths.pop().unwrap_or_default();
                let mut to = inside(&self.directory, &last).display().to_string();
                let directory = ["/", "/.", "/.."].iter().any(|end| last.ends_with(end));
                if (directory || last == "." || last == "..") && !to.ends_with('/') {
                    to.push('/');
                }
                return Ok(Some(Step::Copy { owner, sources: paths, to }));
            }
            Instruction::Env(pairs) => {
                // All of one line see what was before it.
                let filled = pairs.iter().map(|(name, value)| {
                    Ok::<_, String>((self.filled(name)?, self.filled(value)?))
                });
                let filled = filled.collect::<Result<Vec<_>, _>>()?;
                self.env.extend(filled);
            }
            Instruction::Arg(list) => {
                for (name, default) in list {
                    let default = default.as_deref().map(|text| self.filled(text)).transpose()?;
                    let given = self.given.get(name).cloned();
                    let value = given.or(default).or_else(|| before.get(name).cloned());
                    if let Some(value) = value {
                        self.arguments.insert(name.clone(), value);
                    }
                }
            }
            Instruction::Workdir(path) => {
                self.directory = inside(&self.directory, &self.filled(path)?);
                return Ok(Some(Step::Directory(self.directory.clone())));
            }
            Instruction::User(user) => self.user = self.filled(user)?,
        }
        Ok(None)
    }

    fn command(&self, command: &Command) -> Step {
        let argv = match command {
            Command::Exec(argv) => argv.clone(),
            Command::Shell(script) => {
                ["/bin/sh", "-c", script.as_str()].map(str::to_owned).to_vec()
            }
        };
        let mut env: BTreeMap<String, String> = PROXIES
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), self.given.get(*name)?.clone())))
            .collect();
        env.extend(self.arguments.clone());
        env.extend(self.env.clone());
        let (directory, user) = (self.directory.clone(), self.user.clone());
        Step::Run { argv, env, directory, user }
    }

    /// ENV goes before ARG of the same name.
    fn filled(&self, text: &str) -> Result<String, String> {
        let value = |name: &str| self.env.get(name).or_else(|| self.arguments.get(name)).cloned();
        fill(text, &value)
    }
}

/// `path` seen from `directory`, never above the root.
fn inside(directory: &Path, path: &str) -> PathBuf {
    let start = if path.starts_with('/') { Path::new("/") } else { directory };
    let mut out = start.to_path_buf();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => out.push(name),
            Component::ParentDir => {
                out.pop();
            }
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(text: &str, given: &[(&str, &str)]) -> Result<Vec<(usize, Step)>, Refused> {
        let given: BTreeMap<_, _> =
            given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let image = Run {
            env: Some(vec!["A=image".to_owned()]),
            working_dir: Some("/srv".to_owned()),
            ..Run::default()
        };
        Containerfile::read(text, &given)?.steps(&image, &given)
    }

    #[test]
    fn copies_know_their_variables() {
        let text = "ARG TOP=of-top\nFROM x\nARG TOP\nARG DIR=d\nENV A=$DIR B=$A\nENV C='$A'\nCOPY --chown=$B:$C $TOP/${DIR} \"sp ace\" to-$A/\nCOPY [\"x\", \"..\"]\nCOPY a .\nCOPY a b.\n";
        let found = steps(text, &[("DIR", "given")]).unwrap();
        let copy = |owner: Option<&str>, sources: &[&str], to: &str| Step::Copy {
            owner: owner.map(str::to_owned),
            sources: sources.iter().map(|&source| source.to_owned()).collect(),
            to: to.to_owned(),
        };
        let expected = [
            (7, copy(Some("image:$A"), &["of-top/given", "sp ace"], "/srv/to-given/")),
            (8, copy(None, &["x"], "/")),
            (9, copy(None, &["a"], "/srv/")),
            (10, copy(None, &["a"], "/srv/b.")),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn commands_see_arguments_and_variables() {
        let text =
            "FROM x\nARG A=argument\nARG B=argument\nWORKDIR deep/../er\nUSER $B\nRUN true\n";
        let found = steps(text, &[("http_proxy", "p"), ("UNUSED", "u")]).unwrap();
        let [(4, Step::Directory(directory)), (6, Step::Run { argv, env, directory: at, user })] =
            found.as_slice()
        else {
            panic!("{found:?}")
        };
        assert_eq!((directory, at), (&PathBuf::from("/srv/er"), &PathBuf::from("/srv/er")));
        assert_eq!(argv, &["/bin/sh", "-c", "true"]);
        assert_eq!(user, "argument");
        let env: Vec<_> = env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(env, ["A=image", "B=argument", &format!("PATH={PATH}"), "http_proxy=p"]);
        let refused = steps("FROM x\nENV A=\"${B:?is needed}\"\n", &[]).unwrap_err();
        assert_eq!((refused.line, refused.reason.as_str()), (2, "B: is needed"));
    }

    #[test]
    fn what_is_built_is_told_to_who_asks() {
        let mut given = platform_arguments(&Platform::of_debian("armhf"));
        given.insert("X".to_owned(), "1".to_owned());
        let text = "FROM x\nENV SEEN=$TARGETARCH\nARG TARGETARCH TARGETVARIANT\nENV SEEN=$SEEN$TARGETARCH$TARGETVARIANT\nRUN true\n";
        let file = Containerfile::read(text, &given).unwrap();
        let found = file.steps(&Run::default(), &given).unwrap();
        let [(_, Step::Run { env, .. })] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(env["SEEN"], "armv7");
    }
}
