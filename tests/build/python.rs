//! The shipped elements that bring programs in Python, in one image.

use anyhow::{Context, Result, ensure};
use goldsmith_tests::shipped;

use crate::image::Image;

fn python() -> Result<Image> {
    Image::build(
        "python",
        &shipped::PYTHON,
        &[
            ("DIB_DEBIAN_KERNEL", "none"),
            ("DIB_NO_PYPI_PIP", "1"),
            ("DIB_INSTALLTYPE_glean", "package"),
            ("DIB_INSTALLTYPE_pip_and_virtualenv", "package"),
        ],
    )
}

#[test]
fn pip_and_virtualenv_and_ensure_venv() -> Result<()> {
    let image = python()?;
    image.installed(&["python3-pip", "python3-virtualenv", "python3-venv"])?;
    ensure!(
        image.text("/probe/pip")? == "/usr/bin/python3 -m pip, /usr/bin/python3 -m venv\n",
        "{}",
        image.text("/probe/pip")?
    );
    Ok(())
}

#[test]
fn pip_cache_is_outside_of_the_image() -> Result<()> {
    let image = python()?;
    let cache = image.text("/probe/pip-cache")?;
    ensure!(cache.contains(" /tmp/pip ") && cache.ends_with("/tmp/pip\n"), "{cache}");
    image.lacks(&["/tmp/pip", "/root/.cache/pip"])
}

#[test]
fn pypi_is_a_mirror_while_the_image_is_built_and_leaves_nothing() -> Result<()> {
    let image = python()?;
    let config = image.text("/probe/pip.conf")?;
    ensure!(config == "[global]\nindex-url = file:///tmp/pypi\n", "{config}");
    image.lacks(&["/root/.pip", "/tmp/pypi", "/root/.pip/pip.conf"])
}

#[test]
fn simple_init_installs_glean_and_forgets_interfaces() -> Result<()> {
    let image = python()?;
    let link = image.entry("/usr/local/bin/glean-install").context("no glean-install")?;
    ensure!(link.ends_with(" -> /usr/glean/bin/glean-install"), "{link}");
    ensure!(image.text("/probe/glean")? == "glean-install \n", "{}", image.text("/probe/glean")?);
    ensure!(image.text("/etc/modules")?.contains("8021q\n"));
    image.lacks(&["/etc/network/interfaces.d/eth0", "/usr/bin/cloud-init"])
}

#[test]
fn tpm_emulator_builds_its_programs_and_starts_them_at_boot() -> Result<()> {
    let image = python()?;
    ensure!(image.text("/probe/tpm")? == "simulator of the probe\nemulator of the probe\n");
    image.installed(&["libtss2-dev", "swig", "tpm2-abrmd", "tpm2-tools"])?;
    image.has(&["/usr/sbin/tpm2-abrmd", "/usr/local/bin/init_tpm_server"])?;
    // Needed to build, and gone.
    image.lacks(&["/usr/bin/g++", "/usr/bin/libtoolize"])?;
    for unit in ["tpm_server.service", "tpm2-abrmd.service", "keylime-ima-emulator.service"] {
        image.enabled(unit)?;
    }
    Ok(())
}
