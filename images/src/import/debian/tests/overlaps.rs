//! Packages that have the same file: what dpkg does with them, and what it refuses.

use super::site::{Has, Site, is_root};

#[test]
fn a_file_is_the_replacing_packages_and_the_other_forgets_it() {
    if !is_root() {
        return;
    }
    // Large, so that whoever comes last is seen.
    let (old, new): (&'static str, &'static str) =
        ("old".repeat(200_000).leak(), "new".repeat(1_000).leak());
    for (loser, winner, fields) in [
        ("a-loser", "z-winner", "Replaces: other, a-loser\n  (<< 2)\n"),
        ("z-loser", "a-winner", "Replaces: z-loser\n"),
    ] {
        let conffiles = [("conffiles", "/etc/both.conf\n")];
        let site = Site::new()
            .package(
                loser,
                "",
                &conffiles,
                &[
                    ("./usr/bin/both", Has::File(old)),
                    ("./usr/bin/old-name", Has::Same("./usr/bin/both")),
                    ("./etc/both.conf", Has::File("old")),
                    ("./usr/share/own/", Has::Directory),
                    ("./usr/share/own/file", Has::File("own")),
                ],
            )
            .package(
                winner,
                fields,
                &conffiles,
                &[
                    // By its name from before the layouts were merged.
                    ("./bin/both", Has::File(new)),
                    ("./bin/same", Has::Same("./bin/both")),
                    ("./etc/both.conf", Has::File("new")),
                    ("./usr/share/own/", Has::Directory),
                ],
            );
        for _ in 0..20 {
            site.unpack().unwrap();
            for (path, content) in [
                ("usr/bin/both", new),
                ("usr/bin/same", new),
                ("usr/bin/old-name", old),
                ("etc/both.conf", "new"),
            ] {
                assert!(site.read(path) == content, "{winner}: {path}");
            }
            assert_eq!(
                site.list(loser),
                ["/.", "/usr/bin/old-name", "/usr/share/own", "/usr/share/own/file"]
            );
            let list = ["/.", "/bin/both", "/bin/same", "/etc/both.conf", "/usr/share/own"];
            assert_eq!(site.list(winner), list);
            // What dpkg 1.21 writes, whichever of the two it unpacks first.
            let status = site.read("var/lib/dpkg/status");
            let stanza = |name: &str| {
                let begin = format!("Package: {name}\n");
                status.split("\n\n").find(|text| text.starts_with(&begin)).unwrap().to_owned()
            };
            let obsolete = "\n /etc/both.conf newconffile obsolete";
            assert!(stanza(loser).ends_with(obsolete), "{status}");
            assert!(!stanza(winner).contains("obsolete"), "{status}");
        }
    }
}

#[test]
fn any_other_overlap_is_refused_by_name() {
    if !is_root() {
        return;
    }
    let both = |fields: &str, control: &[(&str, &'static str)]| {
        Site::new().package("one", "", &[], &[("./etc/both", Has::File("one"))]).package(
            "two",
            fields,
            control,
            &[("./etc/both", Has::File("two"))],
        )
    };
    both("", &[]).refused(&["/etc/both", "one", "two", "neither Replaces"]);
    // Another version is meant, and another package.
    both("Replaces: one (<< 1.0), on\n", &[]).refused(&["/etc/both"]);
    both("Replaces: one (<= 1.0)\n", &[]).unpack().unwrap();
    // What another file's name is in is no diversion of this one, nor of a configuration file.
    let script = "#!/bin/sh\ndpkg-divert --package two --rename --divert /etc/x --add /etc/both\n";
    let other = "#!/bin/sh\ndpkg-divert --package two --rename --divert /etc/x --add /etc/other\n";
    both("", &[("preinst", other)]).refused(&["/etc/both", "nor diverts"]);
    let conffile = [("preinst", script), ("conffiles", "/etc/both\n")];
    both("", &conffile).refused(&["/etc/both", "nor diverts"]);
    // The other's file is there for the script to divert, its own one waits.
    let site = both("", &[("preinst", script)]);
    for _ in 0..10 {
        site.unpack().unwrap();
        assert_eq!(site.read("etc/both"), "one");
        assert_eq!(site.read("var/lib/dpkg/goldsmith-late/two/etc/both"), "two");
        assert!(site.list("one").contains(&"/etc/both".to_owned()));
        assert!(site.list("two").contains(&"/etc/both".to_owned()));
    }
    // One spelling for the top, one for /usr; a link is a file; a directory is none.
    for (other, words) in [
        (("./lib/both", Has::File("x")), ["/usr/lib/both", "neither Replaces"]),
        (("./usr/lib/both", Has::Link("x")), ["/usr/lib/both", "neither Replaces"]),
        (("./usr/lib/both/", Has::Directory), ["/usr/lib/both", "a directory"]),
    ] {
        Site::new()
            .package("one", "", &[], &[("./usr/lib/both", Has::File("one"))])
            .package("two", "", &[], &[other])
            .refused(&words);
    }
    // Legal: directories of both, and the links of the merged layout, also from a package.
    let site = Site::new()
        .package("base-files", "", &[], &[("./lib", Has::Link("usr/lib"))])
        .package("one", "", &[], &[("./lib/", Has::Directory), ("./lib/one", Has::File("1"))])
        .package("two", "", &[], &[("./lib/", Has::Directory), ("./lib/two", Has::File("2"))]);
    site.unpack().unwrap();
    assert_eq!(site.read("usr/lib/one") + &site.read("usr/lib/two"), "12");
}

#[test]
fn a_link_to_a_directory_is_gone_through() {
    if !is_root() {
        return;
    }
    let site = Site::new()
        .package(
            "base",
            "",
            &[],
            &[
                ("./run/", Has::Directory),
                ("./var/", Has::Directory),
                ("./var/run", Has::Link("/run")),
            ],
        )
        .package(
            "a-daemon",
            "",
            &[],
            &[("./var/run/", Has::Directory), ("./var/run/daemon", Has::File("pid"))],
        );
    for backwards in [false, true] {
        site.unpack_in_turn(backwards).unwrap();
        assert_eq!(site.read("run/daemon"), "pid");
    }
    // The same where the directory has no entry of its own.
    let site = Site::new()
        .package("base", "", &[], &[("./run/", Has::Directory), ("./var/run", Has::Link("/run"))])
        .package("a-daemon", "", &[], &[("./var/run/daemon", Has::File("pid"))]);
    for backwards in [false, true] {
        site.unpack_in_turn(backwards).unwrap();
        assert_eq!(site.read("run/daemon"), "pid");
        let link = fs_err::read_link(site.directory.path().join("root/var/run")).unwrap();
        assert_eq!(link, std::path::Path::new("/run"));
    }
}

#[test]
fn a_file_is_no_directory_of_another_package() {
    if !is_root() {
        return;
    }
    // The directory is named by no entry.
    let site = Site::new().package("one", "", &[], &[("./etc/both", Has::File("one"))]).package(
        "two",
        "",
        &[],
        &[("./etc/both/inside", Has::File("two"))],
    );
    // The file is in the way of what lies below, or takes the directory's place.
    for (backwards, words) in [
        (false, "openat2(etc/both): package "),
        (true, "/etc/both is in both one and two, a directory"),
    ] {
        let error = site.unpack_in_turn(backwards).unwrap_err();
        assert!(error.contains(words) && error.contains("two"), "{error}");
    }
    // Its last word counts.
    let twice = [("./etc/both/", Has::Directory), ("./etc/both", Has::File("one"))];
    let site = Site::new().package("one", "", &[], &twice).package(
        "two",
        "",
        &[],
        &[("./etc/both/", Has::Directory)],
    );
    for backwards in [false, true] {
        let error = site.unpack_in_turn(backwards).unwrap_err();
        assert!(error.contains("/etc/both is in both one and two, a directory"), "{error}");
    }
}

#[test]
fn hard_links_lead_to_the_packages_own_file() {
    if !is_root() {
        return;
    }
    // The loser of one file is the winner of another, so that it is laid down twice.
    let site = Site::new()
        .package(
            "one",
            "Replaces: two\n",
            &[],
            &[
                ("./usr/a", Has::File("one")),
                ("./usr/a-too", Has::Same("./usr/a")),
                ("./usr/b", Has::File("one")),
            ],
        )
        .package("two", "", &[], &[("./usr/b", Has::File("two"))])
        .package("zoo", "Replaces: one\n", &[], &[("./usr/a", Has::File("zoo"))]);
    for backwards in [false, true] {
        site.unpack_in_turn(backwards).unwrap();
        let read = |name: &str| site.read(&format!("usr/{name}"));
        assert_eq!([read("a"), read("a-too"), read("b")], ["zoo", "one", "one"]);
    }
}

/// What waits until another's file is diverted is there, or the package is refused.
#[test]
fn a_diverting_packages_hard_links_wait_with_their_file() {
    if !is_root() {
        return;
    }
    let both = "dpkg-divert --package two --add --rename /usr/a\ndpkg-divert --package two --add --rename /usr/b\n";
    let two = || [("./usr/a", Has::File("two")), ("./usr/b", Has::Same("./usr/a"))];
    let site = Site::new()
        .package("one", "", &[], &[("./usr/b", Has::File("one"))])
        .package("two", "", &[("preinst", both)], &two())
        .package("zoo", "", &[], &[("./usr/a", Has::File("zoo"))]);
    site.unpack_in_turn(false).unwrap();
    for name in ["a", "b"] {
        let late = format!("var/lib/dpkg/goldsmith-late/two/usr/{name}");
        assert_eq!(site.read(&late), "two");
    }
    let alone = Site::new().package("one", "", &[], &[("./usr/b", Has::File("one"))]).package(
        "two",
        "",
        &[("preinst", "dpkg-divert --package two --add --rename /usr/b\n")],
        &two(),
    );
    for backwards in [false, true] {
        let error = alone.unpack_in_turn(backwards).unwrap_err();
        assert!(error.contains("/usr/b is a hard link to a file that is not diverted"), "{error}");
    }
}

/// Where diverted files wait is inside the root, whatever packages put there.
#[test]
fn the_place_of_diverted_files_is_nobodys_link() {
    if !is_root() {
        return;
    }
    let outside = tempfile::tempdir().unwrap();
    let to: &'static str = outside.path().to_str().unwrap().to_owned().leak();
    let preinst = [("preinst", "dpkg-divert --package evil --add --rename /keys\n")];
    for link in ["./var/lib/dpkg/goldsmith-late", "./var/lib/dpkg/goldsmith-late/evil", "./var/lib"]
    {
        let site = Site::new().package("b", "", &[], &[("./keys", Has::File("b"))]).package(
            "evil",
            "",
            &preinst,
            &[(link, Has::Link(to)), ("./keys", Has::File("evil"))],
        );
        for backwards in [false, true] {
            if site.unpack_in_turn(backwards).is_ok() {
                assert_eq!(site.read("keys"), "b", "{link}");
                assert_eq!(site.read("var/lib/dpkg/goldsmith-late/evil/keys"), "evil", "{link}");
            }
            assert_eq!(fs_err::read_dir(outside.path()).unwrap().count(), 0, "{link}");
        }
    }
}
