//! Packages that want the same file: replaced, diverted, and refused.

use anyhow::{Result, ensure};
use goldsmith_tests::TestEnv;

use super::deb::{Deb, Entry};
use super::{Archive, build};
use crate::published::serve;
use crate::{member, ok};

const DIVERT: &str = "#!/bin/sh\nset -e\ndpkg-divert --package diverter --rename \
    --divert /etc/thing.real --add /etc/thing\n";

/// As that of vim-runtime, which diverts files of vim-tiny.
const OWN: &str = "#!/bin/sh\nset -e\nfor file in /usr/share/own; do\n    dpkg-divert --package owner \
    --rename --divert $file.owned --add $file\ndone\n";

/// Name, fields, preinst, files.
type Stub<'a> = (&'a str, &'a str, &'a str, &'a [Entry<'a>]);

const STUBS: [Stub<'static>; 6] = [
    ("thing", "", "", &[("./etc/thing", None, "of thing"), ("./usr/share/both", None, "of thing")]),
    ("taker", "Replaces: thing (<= 1)\n", "", &[("./usr/share/both", None, "of taker")]),
    ("diverter", "", DIVERT, &[("./etc/diverter", None, "")]),
    ("owner", "", OWN, &[("./usr/share/own", None, "of owner")]),
    ("owned", "", "", &[("./usr/share/own", None, "of owned")]),
    ("rival", "", "", &[("./usr/share/both", None, "of rival")]),
];

#[test]
fn a_file_of_two_packages_is_whose_dpkg_says_it_is() -> Result<()> {
    let env = TestEnv::with_small_os()?;
    env.element("like-ubuntu/element-provides", "operating-system\n")?;
    env.element("like-ubuntu/environment.d/10-x.bash", "export DISTRO_NAME=ubuntu\n")?;
    let base = |include: &str| {
        let text = super::BASE.replace("[universal]", &format!("[{include}]"));
        env.element("like-ubuntu/base.yaml", &text)
    };
    let mut archive = Archive::new(&env)?;
    for (name, fields, preinst, files) in STUBS {
        let control = format!(
            "Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: A test\n{fields}Description: one of two\n"
        );
        let scripts: &[Entry<'_>] = match preinst {
            "" => &[],
            script => &[("./preinst", None, script)],
        };
        let mut deb = Deb::with(&control, scripts)?;
        deb.add(files)?;
        archive.add("noble", "main", &deb, "")?;
    }
    archive.publish()?;
    let (address, _) = serve(archive.publisher.root.clone())?;
    let build = || build(&env, &format!("{address}/"), "elements/publisher/keys.asc");

    base("thing, taker, diverter, owner, owned")?;
    ok(&build()?)?;
    let tar = env.path("noble.tar");
    let read = |path: &str| member(&tar, &format!("./{path}"));
    ensure!(read("usr/share/both")? == "of taker");
    ensure!(read("etc/thing.real")? == "of thing" && read("etc/thing").is_err());
    let diversions = read("var/lib/dpkg/diversions")?;
    ensure!(diversions.contains("/etc/thing\n/etc/thing.real\ndiverter\n"), "{diversions}");
    ensure!(read("usr/share/own")? == "of owner" && read("usr/share/own.owned")? == "of owned");
    for name in ["owner", "owned"] {
        let list = read(&format!("var/lib/dpkg/info/{name}.list"))?;
        ensure!(list.contains("/usr/share/own\n"), "{list}");
    }
    ensure!(read("var/lib/dpkg/goldsmith-late/owner/usr/share/own").is_err());
    let list = read("var/lib/dpkg/info/thing.list")?;
    ensure!(list.contains("/etc/thing\n") && !list.contains("/both"), "{list}");
    ensure!(read("var/lib/dpkg/info/taker.list")?.contains("/usr/share/both\n"));

    base("thing, rival")?;
    let refused = build()?;
    ensure!(refused.status == 1, "{refused:#?}");
    for word in ["/usr/share/both", "thing", "rival", "neither Replaces"] {
        ensure!(refused.stderr.contains(word), "{word}: {refused:#?}");
    }
    Ok(())
}
