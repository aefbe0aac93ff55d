//! Machines: what dpkg calls them, and what their programs look like.

use std::path::{Path, PathBuf};

use goldsmith_runtime::FormatPlan;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};

/// A kind of machine whose programs an emulator can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// dpkg's name.
    pub arch: &'static str,
    /// QEMU's name, as in `qemu-aarch64`.
    pub qemu: &'static str,
    /// `EI_CLASS`: 1 for 32 bits, 2 for 64.
    class: u8,
    /// `EI_DATA`: 1 for the low byte first, 2 for the high one.
    data: u8,
    /// `e_machine` (elf(5), and the registry of the System V ABI).
    number: u16,
}

const fn machine(
    arch: &'static str,
    qemu: &'static str,
    class: u8,
    data: u8,
    number: u16,
) -> Machine {
    Machine { arch, qemu, class, data, number }
}

const MACHINES: [Machine; 14] = [
    machine("amd64", "x86_64", 2, 1, 62),
    machine("arm64", "aarch64", 2, 1, 183),
    machine("armel", "arm", 1, 1, 40),
    machine("armhf", "arm", 1, 1, 40),
    machine("i386", "i386", 1, 1, 3),
    machine("loong64", "loongarch64", 2, 1, 258),
    machine("mips64el", "mips64el", 2, 1, 8),
    machine("mipsel", "mipsel", 1, 1, 8),
    machine("powerpc", "ppc", 1, 2, 20),
    machine("ppc64", "ppc64", 2, 2, 21),
    machine("ppc64el", "ppc64le", 2, 1, 21),
    machine("riscv64", "riscv64", 2, 1, 243),
    machine("s390x", "s390x", 2, 2, 22),
    machine("sparc64", "sparc64", 2, 2, 43),
];

/// dpkg's name of an architecture that may be called as the kernel, rpm or diskimage-builder
/// call it; an unknown name is taken for dpkg's.
pub fn dpkg_name(arch: &str) -> &str {
    match arch {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "arm" | "armv7l" => "armhf",
        "i486" | "i586" | "i686" | "x86" => "i386",
        "ppc64le" => "ppc64el",
        other => other,
    }
}

impl Machine {
    /// The one that is called so.
    pub fn named(arch: &str) -> Option<Self> {
        let arch = dpkg_name(arch);
        MACHINES.into_iter().find(|machine| machine.arch == arch)
    }

    /// Whether a machine that dpkg calls `host` runs its programs without help. Processors
    /// for arm64 need not have the instructions of 32 bits, and many have not.
    pub fn runs_on(self, host: &str) -> bool {
        self.arch == host || (host == "amd64" && self.arch == "i386")
    }

    /// The begin of its programs, with the bits of it that count: executables and shared
    /// objects of any operating system's ABI.
    pub fn programs(self) -> ([u8; 20], [u8; 20]) {
        let mut magic = [0; 20];
        magic[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', self.class, self.data, 1]);
        let mut mask = [0xff; 20];
        mask[7] = 0;
        let high = self.data == 2;
        let bytes = |value: u16| if high { value.to_be_bytes() } else { value.to_le_bytes() };
        // e_type: 2 for an executable, 3 for a shared object.
        magic[16..18].copy_from_slice(&bytes(2));
        mask[16..18].copy_from_slice(&bytes(0xfffe));
        magic[18..20].copy_from_slice(&bytes(self.number));
        (magic, mask)
    }

    /// A sandbox's word for it, with an emulator that is a file of the host.
    pub fn format(self, interpreter: PathBuf) -> FormatPlan {
        let (magic, mask) = self.programs();
        FormatPlan {
            name: format!("qemu-{}", self.qemu),
            magic: magic.to_vec(),
            mask: mask.to_vec(),
            interpreter,
            argument_zero: true,
        }
    }

    fn takes(self, begin: [u8; 20]) -> bool {
        let (magic, mask) = self.programs();
        begin.iter().zip(magic).zip(mask).all(|((one, other), mask)| (one ^ other) & mask == 0)
    }
}

/// Programs of which a system has at least one.
const PROGRAMS: [&str; 6] =
    ["bin/sh", "usr/bin/sh", "sbin/init", "usr/bin/env", "bin/busybox", "usr/bin/dpkg"];

/// The machine that the system in a stack of directories (bottom first) is made for, by one
/// of its programs; `None` when there is none that is known.
pub fn of_tree(layers: &[PathBuf]) -> Option<Machine> {
    let layers = layers.iter().rev();
    let begin = layers.flat_map(|layer| PROGRAMS.map(|name| begin(layer, name))).flatten().next();
    MACHINES.into_iter().find(|machine| begin.is_some_and(|begin| machine.takes(begin)))
}

/// The first bytes of a regular file below a directory; links are followed inside it only.
fn begin(layer: &Path, name: &str) -> Option<[u8; 20]> {
    use std::io::Read as _;
    let top = openat(CWD, layer, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let file = std::fs::File::from(openat2(top, name, flags, Mode::empty(), resolve).ok()?);
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = [0; 20];
    (&file).read_exact(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_or_translated() {
        for (given, name) in [
            ("aarch64", "arm64"),
            ("arm64", "arm64"),
            ("ppc64le", "ppc64el"),
            ("x86_64", "amd64"),
            ("armv7l", "armhf"),
            ("z80", "z80"),
        ] {
            assert_eq!(dpkg_name(given), name);
        }
        assert!(Machine::named("z80").is_none());
        assert_eq!(Machine::named("aarch64").unwrap().qemu, "aarch64");
        let runs = |arch: &str, host| Machine::named(arch).unwrap().runs_on(host);
        assert!(runs("i386", "amd64") && runs("x86_64", "amd64"));
        assert!(!runs("arm64", "amd64") && !runs("amd64", "i386") && !runs("armhf", "arm64"));
    }

    // What binfmt-support's registrations of Debian's qemu-user say.
    #[test]
    fn programs_begin_as_the_emulators_package_says() {
        let (magic, mask) = Machine::named("arm64").unwrap().programs();
        assert_eq!(magic, *b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xb7\0");
        let wide =
            *b"\xff\xff\xff\xff\xff\xff\xff\0\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff";
        assert_eq!(mask, wide);
        let (magic, mask) = Machine::named("s390x").unwrap().programs();
        assert_eq!(magic, *b"\x7fELF\x02\x02\x01\0\0\0\0\0\0\0\0\0\0\x02\0\x16");
        assert_eq!(mask[16..], *b"\xff\xfe\xff\xff");
    }

    #[test]
    fn a_tree_is_known_by_its_shell() {
        let lower = tempfile::tempdir().unwrap();
        let upper = tempfile::tempdir().unwrap();
        let layers = [lower.path().to_owned(), upper.path().to_owned()];
        assert_eq!(of_tree(&layers), None);
        fs_err::create_dir_all(lower.path().join("usr/bin")).unwrap();
        std::os::unix::fs::symlink("usr/bin", lower.path().join("bin")).unwrap();
        std::os::unix::fs::symlink("/usr/bin/dash", lower.path().join("usr/bin/sh")).unwrap();
        // A link that leads out of the tree finds nothing of the host.
        std::os::unix::fs::symlink("../../../../../bin/sh", lower.path().join("usr/bin/env"))
            .unwrap();
        assert_eq!(of_tree(&layers), None);
        let mut dash = Machine::named("armhf").unwrap().programs().0.to_vec();
        dash[16] = 3;
        fs_err::write(lower.path().join("usr/bin/dash"), dash).unwrap();
        assert_eq!(of_tree(&layers).unwrap().qemu, "arm");
    }
}
