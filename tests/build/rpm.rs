//! The Red Hat and SUSE families, from a repository that the test makes: Debian's own dnf, zypper
//! and rpm are one large package of it, the others are empty or hold what a hook looks for. So
//! elements run unmodified from their first hook to the last one, with real package managers.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use goldsmith_tests::{TestEnv, free_port, shipped};

use crate::image::Image;
use crate::ok;

/// Makes `rpms` beside the output.
const REPOSITORY: &str = include_str!("rpm/repository.sh");

/// A web server for a directory; it ends with this value.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(directory: &Path) -> Result<Self> {
        let port = free_port()?;
        let child = Command::new("python3")
            .args(["-m", "http.server", "--bind", "127.0.0.1", "--directory"])
            .arg(directory)
            .arg(port.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("python3")?;
        for _ in 0..100 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        Ok(Self { child, address: format!("http://127.0.0.1:{port}/") })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing to be done about a server that is gone already.
        drop(self.child.kill().and_then(|()| self.child.wait()));
    }
}

/// A place with the repository, which a server shows.
fn repository() -> Result<(TestEnv, Server)> {
    let env = TestEnv::new()?;
    env.element("rpm-repository/element-provides", "operating-system\n")?;
    env.element("rpm-repository/element-deps", "no-final-image\n")?;
    env.element("rpm-repository/environment.d/10-name.bash", "export DISTRO_NAME=debian\n")?;
    env.element(
        "rpm-repository/base.yaml",
        "debian:\n  suite: bookworm\n  variant: apt\n  include: [ca-certificates, dnf, passwd, policycoreutils, python3-yaml, rpm, rsync, sudo, systemd, zypper]\n",
    )?;
    env.element("rpm-repository/cleanup.d/50-rpm-repository", REPOSITORY)?;
    let line = ["build", "-n", "-o", "repository", "--progress", "plain", "--tools-package"];
    ok(&env.run(&[&line[..], &["gpg-agent", "rpm-repository"]].concat())?)?;
    let server = Server::start(&env.path("rpms"))?;
    let repository = format!("[fixture]\nname=fixture\nbaseurl={}\ngpgcheck=0\n", server.address);
    env.element("probe-rpm/fixture.repos/fixture.repo", &repository)?;
    env.element(
        "probe-rpm/environment.d/50-probe-rpm.bash",
        "export DIB_YUM_MINIMAL_BOOTSTRAP_REPOS=$TMP_HOOKS_PATH/fixture.repos\n",
    )?;
    env.element(
        "probe-rpm/install.d/60-probe-rpm",
        "#!/bin/bash\nset -eu\ndnf -y install kernel-5.14.0-1\nls /boot > /probe-kernels\n",
    )?;
    env.element(
        "probe-zypper/environment.d/50-probe-zypper.bash",
        &format!("export DIB_ZYPPER_REPOS='oss=>{}'\n", server.address),
    )?;
    env.element(
        "probe-zypper/install.d/60-probe-zypper",
        "#!/bin/bash\nset -eu\ninstall-packages -m probe-zypper lsof\nrpm -q lsof > /probe-lsof\n",
    )?;
    Ok((env, server))
}

fn build(env: &TestEnv, name: &str, release: &str, elements: &[&str]) -> Result<Image> {
    Image::build_as(env, name, "tar", &[], elements, &[("DIB_RELEASE", release)])
}

/// What both distributions of the Red Hat family have in common.
fn family(image: &Image) -> Result<()> {
    ensure!(image.text("/probe-kernels")? == "vmlinuz-5.14.0-1\nvmlinuz-5.14.0-2\n");
    image.has(&["/boot/vmlinuz-5.14.0-2", "/usr/bin/rsync"])?;
    image.lacks(&["/boot/vmlinuz-5.14.0-1", "/tmp/yum"])?;
    let network = image.text("/etc/sysconfig/network")?;
    ensure!(network.contains("NOZEROCONF=yes\n"), "{network}");
    ensure!(image.text("/etc/dnf/vars/basearch")? == "x86_64\n");
    let manager = image.text("/etc/dnf/dnf.conf")?;
    ensure!(manager.contains("keepcache=0\ncachedir=/var/cache/dnf\n"), "{manager}");
    let sudo = image.text("/etc/sudoers")?;
    ensure!(sudo.contains("/usr/local/bin"), "{sudo}");
    // The mirror of the build is gone, the distribution's own repository is back.
    image.has(&["/etc/yum.repos.d/distribution.repo"])?;
    image.lacks(&["/etc/yum.repos.d/dib-mirror-fixture.repo"])?;
    // Labels, or a first boot that writes them: where hooks may not write labels.
    let labels = Command::new("grep")
        .args(["-a", "-c", "SCHILY.xattr.security.selinux=system_u:object_r:default_t:s0"])
        .arg(&image.tar)
        .output()?;
    let labels: u64 = String::from_utf8(labels.stdout)?.trim().parse()?;
    let later = image.entry("/.autorelabel").is_some();
    ensure!(later == (labels == 0) && (later || labels > 1000), "{labels} labels, {later}");
    Ok(())
}

#[test]
fn full_centos_from_a_repository() -> Result<()> {
    let (env, _server) = repository()?;
    let image = build(&env, "centos", "9-stream", &shipped::CENTOS)?;
    family(&image)?;
    image.has(&["/etc/yum.repos.d/epel.repo", "/etc/yum.repos.d/elrepo.repo"])?;
    ensure!(image.text("/etc/selinux/config")? == "SELINUX=permissive\n");
    Ok(())
}

#[test]
fn full_fedora_from_a_repository() -> Result<()> {
    let (env, _server) = repository()?;
    let image = build(&env, "fedora", "36", &shipped::FEDORA)?;
    family(&image)?;
    image.lacks(&["/etc/yum.repos.d/epel.repo"])?;
    ensure!(image.text("/etc/selinux/config")? == "SELINUX=disabled\n");
    Ok(())
}

#[test]
fn full_opensuse_from_a_repository() -> Result<()> {
    let (env, server) = repository()?;
    let image = build(&env, "opensuse", "15.5", &shipped::OPENSUSE)?;
    // dracut of the repository writes down how it was called.
    let called = image.text("/boot/initrd-6.4-default")?;
    ensure!(called.contains("--no-hostonly --kernel-cmdline rootfstype=ext4"), "{called}");
    let repositories = image.text("/etc/zypp/repos.d/repo-oss.repo")?;
    ensure!(repositories.contains(&server.address), "{repositories}");
    ensure!(repositories.contains("keeppackages=0"), "{repositories}");
    let settings = image.text("/etc/zypp/zypp.conf")?;
    ensure!(settings.lines().any(|line| line == "solver.onlyRequires = true"), "{settings}");
    ensure!(image.text("/etc/login.defs")?.contains("\nUSERGROUPS_ENAB yes\n"));
    ensure!(image.text("/probe-lsof")? == "lsof-1-1.x86_64\n");
    let kept = image.list_below("/var/cache/zypp");
    ensure!(kept.is_empty(), "packages are left: {kept:?}");
    Ok(())
}
