//! What elements fetch from elsewhere: sources that the test has made, packages from PyPI.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use goldsmith_tests::TestEnv;

use crate::image::{Mark, check, image};

/// An index of Python packages in the cache of hooks, where the element pypi looks for one.
struct Index(PathBuf);

impl Index {
    /// Of the files that tests/setup.sh has downloaded.
    fn make(place: &TestEnv) -> Result<Self> {
        let elements = std::env::var("GOLDSMITH_UPSTREAM").context("GOLDSMITH_UPSTREAM")?;
        let wheels = Path::new(&elements).join("../../wheels");
        let index = Self(place.cache().join("image-create/pypi/mirror"));
        for file in fs_err::read_dir(wheels)? {
            let name = file?.file_name().to_string_lossy().into_owned();
            let package = name.split('-').next().unwrap_or(&name).to_lowercase();
            let package = package.replace(['_', '.'], "-");
            let directory = index.0.join(package);
            fs_err::create_dir_all(&directory)?;
            let from = Path::new(&elements).join("../../wheels").join(&name);
            fs_err::copy(from, directory.join(&name))?;
            let page = directory.join("index.html");
            let known = if page.exists() { fs_err::read_to_string(&page)? } else { String::new() };
            fs_err::write(&page, format!("{known}<a href=\"{name}\">{name}</a>\n"))?;
        }
        Ok(index)
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        // What is left would only be found by the next test, and replaced.
        fs_err::remove_dir_all(&self.0).unwrap_or_default();
    }
}

pub(crate) fn sources() -> Result<()> {
    const MARKS: &[Mark] = &[
        ("keylime-agent", "/opt/keylime/bin/keylime_agent", "keylime"),
        ("keylime-agent", "/etc/keylime.conf", "agent_uuid = hash_ek"),
        ("keylime-agent", "/root/allowlist.txt", "/etc/ima/ima-policy"),
        ("keylime-agent", "/etc/systemd/system/multi-user.target.wants/keylime-agent.service", ""),
        ("proliant-tools", "/opt/smartstorageadmin/version", "3.10"),
        (
            "proliant-tools",
            "/opt/ironic-python-agent/lib/python3.11/site-packages/proliantutils/__init__.py",
            "",
        ),
        ("pypi", "/root/.pip/pip.conf", "-"),
        ("python-brickclient", "/usr/share/python-brickclient/venv/bin/cinder", ""),
        ("python-brickclient", "/usr/local/bin/python-brickclient", ""),
        ("python-stow-versions", "/usr/local/stow/python-3.9.21/version", "3.9.21"),
        ("python-stow-versions", "/usr/local/stow/python-2.7.18", "-"),
        ("simple-init", "/usr/glean/bin/glean", ""),
        ("simple-init", "/etc/udev/rules.d/99-glean.rules", "glean"),
        ("tpm-emulator", "/usr/local/bin/tpm_server", ""),
        (
            "tpm-emulator",
            "/etc/systemd/system/tpm2-abrmd.service.d/10-tcti-emulator.conf",
            "tcti=mssim",
        ),
        ("tpm-emulator", "/etc/systemd/system/multi-user.target.wants/tpm_server.service", ""),
    ];
    let place = TestEnv::new()?;
    let _index = Index::make(&place)?;
    let stand_ins = "python-dev=python3-dev tpm2-tss gcc-c++=gcc libstdc++-devel dbus-devel \
                     glib2-devel uriparser-devel libgcrypt-devel libcurl-devel \
                     libselinux-python3";
    let variables = [
        ("DIB_INSTALLTYPE_glean", "package"),
        ("DIB_INSTALLTYPE_pip_and_virtualenv", "package"),
        ("DIB_NO_PYPI_PIP", "1"),
        ("DIB_PYTHON_VERSIONS", "3.9"),
        ("DIB_TEST_STAND_INS", stand_ins),
    ];
    let os = ["-n", "mini", "dpkg", "stand-ins", "of-sources"];
    check(&image(&place, "tar", &os, MARKS, &variables)?, MARKS)?;
    for file in ["x-allowlist.txt", "x-checksum.txt"] {
        ensure!(!fs_err::read(place.path(file))?.is_empty(), "{file} is empty");
    }
    Ok(())
}
