//! Locks of what pip installs over HTTPS and dnf over HTTP: to each it is the mirror that it was.

use anyhow::{Result, ensure};
use goldsmith_tests::{Authority, Ran, TestEnv, Web, ran};

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
    let web = Web::serve(env.path("www"))?;
    let mut all = fs_err::read("/etc/ssl/certs/ca-certificates.crt").unwrap_or_default();
    all.extend(fs_err::read(&authority.certificate)?);
    fs_err::write(env.path("all.pem"), all)?;
    env.element("system/element-provides", "operating-system\n")?;
    env.element("system/environment.d/10-name.bash", "export DISTRO_NAME=debian\n")?;
    env.element(
        "system/base.yaml",
        "debian:\n  suite: bookworm\n  variant: apt\n  include: [ca-certificates, dnf, python3-pip]\n",
    )?;
    // The database of packages and the logs of dnf say when it ran.
    env.element(
        "mine/install.d/10-packages",
        &format!(
            "#!/bin/bash\nset -eu\n\
             dnf -y --installroot=/opt/dnf --releasever=1 --setopt=reposdir=/nowhere --setopt=cachedir=/tmp/dnf \
             --repofrompath=fixture,{}/rpms --nogpgcheck install by-dnf\n\
             rm -rf /opt/dnf/root /opt/dnf/var /var/log/dnf* /var/log/hawkey.log\n\
             python3 -m pip install --no-compile --target /opt/pip --index-url {}/simple/ by-pip\n",
            web.address, server.address
        ),
    )?;
    let run = |words: &[&str]| -> Result<Ran> {
        let usual = ["-n", "-t", "tar", "--progress", "plain", "system", "mine"];
        let mut command = env.command("goldsmith")?;
        ran(command.args(words).args(usual).env("SSL_CERT_FILE", env.path("all.pem")))
    };
    ok(&run(&["lock", "-o", "a"])?)?;
    for (path, text) in [("opt/dnf/opt/by-dnf", "by dnf\n"), ("opt/pip/by_pip.py", "by = 'pip'\n")]
    {
        ensure!(member(&env.path("a.tar"), &format!("./{path}"))? == text, "{path}");
    }
    let lock = fs_err::read_to_string(env.path("goldsmith.lock"))?;
    for (at, name) in [
        (&web.address, "/rpms/repodata/repomd.xml"),
        (&web.address, "/rpms/noarch/by-dnf-1-1.noarch.rpm"),
        (&server.address, "/simple/by-pip/"),
        (&server.address, "/by_pip-1-py3-none-any.whl"),
    ] {
        ensure!(lock.contains(&format!("url = \"{at}{name}\"")), "{name}: {lock}");
    }
    // Both are another by now, and nobody asks: hooks run again, since a variable is another.
    fs_err::remove_dir_all(env.path("www/rpms"))?;
    fs_err::write(env.path("www/simple/by-pip/index.html"), "nothing")?;
    web.asked();
    let again = run(&["build", "--locked", "--offline", "-o", "b", "--env", "DIB_AGAIN=yes"])?;
    ok(&again)?;
    ensure!(!again.stderr.contains("install: cached"), "{again:#?}");
    ensure!(web.asked().is_empty(), "a locked build has asked upstream");
    ensure!(fs_err::read(env.path("a.tar"))? == fs_err::read(env.path("b.tar"))?, "another");
    Ok(())
}
