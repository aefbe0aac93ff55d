//! Locks of what pip and dnf install over HTTPS: to each it is the mirror that it was.

use anyhow::{Result, ensure};
use goldsmith_tests::{Authority, Ran, TestEnv, ran};

use crate::lock_https::Server;
use crate::{member, ok};

/// Makes `www/rpms`, a repository with one package, beside the output.
const RPMS: &str = r#"#!/bin/bash
set -eu
work=$(mktemp -d)
cat > "$work/by-dnf.spec" <<'SPEC'
Name: by-dnf
Version: 1
Release: 1
Summary: fixture
License: fixture
BuildArch: noarch
AutoReqProv: no
%description
fixture
%install
mkdir -p %{buildroot}/opt
echo by dnf > %{buildroot}/opt/by-dnf
%files
/opt/by-dnf
SPEC
mkdir -p www/rpms
rpmbuild -bb --quiet --define "_topdir $work/top" --define "_rpmdir $PWD/www/rpms" "$work/by-dnf.spec"
createrepo_c --quiet www/rpms
rm -rf "$work"
"#;

/// Makes `www/simple`, an index with one wheel.
const WHEEL: &str = r#"
import os, zipfile
os.makedirs("www/simple/by-pip")
name = "by_pip-1-py3-none-any.whl"
with zipfile.ZipFile("www/" + name, "w") as wheel:
    wheel.writestr("by_pip.py", "by = 'pip'\n")
    about = "by_pip-1.dist-info/"
    wheel.writestr(about + "METADATA", "Metadata-Version: 2.1\nName: by-pip\nVersion: 1\n")
    wheel.writestr(about + "WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(about + "RECORD", "by_pip.py,,\n" + "".join(about + one + ",,\n" for one in ("METADATA", "WHEEL", "RECORD")))
with open("www/simple/by-pip/index.html", "w") as index:
    index.write(f'<!DOCTYPE html><html><body><a href="/{name}">{name}</a></body></html>')
"#;

#[test]
fn packages_of_pip_and_dnf_are_locked() -> Result<()> {
    let env = TestEnv::new()?;
    env.element("maker/element-provides", "operating-system\n")?;
    env.element("maker/element-deps", "no-final-image\n")?;
    env.element("maker/root.d/10-none", "#!/bin/sh\nmkdir -p $TARGET_ROOT/etc $TARGET_ROOT/tmp\n")?;
    env.element("maker/cleanup.d/50-rpms", RPMS)?;
    ok(&env.run(&["build", "-n", "-o", "x", "--progress", "plain", "maker"])?)?;
    crate::registry::tool(&env, "python3", &["-c", WHEEL])?;

    let authority = Authority::new(&env.path("authority"))?;
    let server = Server::start(&env, &authority)?;
    let at = &server.address;
    let mut all = fs_err::read("/etc/ssl/certs/ca-certificates.crt").unwrap_or_default();
    all.extend(fs_err::read(&authority.certificate)?);
    fs_err::write(env.path("all.pem"), all)?;
    env.element("system/element-provides", "operating-system\n")?;
    env.element("system/environment.d/10-name.bash", "export DISTRO_NAME=debian\n")?;
    env.element(
        "system/base.yaml",
        "debian:\n  suite: bookworm\n  variant: apt\n  include: [ca-certificates, dnf, python3-pip]\n",
    )?;
    // The database of packages and the logs of dnf say when it ran. That of Debian looks for
    // authorities where Debian has them, and is told in the image where the Red Hat family's does.
    let dnf = format!(
        "dnf -y --installroot=/tmp/root --releasever=1 --setopt=reposdir=/nowhere \
         --setopt=cachedir=/tmp/dnf --repofrompath=fixture,{at}/rpms --nogpgcheck"
    );
    env.element(
        "mine/extra-data.d/10-packages",
        &format!("#!/bin/bash\nset -eu\n{dnf} install by-dnf\ncp /tmp/root/opt/by-dnf $TMP_MOUNT_PATH/opt/by-host\n"),
    )?;
    let bundle = "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem";
    env.element(
        "mine/install.d/10-packages",
        &format!(
            "#!/bin/bash\nset -eu\n{dnf} --setopt=fixture.sslcacert={bundle} install by-dnf\n\
             mv /tmp/root/opt/by-dnf /opt/\ndnf -q --setopt=reposdir=/nowhere list --installed > /dev/null\ntest -s /var/log/dnf.log\n\
             python3 -m pip install --no-compile --target /opt/pip --index-url {at}/simple/ by-pip\n"
        ),
    )?;
    let run = |words: &[&str]| -> Result<Ran> {
        let usual = ["-n", "-t", "tar", "--progress", "plain", "system", "mine"];
        let mut command = env.command("goldsmith")?;
        ran(command.args(words).args(usual).env("SSL_CERT_FILE", env.path("all.pem")))
    };
    ok(&run(&["lock", "-o", "a"])?)?;
    for (path, text) in [
        ("opt/by-host", "by dnf\n"),
        ("opt/by-dnf", "by dnf\n"),
        ("opt/pip/by_pip.py", "by = 'pip'\n"),
    ] {
        ensure!(member(&env.path("a.tar"), &format!("./{path}"))? == text, "{path}");
    }
    let lock = fs_err::read_to_string(env.path("goldsmith.lock"))?;
    for name in [
        "/rpms/repodata/repomd.xml",
        "/rpms/noarch/by-dnf-1-1.noarch.rpm",
        "/simple/by-pip/",
        "/by_pip-1-py3-none-any.whl",
    ] {
        ensure!(lock.contains(&format!("url = \"{at}{name}\"")), "{name}: {lock}");
    }
    // The server has gone: hooks run again, since a variable is another, and see the same.
    drop(server);
    let again = run(&["build", "--locked", "--offline", "-o", "b", "--env", "DIB_AGAIN=yes"])?;
    ok(&again)?;
    ensure!(!again.stderr.contains("install: cached"), "{again:#?}");
    ensure!(fs_err::read(env.path("a.tar"))? == fs_err::read(env.path("b.tar"))?, "another");
    let list = std::process::Command::new("tar").arg("-tf").arg(env.path("a.tar")).output()?;
    // Neither the place of the authority nor the logs, which say when dnf ran.
    let left = String::from_utf8(list.stdout)?;
    let stays =
        |name: &str| ["./etc/pki/ca-trust", "./var/log/dnf"].iter().any(|it| name.starts_with(it));
    ensure!(!left.lines().any(stays), "{left}");
    Ok(())
}
