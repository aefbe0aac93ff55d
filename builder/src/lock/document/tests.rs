use super::*;

impl Document {
    /// A lock with something of everything.
    pub(in crate::lock) fn example() -> Self {
        let digest = Digest::of("x");
        let fetch = Fetch {
            name: None,
            version: None,
            url: "http://h/x".into(),
            method: get(),
            sent: None,
            status: 200,
            headers: BTreeMap::from([("last-modified".into(), "today".into())]),
            size: 1,
            digest,
        };
        let tools = Archive {
            arch: "amd64".into(),
            variant: Variant::Minbase,
            include: vec!["git".into()],
            exclude: Vec::new(),
            release: vec![Release {
                mirror: "http://m/debian".into(),
                suite: "trixie".into(),
                components: vec!["main".into()],
                date: 7,
                digest,
            }],
            package: vec![Package {
                name: "a".into(),
                version: "1:2-3".into(),
                url: "http://m/debian/a_2-3_amd64.deb".into(),
                size: 1,
                digest,
            }],
        };
        Self {
            version: VERSION,
            goldsmith: "0".into(),
            build: Build {
                arguments: vec!["small".into()],
                elements: vec!["small".into()],
                arch: "amd64".into(),
                mirror: "http://m/debian".into(),
                security: "http://m/debian-security".into(),
            },
            element: vec![Element { name: "small".into(), digest }],
            emulator: Some(Archive { include: vec!["qemu-user".into()], ..tools.clone() }),
            base: Some(Base::Oci(RegistryImage { reference: "h/r:1".into(), digest })),
            tools,
            release: vec![fetch.clone()],
            package: Vec::new(),
            git: vec![Repository {
                url: "http://h/r.git".into(),
                commits: vec!["0".repeat(40)],
                request: vec![Fetch { method: "POST".into(), sent: Some(digest), ..fetch }],
            }],
            url: Vec::new(),
        }
    }
}

#[test]
fn what_is_written_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("goldsmith.lock");
    let document = Document::example();
    document.write(&path).unwrap();
    assert_eq!(Document::read(&path).unwrap(), document);
    assert_eq!(
        document.tools.spec(),
        Archive::new(&document.tools.spec(), &document.tools.resolution()).spec()
    );
}

#[test]
fn faults_are_named_by_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("goldsmith.lock");
    Document::example().write(&path).unwrap();
    let good = fs_err::read_to_string(&path).unwrap();
    let line_of = |mark: &str| good.lines().position(|line| line.starts_with(mark)).unwrap() + 1;
    for (old, new, said) in [
        ("version = 1", "version = 2", "reads version 1"),
        ("goldsmith = ", "goldsmit = ", "goldsmit"),
        ("digest = \"sha256:", "digest = \"md5:", "is no digest"),
        ("arch = \"amd64\"", "arch = 1", "string"),
        ("mirror = ", "mirror ", "key"),
    ] {
        fs_err::write(&path, good.replacen(old, new, 1)).unwrap();
        let failure = Document::read(&path).unwrap_err();
        assert_eq!(failure.kind, Kind::Lock);
        let at = format!("line {}: ", line_of(old));
        assert!(
            failure.message.contains(&at) && failure.message.contains(said),
            "{old}: {failure}"
        );
    }
}
