//! Attacks of the runner list (R) and their legal twins.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use anyhow::{Result, ensure};
use goldsmith_runtime::{ExitStatus, MountPlan, MountSource, Network, Privilege};

use crate::Case;
use crate::fixture::Fixture;

pub(crate) const CASES: &[Case] = &[
    ("no_descriptor_leaks_r1", no_descriptor_leaks),
    ("the_binary_cannot_be_overwritten_r2", binary_is_safe),
    ("mount_targets_stay_inside_r3", targets_stay_inside),
    ("the_working_directory_is_inside_i24", the_working_directory_is_inside_i24),
    ("bind_sources_are_what_was_named_r5", bind_sources),
    ("sources_that_hooks_chose_stay_below_r5", chosen_sources),
    ("mounts_do_not_leak_to_the_host_r8", mounts_do_not_leak),
    ("supplementary_groups_are_gone_r11", groups_are_gone),
    ("capabilities_and_seccomp_r12", capabilities),
    ("no_controlling_terminal_r15", no_terminal),
    ("the_environment_is_exact_r18", environment),
    ("odd_names_are_only_names_r22", odd_names),
    ("the_network_is_gone_without_leave", network),
    ("mounting_needs_leave", mounting),
    ("text_mounts_leave_nothing", text_mounts),
    ("ids_up_to_65535_are_real", ids),
    ("devices_are_minimal", devices),
];

fn no_descriptor_leaks() -> Result<()> {
    let fixture = Fixture::new()?;
    let list = fixture.output("for fd in /proc/self/fd/*; do echo ${fd##*/}; done")?;
    let mut leaked: Vec<_> = list.lines().filter(|fd| !matches!(*fd, "0" | "1" | "2")).collect();
    // The shell's own descriptor on the directory that it lists.
    leaked.retain(|fd| !fd.starts_with("255") && *fd != "3");
    ensure!(leaked.is_empty(), "{list}");
    fixture.reset()?;
    let cwd = fixture.output("readlink /proc/self/cwd")?;
    ensure!(cwd == "/\n", "{cwd}");
    Ok(())
}

fn binary_is_safe() -> Result<()> {
    let fixture = Fixture::new()?;
    let own = std::env::current_exe()?;
    let before = fs_err::metadata(&own)?;
    // An interpreter of /proc/self/exe makes the kernel start the helper's binary again.
    let script = "printf '#!/proc/self/exe\\n' > /bin/evil; stat -c %a /bin/evil; \
        (echo x > /proc/self/exe) 2>/dev/null && echo wrote; \
        (echo x > /proc/1/exe) 2>/dev/null && echo wrote; echo done";
    let out = fixture.output(script)?;
    ensure!(!out.contains("wrote") && out.contains("done"), "{out}");
    let after = fs_err::metadata(&own)?;
    ensure!(before.len() == after.len() && before.mtime() == after.mtime(), "changed");
    Ok(())
}

fn targets_stay_inside() -> Result<()> {
    let fixture = Fixture::new()?;
    let outside = fixture.path("outside");
    fs_err::create_dir(&outside)?;
    fs_err::write(outside.join("canary"), "untouched")?;
    symlink(&outside, fixture.path("root/link"))?;
    symlink("/etc", fixture.path("root/inner"))?;
    let source = fixture.path("source");
    fs_err::create_dir(&source)?;
    fs_err::write(source.join("file"), "mounted")?;
    let mut plan = fixture.plan("cat /inner/sub/file; ls /link 2>&1; exit 0");
    // The legal twin: an absolute symlink inside the image means the image's own /etc.
    for target in ["/inner/sub", "/link/sub"] {
        plan.mounts.push(MountPlan {
            target: target.into(),
            source: MountSource::Bind(source.clone()),
            read_only: true,
        });
    }
    // A link that leads out has no target inside: set-up fails and says which mount.
    match fixture.run(&plan) {
        Ok(ran) => ensure!(ran.stdout.contains("mounted"), "{ran:?}"),
        Err(error) => ensure!(format!("{error:#}").contains("/link/sub"), "{error:#}"),
    }
    ensure!(fs_err::read_dir(&outside)?.count() == 1, "something appeared outside");
    plan.mounts.pop();
    fixture.reset()?;
    let ran = fixture.run(&plan)?;
    ensure!(ran.stdout.contains("mounted"), "{ran:?}");
    ensure!(!fixture.path("upper/etc/sub").exists(), "the mount point stayed");
    Ok(())
}

fn the_working_directory_is_inside_i24() -> Result<()> {
    let fixture = Fixture::new()?;
    let outside = fixture.path("outside");
    fs_err::create_dir(&outside)?;
    fs_err::write(outside.join("canary"), "untouched")?;
    let root = fixture.path("root");
    fs_err::create_dir(root.join("usr/app"))?;
    symlink("../../../usr/app", root.join("up"))?;
    symlink("/usr/app", root.join("app"))?;
    symlink(&outside, root.join("out"))?;
    symlink("/proc/self/cwd/../../..", root.join("round"))?;
    symlink("loop", root.join("loop"))?;
    let script = "echo x > ./written; echo $(pwd -P); [ ! -e canary ]";
    // The legal twin: a link of the image's own means a directory of its own.
    for (cwd, means) in [
        ("/usr/app", "/usr/app"),
        ("/app", "/usr/app"),
        ("/up", "/usr/app"),
        ("/usr/../app/.", "/usr/app"),
    ] {
        let mut plan = fixture.plan(script);
        plan.cwd = cwd.into();
        let ran = fixture.run(&plan)?;
        ensure!(ran.status == ExitStatus::Code(0), "{cwd}: {ran:?}");
        ensure!(ran.stdout == format!("{means}\n"), "{cwd}: {ran:?}");
        fixture.reset()?;
    }
    // What leads out leads nowhere, or to a place inside.
    for cwd in ["/out", "/out/../..", "/round", "/loop", "/../../../..", "/proc/self/fd/3"] {
        let mut plan = fixture.plan(script);
        plan.cwd = cwd.into();
        if let Ok(ran) = fixture.run(&plan) {
            ensure!(ran.status != ExitStatus::Code(0) || ran.stdout == "/\n", "{cwd}: {ran:?}");
        }
        ensure!(fs_err::read_dir(&outside)?.count() == 1, "{cwd}: something appeared outside");
        ensure!(fs_err::read_to_string(outside.join("canary"))? == "untouched", "{cwd}");
        fixture.reset()?;
    }
    Ok(())
}

fn bind_sources() -> Result<()> {
    let fixture = Fixture::new()?;
    let source = fixture.path("source");
    fs_err::create_dir(&source)?;
    fs_err::write(source.join("own"), "own")?;
    let mut plan =
        fixture.plan("cat /data/own; (echo x > /data/own) 2>/dev/null && echo wrote; exit 0");
    plan.mounts.push(MountPlan {
        target: "/data".into(),
        source: MountSource::Bind(source.clone()),
        read_only: true,
    });
    let ran = fixture.run(&plan)?;
    ensure!(ran.stdout == "own\n", "{ran:?}");
    Ok(())
}

/// A path that a hook chose counts below its own directory (CVE-2024-1753).
fn chosen_sources() -> Result<()> {
    let fixture = Fixture::new()?;
    fs_err::create_dir_all(fixture.path("cache/apt"))?;
    fs_err::write(fixture.path("cache/apt/own"), "own")?;
    fs_err::write(fixture.path("secret"), "secret")?;
    symlink("/", fixture.path("cache/top"))?;
    symlink("..", fixture.path("cache/up"))?;
    symlink("apt", fixture.path("cache/inner"))?;
    let mut plan = fixture.plan("cat /data/own");
    for (path, allowed) in [
        ("apt", true),
        ("inner", true),
        ("apt/../apt", true),
        ("top", false),
        ("up", false),
        ("..", false),
        ("apt/../../cache", false),
        ("/etc", false),
    ] {
        let source = MountSource::BindBelow { root: fixture.path("cache"), path: path.into() };
        plan.mounts = vec![MountPlan { target: "/data".into(), source, read_only: false }];
        match (fixture.run(&plan), allowed) {
            (Ok(ran), true) => ensure!(ran.stdout == "own\n", "{path}: {ran:?}"),
            (Err(error), false) => {
                ensure!(format!("{error:#}").contains("leads out of"), "{path}: {error:#}");
            }
            (other, _) => anyhow::bail!("{path}: {other:?}"),
        }
        fixture.reset()?;
    }
    Ok(())
}

fn mounts_do_not_leak() -> Result<()> {
    let fixture = Fixture::new()?;
    let before = fs_err::read_to_string("/proc/self/mountinfo")?;
    let mut plan =
        fixture.plan("mkdir -p /m && mount -t tmpfs tmpfs /m && touch /m/x && echo mounted");
    plan.privilege = Privilege::Mounting;
    let ran = fixture.run(&plan)?;
    ensure!(ran.stdout == "mounted\n", "{ran:?}");
    ensure!(before == fs_err::read_to_string("/proc/self/mountinfo")?, "mounts changed");
    Ok(())
}

fn groups_are_gone() -> Result<()> {
    let fixture = Fixture::new()?;
    let groups = fixture.output("id -G")?;
    ensure!(groups == "0\n", "{groups}");
    Ok(())
}

fn capabilities() -> Result<()> {
    let fixture = Fixture::new()?;
    let status = fixture.output("cat /proc/self/status")?;
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(|value| value.trim().to_owned())
            .unwrap_or_default()
    };
    for empty in ["CapInh", "CapAmb"] {
        ensure!(field(empty) == "0000000000000000", "{empty} {}", field(empty));
    }
    ensure!(field("NoNewPrivs") == "1" && field("Seccomp") == "2", "{status}");
    let bounding = u64::from_str_radix(&field("CapBnd"), 16)?;
    ensure!(bounding & (1 << 21) == 0, "CAP_SYS_ADMIN without leave");
    ensure!(bounding & 1 == 1, "CAP_CHOWN is needed");
    Ok(())
}

fn no_terminal() -> Result<()> {
    let fixture = Fixture::new()?;
    let out = fixture.output("(: < /dev/tty) 2>/dev/null && echo has; echo done")?;
    ensure!(out == "done\n", "{out}");
    Ok(())
}

fn environment() -> Result<()> {
    let fixture = Fixture::new()?;
    let mut plan = fixture.plan("cat /proc/self/environ");
    plan.argv = vec!["/bin/cat".into(), "/proc/self/environ".into()];
    plan.env.push(("DIB_X".into(), "a b".into()));
    let ran = fixture.run(&plan)?;
    let mut seen: Vec<_> = ran.stdout.trim_end().split('\0').filter(|v| !v.is_empty()).collect();
    seen.sort_unstable();
    ensure!(seen == ["DIB_X=a b", "HOME=/root", "PATH=/bin"], "{seen:?}");
    Ok(())
}

fn odd_names() -> Result<()> {
    let fixture = Fixture::new()?;
    let mut plan = fixture.plan("");
    plan.argv = ["/bin/ls", "--", "/$(touch /etc/pwned)", "-rf", "a\nb"].map(Into::into).to_vec();
    let ran = fixture.run(&plan)?;
    ensure!(ran.status == ExitStatus::Code(2), "{ran:?}");
    ensure!(!fixture.path("upper/etc/pwned").exists(), "a name was evaluated");
    Ok(())
}

fn network() -> Result<()> {
    let fixture = Fixture::new()?;
    let interfaces = fixture.output("ls /sys/class/net")?;
    ensure!(interfaces == "lo\n", "{interfaces}");
    let mut plan =
        fixture.plan("echo ok; (echo x > /sys/kernel/mm/x) 2>/dev/null && echo wrote; exit 0");
    plan.network = Network::Host;
    fixture.reset()?;
    let ran = fixture.run(&plan)?;
    ensure!(ran.stdout == "ok\n", "{ran:?}");
    Ok(())
}

fn mounting() -> Result<()> {
    let fixture = Fixture::new()?;
    let ran = fixture.run(&fixture.plan("mkdir /m; mount -t tmpfs tmpfs /m"))?;
    ensure!(ran.status != ExitStatus::Code(0), "{ran:?}");
    Ok(())
}

fn text_mounts() -> Result<()> {
    let fixture = Fixture::new()?;
    let mut plan = fixture.plan("cat /etc/deep/text");
    plan.mounts.push(MountPlan {
        target: "/etc/deep/text".into(),
        source: MountSource::Text("hello\n".into()),
        read_only: true,
    });
    let ran = fixture.run(&plan)?;
    ensure!(ran.stdout == "hello\n", "{ran:?}");
    ensure!(!fixture.path("upper/etc/deep").exists(), "the mount point stayed");
    Ok(())
}

fn ids() -> Result<()> {
    let fixture = Fixture::new()?;
    let out = fixture.output(
        "touch /f && for id in 0 1 42 1000 65534 65535; do chown $id:$id /f && stat -c %u:%g /f; done",
    )?;
    ensure!(out.ends_with("65535:65535\n") && out.starts_with("0:0\n1:1\n"), "{out}");
    let outside = fs_err::symlink_metadata(fixture.path("upper/f"))?;
    ensure!(outside.uid() != 65535, "the id is not mapped");
    Ok(())
}

fn devices() -> Result<()> {
    let fixture = Fixture::new()?;
    let out = fixture.output("echo x > /dev/null && ls /dev")?;
    for name in ["null", "zero", "full", "random", "urandom", "tty", "shm", "pts"] {
        ensure!(out.lines().any(|line| line == name), "no {name}: {out}");
    }
    ensure!(!out.lines().any(|line| line.starts_with("sd") || line.starts_with("vd")), "{out}");
    let mode = fs_err::metadata(fixture.path("upper"))?.permissions().mode();
    ensure!(mode & 0o777 == 0o755, "{mode:o}");
    Ok(())
}
