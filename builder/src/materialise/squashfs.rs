//! A squashfs, made by the tools container's own program from an archive of a tree: an output,
//! or a file system of a disk.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use goldsmith_images::store::Pending;
use goldsmith_runtime::{
    ExitStatus, MountPlan, MountSource, Network, Privilege, RootPlan, SandboxPlan, Stdin, UserPlan,
};
use rustix::fs::{Mode, OFlags};

use crate::error::{Failure, Kind, Result};
use crate::phase::run::give;
use crate::phase::session::{Session, overlay};

/// The package that has the program.
pub const PACKAGE: &str = "squashfs-tools";

/// What the archive is called in errors: it lies in the cache, unlike the outputs.
pub const ARCHIVE_NAME: &str = "the squashfs's archive in the cache";

/// Where the sandbox sees the directory with archive and image.
const INSIDE: &str = "/goldsmith/squashfs";
const ARCHIVE: &str = "tree.tar";
const IMAGE: &str = "image.squash";

/// A place in the cache with the archive that the image is made from.
#[derive(Debug)]
pub struct Workshop<'a> {
    session: &'a Session,
    pending: Pending,
    archive: File,
}

fn io(error: std::io::Error) -> Failure {
    Failure::wrap(Kind::Host, "the squashfs", &error)
}

impl<'a> Workshop<'a> {
    /// A new place. What is in it goes with [`pack`](Self::pack), else when the session ends.
    ///
    /// # Errors
    ///
    /// When the cache cannot be written.
    pub fn open(session: &'a Session) -> Result<Self> {
        let pending = session.pending()?;
        let directory = directory(&pending);
        fs_err::create_dir(&directory).map_err(io)?;
        give(session, &directory)?;
        let (archive, _) = fs_err::File::create(directory.join(ARCHIVE)).map_err(io)?.into_parts();
        Ok(Self { session, pending, archive })
    }

    /// The archive, to be written.
    pub fn archive(&self) -> BorrowedFd<'_> {
        self.archive.as_fd()
    }

    /// Makes the image from the archive and copies it into `to`.
    ///
    /// # Errors
    ///
    /// As [`make`](Self::make), and when the image cannot be copied.
    pub fn pack(
        self,
        tools: &[PathBuf],
        root: (u32, u32, u32, i64),
        epoch: i64,
        mut to: &File,
    ) -> Result<()> {
        let mut image = self.make(tools, root, epoch)?;
        std::io::copy(&mut image, &mut to).map_err(io)?;
        self.close()
    }

    /// Lets the place go with what is in it.
    ///
    /// # Errors
    ///
    /// When it cannot be removed.
    pub fn close(self) -> Result<()> {
        self.session.discard(self.pending)
    }

    /// Makes the image from the archive, in a sandbox of the tools container, and opens it. The
    /// `root` directory's mode, owner, group and time come apart: the program takes them from
    /// no archive. File systems count time from `epoch`.
    ///
    /// # Errors
    ///
    /// When the sandbox cannot run or the program fails.
    pub fn make(&self, tools: &[PathBuf], root: (u32, u32, u32, i64), epoch: i64) -> Result<File> {
        let directory = directory(&self.pending);
        fs_err::create_dir_all(self.pending.upper()).map_err(io)?;
        fs_err::create_dir_all(self.pending.work()).map_err(io)?;
        for path in [self.pending.upper(), self.pending.work()] {
            give(self.session, &path)?;
        }
        let plan = SandboxPlan {
            id_hint: "squashfs".into(),
            root: RootPlan::Overlay(overlay(tools.to_vec(), &self.pending)),
            argv: command(root, epoch),
            env: vec![
                ("HOME".into(), "/root".into()),
                ("LC_ALL".into(), "C".into()),
                ("PATH".into(), "/usr/sbin:/usr/bin:/sbin:/bin".into()),
            ],
            cwd: "/".into(),
            mounts: vec![MountPlan {
                target: INSIDE.into(),
                source: MountSource::Bind(directory.clone()),
                read_only: false,
            }],
            devices: Vec::new(),
            formats: Vec::new(),
            network: Network::None,
            hostname: "goldsmith".into(),
            privilege: Privilege::Package,
            user: UserPlan::default(),
            scratch_bytes: None,
            time_limit_ms: None,
            stdin: Stdin::Null,
        };
        let ran = self.session.run("squashfs", &plan)?;
        if ran.outcome.status != ExitStatus::Code(0) {
            let mut failure = Failure::new(Kind::Build, "the squashfs cannot be made");
            let tail = ran.watch.tail();
            let space = self.session.space_hint(&tail);
            failure.hints.extend(tail.iter().map(|line| format!("  | {line}")).chain(space));
            return Err(failure);
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let image = rustix::fs::open(directory.join(IMAGE), flags, Mode::empty())
            .map_err(|error| io(error.into()))?;
        Ok(File::from(image))
    }
}

fn directory(pending: &Pending) -> PathBuf {
    pending.path().join("squashfs")
}

/// The command: compression as diskimage-builder's, nothing of the clock.
fn command(root: (u32, u32, u32, i64), epoch: i64) -> Vec<String> {
    let (mode, uid, gid, time) = root;
    let script = format!("exec sqfstar \"$@\" < {INSIDE}/{ARCHIVE}");
    let mut argv: Vec<String> =
        ["/bin/sh", "-c", script.as_str(), "sqfstar"].map(str::to_owned).to_vec();
    for (option, value) in [
        ("-comp", "xz".to_owned()),
        ("-mkfs-time", epoch.max(0).to_string()),
        ("-root-mode", format!("{mode:o}")),
        ("-root-uid", uid.to_string()),
        ("-root-gid", gid.to_string()),
        ("-root-time", time.max(0).to_string()),
    ] {
        argv.extend([option.to_owned(), value]);
    }
    argv.extend(["-exports", "-no-progress", "-quiet"].map(str::to_owned));
    argv.push(Path::new(INSIDE).join(IMAGE).display().to_string());
    argv
}
