//! Layers of strangers, pulled by an ordinary user from a registry: refused, or kept inside of the
//! store, and beside each what looks most like it and is honest. docs/attacks.md has the numbers.

use std::collections::BTreeMap;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use goldsmith_images::digest::Digest;
use goldsmith_tests::{Answer, Ran, TestEnv, WebServer};
use serde_json::json;
use tar::EntryType;

/// What a refused layer ends with: it did not verify.
const REFUSED: i32 = 6;
/// In the file outside that each attack is after.
const SECRET: &str = "untouched";

/// A layer, whose names are taken as they are.
struct Layer(tar::Builder<Vec<u8>>);

impl Layer {
    fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    fn entry(mut self, kind: EntryType, name: &str, link: &str, content: &str) -> Result<Self> {
        let mut header = tar::Header::new_ustar();
        // `set_path` would refuse what is tested here.
        let fields = header.as_old_mut();
        fields.name[..name.len()].copy_from_slice(name.as_bytes());
        fields.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_600_000_000);
        header.set_size(content.len() as u64);
        if matches!(kind, EntryType::Char | EntryType::Block) {
            header.set_device_major(1)?;
            header.set_device_minor(3)?;
        }
        header.set_cksum();
        self.0.append(&header, content.as_bytes())?;
        Ok(self)
    }

    fn file(self, name: &str, content: &str) -> Result<Self> {
        self.entry(EntryType::Regular, name, "", content)
    }

    fn directory(self, name: &str) -> Result<Self> {
        self.entry(EntryType::Directory, name, "", "")
    }

    fn symlink(self, name: &str, to: &str) -> Result<Self> {
        self.entry(EntryType::Symlink, name, to, "")
    }

    fn link(self, name: &str, to: &str) -> Result<Self> {
        self.entry(EntryType::Link, name, to, "")
    }

    fn bytes(self) -> Result<Vec<u8>> {
        Ok(self.0.into_inner()?)
    }
}

/// A registry with one image of these layers; `diff_id` is what its configuration says of the last.
fn registry(layers: &[Vec<u8>], diff_id: Option<Digest>) -> Result<WebServer> {
    const OCI: &str = "application/vnd.oci.image";
    let mut blobs: BTreeMap<String, (String, Vec<u8>)> = BTreeMap::new();
    let mut put = |bytes: Vec<u8>, kind: &str| {
        let (digest, kind) = (Digest::of(&bytes).to_string(), format!("{OCI}.{kind}"));
        let told = json!({ "mediaType": kind, "digest": digest, "size": bytes.len() });
        blobs.insert(digest, (kind, bytes));
        told
    };
    let mut diff_ids: Vec<_> = layers.iter().map(Digest::of).collect();
    if let (Some(last), Some(other)) = (diff_ids.last_mut(), diff_id) {
        *last = other;
    }
    let diff_ids: Vec<_> = diff_ids.iter().map(Digest::to_string).collect();
    let config = json!({ "architecture": "amd64", "os": "linux", "config": {},
                         "rootfs": { "type": "layers", "diff_ids": diff_ids } });
    let config = put(config.to_string().into_bytes(), "config.v1+json");
    let layers: Vec<_> = layers.iter().map(|layer| put(layer.clone(), "layer.v1.tar")).collect();
    let manifest = json!({ "schemaVersion": 2, "mediaType": format!("{OCI}.manifest.v1+json"),
                           "config": config, "layers": layers });
    let manifest = put(manifest.to_string().into_bytes(), "manifest.v1+json");
    let top = manifest["digest"].as_str().unwrap_or_default().to_owned();
    WebServer::start(move |asked| {
        let name = asked.path.rsplit('/').next().unwrap_or_default();
        match blobs.get(if name == "1" { top.as_str() } else { name }) {
            Some((kind, bytes)) => {
                Answer::new(200, bytes.clone()).with("Content-Type", kind.as_str())
            }
            None => Answer::new(404, ""),
        }
    })
}

/// A place with a cache of its own and, beside it, what must stay as it is.
struct Site {
    env: TestEnv,
}

impl Site {
    fn new() -> Result<Self> {
        let site = Self { env: TestEnv::with_own_cache()? };
        fs_err::create_dir(site.outside())?;
        fs_err::create_dir(site.env.path("elements"))?;
        fs_err::write(site.outside().join("secret"), SECRET)?;
        Ok(site)
    }

    fn outside(&self) -> PathBuf {
        self.env.path("outside")
    }

    /// The same as layers would name it.
    fn named(&self) -> Result<String> {
        let path = self.outside();
        Ok(path.to_str().context("a name in UTF-8")?.to_owned())
    }

    /// Everything of the place but the cache: modes, links, times, content.
    fn state(&self) -> Result<Vec<String>> {
        let mut all = Vec::new();
        let walk = walkdir::WalkDir::new(self.env.directory.path()).sort_by_file_name();
        for entry in walk.into_iter().filter_entry(|entry| entry.path() != self.env.cache()) {
            let entry = entry?;
            let data = entry.metadata()?;
            let (mut content, mut times) = (Vec::new(), None);
            // What becomes of a directory shows by the names in it.
            if data.is_file() {
                content = fs_err::read(entry.path())?;
                times = Some((data.nlink(), data.ctime(), data.ctime_nsec()));
            }
            let (path, mode) = (entry.path().display(), data.permissions().mode());
            all.push(format!("{path} {mode:o} {} {times:?} {content:?}", data.ino()));
        }
        Ok(all)
    }

    /// Pulls an image of these layers; nothing outside of the cache changes, whatever comes of it.
    fn pull(&self, layers: &[Vec<u8>], diff_id: Option<Digest>) -> Result<Ran> {
        let server = registry(layers, diff_id)?;
        let (host, name) = (server.host(), format!("{}/x:1", server.host()));
        let before = self.state()?;
        let ran = self.env.run(&["pull", "-a", "amd64", "--plain-http", &host, &name])?;
        let after = self.state()?;
        ensure!(before == after, "{before:#?}\n{after:#?}\n{ran:#?}");
        ensure!(server.count() > 0, "nobody asked: {ran:#?}");
        Ok(ran)
    }

    /// The trees of the snapshots that the cache has; root's files of an image are the user's own.
    fn trees(&self) -> Result<Vec<PathBuf>> {
        let entries = fs_err::read_dir(self.env.cache().join("snapshots"))?;
        entries.map(|entry| Ok(entry?.path().join("fs"))).collect()
    }

    /// The attack is refused in these words, and so many snapshots are there: none of its layer.
    fn refused(&self, ran: &Ran, words: &str, snapshots: usize) -> Result<()> {
        ensure!(ran.status == REFUSED, "{words}: {ran:#?}");
        ensure!(ran.stderr.contains(words), "{words}: {ran:#?}");
        ensure!(self.trees()?.len() == snapshots, "{words}: {:?}", self.trees()?);
        crate::ok(&self.env.run(&["store", "fsck"])?)
    }

    /// Where the file lies that one of the trees has.
    fn find(&self, path: &str) -> Result<PathBuf> {
        let places = self.trees()?.into_iter().map(|tree| tree.join(Path::new(path)));
        let mut found = places.filter(|path| fs_err::symlink_metadata(path).is_ok());
        found.next().with_context(|| format!("{path} is in no tree"))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        drop(self.env.run(&["store", "prune", "--max-size", "0"]));
    }
}

#[test]
fn pulled_layers_that_climb_or_link_out_are_refused_i1_i5() -> Result<()> {
    let site = Site::new()?;
    let secret = format!("{}/secret", site.named()?);
    let climbing = format!("{}{}", "../".repeat(9), secret.trim_start_matches('/'));
    for (layer, words) in [
        (Layer::new().file("../../../outside/new", "x")?, "climbs"),
        (Layer::new().directory("a")?.file("a/../../new", "x")?, "climbs"),
        (Layer::new().file(&secret, "x")?, "absolute"),
        (Layer::new().link("mine", &secret)?, "absolute"),
        (Layer::new().link("mine", &climbing)?, "climbs"),
        (Layer::new().symlink("out", &site.named()?)?.link("mine", "out/secret")?, "openat2(out)"),
    ] {
        let ran = site.pull(&[layer.bytes()?], None)?;
        site.refused(&ran, words, 0)?;
    }
    // What looks like it: dots in names, and a link to what the layer has.
    let layer = Layer::new().file("..new", "dots")?.file("a", "x")?.link("b", "a")?;
    crate::ok(&site.pull(&[layer.bytes()?], None)?)?;
    ensure!(fs_err::read_to_string(site.find("..new")?)? == "dots");
    ensure!(fs_err::metadata(site.find("b")?)?.nlink() == 2);
    Ok(())
}

#[test]
fn pulled_layers_write_through_links_inside_only_i2() -> Result<()> {
    for apart in [false, true] {
        let site = Site::new()?;
        let first = Layer::new().symlink("out", &site.named()?)?;
        let first = first.symlink("up", "../../../../outside")?;
        let add = |layer: Layer| -> Result<Layer> {
            layer.file("out/secret", "bad")?.file("up/secret", "bad")?.directory("out/below")
        };
        let layers = match apart {
            true => vec![first.bytes()?, add(Layer::new())?.bytes()?],
            false => vec![add(first)?.bytes()?],
        };
        // It may be refused, or mean a place of the image's own.
        let ran = site.pull(&layers, None)?;
        ensure!([0, REFUSED].contains(&ran.status), "{ran:#?}");
    }
    // The honest ones: a link that leads to a directory of the image.
    for to in ["usr/bin", "/usr/bin"] {
        let site = Site::new()?;
        let layer = Layer::new().directory("usr/bin")?.symlink("bin", to)?.file("bin/sh", "sh")?;
        crate::ok(&site.pull(&[layer.bytes()?], None)?)?;
        ensure!(fs_err::read_to_string(site.find("usr/bin/sh")?)? == "sh", "{to}");
    }
    Ok(())
}

#[test]
fn pulled_layers_make_no_devices_i19() -> Result<()> {
    let site = Site::new()?;
    let layer = Layer::new()
        .entry(EntryType::Char, "null", "", "")?
        .entry(EntryType::Block, "disk", "", "")?
        .entry(EntryType::Fifo, "pipe", "", "")?;
    crate::ok(&site.pull(&[layer.bytes()?], None)?)?;
    for (name, pipe) in [("null", false), ("disk", false), ("pipe", true)] {
        let kind = fs_err::symlink_metadata(site.find(name)?)?.file_type();
        ensure!(kind.is_fifo() == pipe && kind.is_file() != pipe, "{name}: {kind:?}");
    }
    Ok(())
}

#[test]
fn pulled_whiteouts_hide_nothing_outside_i17() -> Result<()> {
    for mark in ["out/.wh.secret", "out/.wh..wh..opq"] {
        for apart in [false, true] {
            let site = Site::new()?;
            let first = Layer::new().symlink("out", &site.named()?)?;
            let layers = match apart {
                true => vec![first.bytes()?, Layer::new().file(mark, "")?.bytes()?],
                false => vec![first.file(mark, "")?.bytes()?],
            };
            let ran = site.pull(&layers, None)?;
            ensure!([0, REFUSED].contains(&ran.status), "{mark}: {ran:#?}");
        }
    }
    for (name, words) in [(".wh.", "names nothing"), ("../.wh.secret", "climbs")] {
        let site = Site::new()?;
        let ran = site.pull(&[Layer::new().file(name, "")?.bytes()?], None)?;
        site.refused(&ran, words, 0)?;
    }
    // The honest one, through a link as well, hides what a layer below has.
    let site = Site::new()?;
    let first = Layer::new().directory("usr/lib")?.symlink("lib", "usr/lib")?;
    let first = first.file("usr/lib/gone", "x")?.bytes()?;
    let second = Layer::new().directory("usr/lib")?.symlink("lib", "usr/lib")?;
    let second = second.file("lib/.wh.gone", "")?.bytes()?;
    crate::ok(&site.pull(&[first, second], None)?)?;
    let places = site.trees()?.into_iter().map(|tree| tree.join("usr/lib/gone"));
    let kinds: Vec<_> = places.filter_map(|path| fs_err::symlink_metadata(path).ok()).collect();
    let hides = |data: &std::fs::Metadata| data.file_type().is_char_device() && data.rdev() == 0;
    ensure!(kinds.len() == 2 && kinds.iter().filter(|data| hides(data)).count() == 1, "{kinds:?}");
    Ok(())
}

#[test]
fn pulled_layers_are_those_of_the_configuration_i12_i16() -> Result<()> {
    let site = Site::new()?;
    let below = Layer::new().file("below", "x")?.bytes()?;
    let layers = [below, Layer::new().file("file", "x")?.bytes()?];
    let ran = site.pull(&layers, Some(Digest::of("another")))?;
    // The honest layer below it was unpacked first, and may stay.
    site.refused(&ran, &Digest::of("another").to_string(), 1)?;
    ensure!(site.find("file").is_err(), "a layer that nobody promised is kept");
    crate::ok(&site.pull(&layers, None)?)?;
    site.find("file").map(drop)
}
