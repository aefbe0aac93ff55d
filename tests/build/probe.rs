//! Elements that look on while others work, and write to /probe what they saw.

use anyhow::{Context, Result};
use goldsmith_tests::TestEnv;

const HEAD: &str = "#!/bin/bash\nset -eu -o pipefail\nmkdir -p /probe\n";

/// Writes all of them; what they hold is the same every time, so that steps are found again.
pub(crate) fn write(env: &TestEnv) -> Result<()> {
    probe(env)?;
    mirror(env)?;
    tpm(env)?;
    kernel(env)
}

/// A git repository in one file, made of fixed dates.
fn bundle(env: &TestEnv) -> Result<Vec<u8>> {
    let script = "set -e; git init -q -b main repo; cd repo; echo 'from the repository' > hello; git add hello;
        git -c user.name=t -c user.email=t@example.invalid commit -q -m one; git bundle create -q ../bundle main; cat ../bundle";
    let output = std::process::Command::new("sh")
        .args(["-c", script])
        .current_dir(env.directory.path())
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env("GIT_AUTHOR_DATE", "2020-01-01T00:00:00Z")
        .env("GIT_COMMITTER_DATE", "2020-01-01T00:00:00Z")
        .output()
        .context("git")?;
    goldsmith_tests::succeeded(&output)?;
    Ok(output.stdout)
}

fn probe(env: &TestEnv) -> Result<()> {
    env.element("probe/element-deps", "package-installs\n")?;
    env.element("probe/package-installs.yaml", "ccache:\ngcc:\nlibc6-dev:\n")?;
    env.element(
        "probe/source-repository-probe",
        "probe git /opt/sources $TMP_HOOKS_PATH/sources/probe.bundle main\n",
    )?;
    let sources = env.path("elements/probe/sources");
    fs_err::create_dir_all(&sources)?;
    fs_err::write(sources.join("probe.bundle"), bundle(env)?)?;
    // The same file in two phases: the second compiler runs in another sandbox.
    let compile = "mkdir -p /usr/src/probe\n[ -e /usr/src/probe/a.c ] || echo \"const char *made = \\\"$(date +%s%N)\\\";\" > /usr/src/probe/a.c\ncd /usr/src/probe\n";
    env.element(
        "probe/install.d/60-probe",
        &format!(
            "{HEAD}{compile}CCACHE_STATSLOG=/probe/ccache-first gcc -c a.c -o a.o\n\
             test \"$(command -v gcc)\" = /usr/lib/ccache/gcc\n\
             case ${{https_proxy:-}} in *@127.0.0.1:9) echo yes ;; *) echo no ;; esac > /probe/proxy\n\
             grep -l sesame /etc/apt/apt.conf.d/* | sed 's#.*/##' > /probe/apt-proxy\n\
             sysctl-set-value kernel.panic 7\nsysctl-write-value net.example.unknown 1 'said so'\n\
             ! sysctl-set-value net.example.other 1\n! sysctl-write-value kernel.panic 8\n\
             svc-map here there unheard-of > /probe/services\n\
             cache-url file:///etc/debian_version /probe/cached\n"
        ),
    )?;
    env.element("probe/svc-map", "here:\n  debian: of-debian\nthere:\n  default: of-all\n")?;
    env.element(
        "probe/pre-install.d/50-probe",
        "#!/bin/bash\nset -eu\nmkdir -p /etc/selinux /etc/systemd/network\n\
         printf '# of the probe\\nSELINUX=enforcing\\nSELINUXTYPE=default\\n' > /etc/selinux/config\n\
         for link in 99-default 10-probe; do ln -s /dev/null /etc/systemd/network/$link.link; done\n",
    )?;
    env.element(
        "probe/post-install.d/50-probe",
        &format!("{HEAD}{compile}CCACHE_STATSLOG=/probe/ccache-second gcc -c a.c -o a.o\nccache -s > /probe/ccache-stats\n"),
    )?;
    env.element(
        "probe/cleanup.d/50-probe",
        "#!/bin/bash\nset -eu\nif [ -n \"$(find \"$DIB_IMAGE_CACHE/ccache\" -type f -print -quit)\" ]; then\n\
         echo yes > \"$TARGET_ROOT/probe/ccache-outside\"\nfi\n",
    )
}

/// A mirror of PyPI with one package, which stands for glean.
fn mirror(env: &TestEnv) -> Result<()> {
    env.element(
        "probe-mirror/root.d/05-probe-mirror",
        r##"#!/usr/bin/python3
import os
import zipfile

directory = os.path.join(os.environ["DIB_IMAGE_CACHE"], "pypi/mirror/glean")
os.makedirs(directory, exist_ok=True)
name = "glean-1.0-py3-none-any.whl"
info = "glean-1.0.dist-info/"
script = "#!/bin/sh\nmkdir -p /probe\necho \"${0##*/} $*\" > /probe/glean\ncat ~/.pip/pip.conf > /probe/pip.conf\n"
with zipfile.ZipFile(os.path.join(directory, name), "w") as wheel:
    for program in "glean-install", "glean.sh":
        member = zipfile.ZipInfo("glean-1.0.data/scripts/" + program)
        member.external_attr = 0o100755 << 16
        wheel.writestr(member, script)
    wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: glean\nVersion: 1.0\n")
    wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(info + "RECORD", "")
with open(os.path.join(directory, "index.html"), "w") as index:
    index.write('<a href="%s">%s</a>\n' % (name, name))
"##,
    )?;
    env.element(
        "probe-mirror/install.d/70-probe-mirror",
        &format!(
            "{HEAD}echo \"$DIB_PYTHON_PIP, $DIB_PYTHON_VIRTUALENV\" > /probe/pip\n\
             {{ grep ' /tmp/pip ' /proc/mounts; echo \"$PIP_CACHE_DIR\"; }} > /probe/pip-cache\n"
        ),
    )
}

/// Sources that stand for the simulator's and Keylime's, as archives of fixed dates.
fn tpm(env: &TestEnv) -> Result<()> {
    let script = r##"set -e
mkdir -p ibmtpm/src keylime/scripts
echo 'int puts(const char *s); int main(void) { puts("simulator of the probe"); return 0; }' > ibmtpm/src/tpm_server.c
printf 'all: tpm_server\n' > ibmtpm/src/makefile
printf '#!/bin/sh\n' > keylime/scripts/init_tpm_server
echo glean > keylime/requirements.txt
cat > keylime/pyproject.toml <<'END'
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
END
cat > keylime/backend.py <<'END'
import os
import zipfile


def build_wheel(directory, config_settings=None, metadata_directory=None):
    name = "keylime-6.2-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(directory, name), "w") as wheel:
        script = zipfile.ZipInfo("keylime-6.2.data/scripts/keylime_ima_emulator")
        script.external_attr = 0o100755 << 16
        wheel.writestr(script, "#!/bin/sh\necho emulator of the probe\n")
        info = "keylime-6.2.dist-info/"
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: keylime\nVersion: 6.2\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(info + "RECORD", "")
    return name
END
for name in ibmtpm keylime; do
    tar -c --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=a+rX,u+w,g-w -C $name . | gzip -n > "$0/$name.tar.gz"
done
"##;
    let sources = env.path("elements/probe-mirror/sources");
    fs_err::create_dir_all(&sources)?;
    let work = tempfile::tempdir_in(env.directory.path())?;
    let output = std::process::Command::new("sh")
        .args(["-c", script])
        .arg(&sources)
        .current_dir(work.path())
        .output()?;
    goldsmith_tests::succeeded(&output)?;
    env.element(
        "probe-mirror/environment.d/50-probe-mirror.bash",
        "for name in ibmtpm keylime; do\n\
         export DIB_REPOTYPE_$name=tar DIB_REPOREF_$name=. DIB_REPOLOCATION_$name=file://$TMP_HOOKS_PATH/sources/$name.tar.gz\n\
         done\n",
    )?;
    env.element(
        "probe-mirror/post-install.d/95-probe-mirror",
        &format!("{HEAD}{{ tpm_server; keylime_ima_emulator; }} > /probe/tpm\n"),
    )
}

/// An old kernel to clean up, and what `iso` makes a medium of.
fn kernel(env: &TestEnv) -> Result<()> {
    env.element(
        "probe-kernel/install.d/60-probe-kernel",
        "#!/bin/sh\nset -e\nfor name in vmlinuz config initrd.img; do echo old > /boot/$name-1.0-old; done\n",
    )?;
    env.element(
        "probe-kernel/finalise.d/60-probe-kernel",
        &format!("{HEAD}lsinitrd --mod /boot/initrd.img-[2-9]* > /probe/lsinitrd\n"),
    )?;
    env.element(
        "probe-kernel/cleanup.d/50-probe-kernel",
        "#!/bin/sh\nset -e\ncp $TARGET_ROOT/boot/vmlinuz-[2-9]* $IMAGE_NAME.vmlinuz\ncp $TARGET_ROOT/boot/initrd.img-[2-9]* $IMAGE_NAME.initrd\n",
    )
}
