//! The element of diskimage-builder's whose base is a container file: no engine is there.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use goldsmith_tests::{DockerRegistry, TestEnv, Tree, ran};

use crate::build_in;

/// An image of the registry, what the file of the release makes of it, and a hook above both.
pub(crate) fn containers() -> Result<()> {
    let place = TestEnv::with_small_os()?;
    let registry = DockerRegistry::start(place.directory.path())?;
    let goldsmith = |words: &[&str]| -> Result<()> {
        let mut command = place.command("goldsmith")?;
        let ran = ran(command.env("GOLDSMITH_PLAIN_HTTP", &registry.host).args(words))?;
        ensure!(ran.status == 0, "{}\n{}", ran.stdout, ran.stderr);
        Ok(())
    };
    goldsmith(&["build", "-n", "--progress", "plain", "-t", "oci", "-o", "os", "small"])?;
    goldsmith(&["push", "os.oci", &format!("{}/os:7", registry.host)])?;
    let file = format!(
        "FROM {}/os:7\nRUN set -e; test -e /var/lib/dpkg/status; \\\n    echo of the file > /etc/contained\n",
        registry.host
    );
    place.element("contained/containerfiles/7", &file)?;
    place.element("contained/containerfiles/8", "FROM nowhere.invalid/os\n")?;
    place.element("contained/element-deps", "containerfile\n")?;
    place.element("contained/environment.d/10-contained.bash", "export DISTRO_NAME=debian\n")?;
    let hook = "#!/bin/bash\nset -eu\ncat /etc/contained > /etc/seen\n";
    place.element("contained/install.d/10-contained", hook)?;
    let variables =
        BTreeMap::from([("GOLDSMITH_PLAIN_HTTP", registry.host.as_str()), ("DIB_RELEASE", "7")]);
    let words = ["-n", "-t", "tar", "-o", "c", "contained"];
    build_in(&place, "disk-image-create", &words, &variables)?;
    let tree = Tree::read(&place.path("c.tar"), &["/etc/*"])?;
    ensure!(tree.text("/etc/seen")? == "of the file\n");
    ensure!(tree.has("/usr/bin/dpkg"), "the image of the registry is not below it");
    Ok(())
}
