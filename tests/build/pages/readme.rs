//! The README's tour.

use anyhow::{Context as _, Result, ensure};
use goldsmith_tests::{TestEnv, server};

use super::Fate::{Always, Elsewhere, Filled, Run, Source};
use super::{Page, Told};
use crate::{member, ok};

const README: Page = Page {
    text: include_str!("../../../README.md"),
    fates: &[
        ("tests/example", Source),
        ("tests/run", Source),
        ("goldsmith doctor", Run("server")),
        ("export DIB_RELEASE=bookworm", Always),
        (
            "goldsmith build -o server debian vm block-device-efi openssh-server runtime-ssh-host-keys",
            Run("server"),
        ),
        ("goldsmith boot server.qcow2", Elsewhere("boot::a_tree_boots_from_other_kinds_of_disks")),
        (
            "goldsmith plan",
            Filled(
                "server",
                "goldsmith plan -o server debian vm block-device-efi openssh-server runtime-ssh-host-keys cloud-init-nocloud growroot enable-serial-console",
            ),
        ),
        ("goldsmith store ls", Run("server")),
        ("goldsmith store gc", Run("server")),
        ("goldsmith store prune --max-size 20GiB", Run("server")),
        (
            "goldsmith run --image server -- bash",
            Filled(
                "server",
                "goldsmith run --image server -- bash -c '. /etc/os-release; echo $ID'",
            ),
        ),
        (
            "goldsmith test server.qcow2 --spec asserts.toml",
            Elsewhere("boot::a_server_boots_by_uefi_and_is_what_its_spec_says"),
        ),
        ("goldsmith boot --expect TEXT", Elsewhere("boot::a_tree_boots_from_other_kinds_of_disks")),
        (
            "goldsmith verify server.qcow2",
            Elsewhere("build::a_verification_builds_everything_again"),
        ),
        ("mkdir -p elements/motd/post-install.d", Run("server")),
        ("echo \"A message of the day.\" > elements/motd/README.rst", Run("server")),
        ("cat > elements/motd/package-installs.yaml <<'YAML'", Run("server")),
        ("cat > elements/motd/element-deps <<'DEPS'", Run("server")),
        ("cat > elements/motd/post-install.d/50-motd <<'HOOK'", Run("server")),
        ("chmod +x elements/motd/post-install.d/50-motd", Run("server")),
        (
            "goldsmith build -E elements -o server debian vm block-device-efi openssh-server",
            Run("server"),
        ),
        (
            "goldsmith run --failed -- bash",
            Elsewhere("build::a_failing_hook_is_named_with_its_status"),
        ),
        ("goldsmith install-links ~/bin", Run("names")),
        ("DIB_RELEASE=bookworm disk-image-create -t qcow2,tar -o server debian vm", Run("names")),
        ("goldsmith build -a arm64 -t tar -o server-arm64 debian-minimal", Run("arm64")),
        ("goldsmith run --image server-arm64 -- uname -m", Run("arm64")),
        ("goldsmith ramdisk -o tiny debian-minimal", Run("ramdisk")),
        (
            "goldsmith build -t oci",
            Filled(
                "server",
                "goldsmith build -t oci -E elements -o server debian vm block-device-efi openssh-server runtime-ssh-host-keys cloud-init-nocloud growroot enable-serial-console motd",
            ),
        ),
        (
            "goldsmith materialise server.oci",
            Filled(
                "server",
                "goldsmith materialise server.oci -E elements -o server debian vm block-device-efi openssh-server runtime-ssh-host-keys cloud-init-nocloud growroot enable-serial-console motd",
            ),
        ),
        ("goldsmith kernel server.qcow2", Run("server")),
        ("goldsmith lock debian vm", Run("lock")),
        ("goldsmith build --locked --offline debian vm", Run("lock")),
        ("goldsmith outdated", Run("lock")),
        (
            "goldsmith update [NAME]",
            Elsewhere("build::a_locked_build_reads_what_the_lock_has_and_nothing_else"),
        ),
        ("goldsmith elements list", Run("server")),
        ("show ELEMENT", Filled("server", "goldsmith elements show vm")),
        (
            "graph ELEMENT... -o x.svg",
            Filled("server", "goldsmith elements graph debian vm -o x.svg"),
        ),
        ("lint", Filled("server", "goldsmith elements lint -E elements")),
        ("audit TREE", Filled("server", "goldsmith elements audit elements")),
        ("test", Elsewhere("build::the_elements_of_the_guide_do_what_it_says")),
        ("goldsmith elements lint", Elsewhere("cli::the_shipped_elements_are_clean")),
    ],
};

fn said<'a>(told: &'a Told, first: &str) -> Result<&'a str> {
    told.get(first).map(String::as_str).with_context(|| format!("{first} was not run"))
}

#[test]
fn each_command_of_the_readme_is_run_by_a_test() -> Result<()> {
    README.is_settled()?;
    for part in README.parts() {
        let runs = include_str!("readme.rs").contains(&format!("README.run(\"{part}\""));
        ensure!(runs, "no test runs the part {part}");
    }
    // The first command is the tour's first image, built from the source.
    let example = include_str!("../../example");
    let named = server::ELEMENTS.join(" ");
    for text in [example, README.text] {
        let words = text.replace('\\', " ");
        let words: Vec<_> = words.split_whitespace().collect();
        ensure!(words.join(" ").contains(&named), "the server has other elements: {named}");
    }
    Ok(())
}

#[test]
fn the_readmes_server_is_built_changed_and_looked_at() -> Result<()> {
    let env = TestEnv::new()?;
    let told = README.run("server", &env)?;
    let plan = said(&told, "goldsmith plan")?;
    ensure!(plan.contains("  hit\n") && !plan.contains("  miss\n"), "{plan}");
    ensure!(said(&told, "goldsmith store ls")?.contains("server"), "{told:#?}");
    ensure!(said(&told, "goldsmith run --image server -- bash")? == "debian\n", "{told:#?}");
    ensure!(said(&told, "goldsmith elements list")?.contains("cloud-init-nocloud "), "{told:#?}");
    ensure!(said(&told, "lint")?.contains(" 0 findings\n"), "{told:#?}");
    ensure!(said(&told, "audit TREE")?.contains("motd"), "{told:#?}");
    ensure!(fs_err::read_to_string(env.path("x.svg"))?.contains("<svg"));
    for (file, magic, at) in
        [("server.qcow2", &b"QFI\xfb"[..], 0), ("server.vmlinuz", b"HdrS", 0x202)]
    {
        let bytes = fs_err::read(env.path(file))?;
        ensure!(bytes.get(at..at + magic.len()) == Some(magic), "{file} is something else");
    }
    ensure!(fs_err::metadata(env.path("server.initrd"))?.len() > 1 << 20);
    let motd = env.run(&["run", "--image", "server", "--", "cat", "/etc/motd"])?;
    ensure!(motd.stdout == "Cast in gold.\n", "{motd:#?}");
    let htop = env.run(&["run", "--image", "server", "--", "htop", "--version"])?;
    ensure!(htop.stdout.starts_with("htop "), "{htop:#?}");
    ok(&env.run(&["store", "rm", "server"])?)
}

#[test]
fn the_readmes_old_names_build_an_image() -> Result<()> {
    let env = TestEnv::new()?;
    let told = README.run("names", &env)?;
    ensure!(said(&told, "goldsmith install-links ~/bin")?.lines().count() == 6, "{told:#?}");
    let release = member(&env.path("server.tar"), "./etc/debian_version")?;
    ensure!(release.starts_with("12."), "{release}");
    ensure!(fs_err::read(env.path("server.qcow2"))?.starts_with(b"QFI\xfb"));
    Ok(())
}

// Its kernel's initial RAM disk is made by emulated programs: that alone takes minutes. CI builds an
// image of the same architecture without one.
#[test]
fn full_the_readmes_arm64_image_runs_its_own_programs() -> Result<()> {
    let env = TestEnv::new()?;
    let told = README.run("arm64", &env)?;
    let machine = said(&told, "goldsmith run --image server-arm64 -- uname -m")?;
    ensure!(machine == "aarch64\n", "{machine}");
    let status = member(&env.path("server-arm64.tar"), "./var/lib/dpkg/status")?;
    ensure!(status.contains("Package: linux-image-arm64\nStatus: install ok installed\n"));
    Ok(())
}

#[test]
fn the_readmes_ramdisk_comes_with_its_kernel() -> Result<()> {
    let env = TestEnv::new()?;
    README.run("ramdisk", &env)?;
    let kernel = fs_err::read(env.path("tiny.kernel"))?;
    ensure!(kernel.get(0x202..0x206) == Some(b"HdrS"), "no kernel");
    ensure!(fs_err::metadata(env.path("tiny.initramfs"))?.len() > 1 << 20);
    Ok(())
}

#[test]
fn the_readmes_lock_makes_the_same_image_again() -> Result<()> {
    let env = TestEnv::new()?;
    let told = README.run("lock", &env)?;
    ensure!(fs_err::read_to_string(env.path("goldsmith.lock"))?.contains("[base.debian]"));
    // The archive may have news since, and each is told with what the lock has.
    let news = said(&told, "goldsmith outdated")?;
    let known = |line: &str| line.contains(" -> ") || line == "everything is as upstream has it";
    ensure!(!news.is_empty() && news.lines().all(known), "{news}");
    // The name of the output is in the manifests: it stays.
    fs_err::rename(env.path("image.qcow2"), env.path("first.qcow2"))?;
    ok(&env.run(&["build", "--locked", "--offline", "debian", "vm"])?)?;
    let [one, other] = ["first.qcow2", "image.qcow2"].map(|name| fs_err::read(env.path(name)));
    ensure!(one? == other?, "the lock made another image");
    Ok(())
}
