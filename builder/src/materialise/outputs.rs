//! Output files: written aside, named when complete.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use goldsmith_images::disk::layout::DiskLayout;
use goldsmith_images::disk::sink::{Tee, VHD_LARGEST, copy_raw};
use goldsmith_images::tree::Normalise;

use super::aside::Aside;
use super::beside;
use super::complete::{Complete, Finished};
use super::formats::{Output, disk_sink, needs_scratch};
use super::layout::is_layout;
use super::oci::Label;
use super::parts;
use super::squashfs::{self, Workshop};
use super::write::{Write, run_write};
use crate::error::{Failure, Kind, Result};
use crate::phase::cache::{Done, Recipe};
use crate::phase::session::{CACHE_FULL, Session};
use crate::report::Event;
use crate::request::{Backend, ImageType, Request};

/// The path of an output.
pub fn path(request: &Request, kind: ImageType) -> PathBuf {
    let mut name = request.cwd.join(&request.output).into_os_string();
    name.push(".");
    name.push(kind.ending());
    PathBuf::from(name)
}

/// Fails early when an output cannot be put where it is wanted.
///
/// # Errors
///
/// When the directory is missing or not writable, or something that is no regular file is in
/// the way.
pub fn check(request: &Request) -> Result<()> {
    let directory = beside::directory(request);
    if let Err(error) = rustix::fs::access(&directory, rustix::fs::Access::WRITE_OK) {
        let message = format!("{} cannot be written to", directory.display());
        return Err(Failure::wrap(Kind::Host, message, &error)
            .hint("name another place by -o, or make the directory"));
    }
    for &kind in &request.types {
        let path = path(request, kind);
        if request.backend == Backend::Loop && !kind.is_disk() {
            let message = format!("--backend loop writes disks, not {}", kind.name());
            return Err(Failure::new(Kind::Usage, message)
                .hint("make the archive with the image backend, by a second command"));
        }
        if let Ok(data) = fs_err::symlink_metadata(&path)
            && !(if kind.is_directory() { is_layout(&path) } else { data.is_file() })
        {
            let what = match (data.is_symlink(), kind.is_directory()) {
                (true, _) => "a symbolic link",
                (false, true) => "no image layout",
                (false, false) => "no regular file",
            };
            let message = format!("{} is {what}; it is left alone", path.display());
            return Err(
                Failure::new(Kind::Usage, message).hint("remove it, or name another output by -o")
            );
        }
    }
    Label::of(request)?;
    aci_manifest(request).map(drop)
}

/// Refuses a disk of `bytes` bytes that a format has no room for.
///
/// # Errors
///
/// When a VHD is wanted of a larger disk than there are.
pub fn check_size(request: &Request, bytes: u64) -> Result<()> {
    if bytes > VHD_LARGEST && request.types.contains(&ImageType::Vhd) {
        let message = format!(
            "a vhd holds {} GiB at most, and the disk has {}",
            VHD_LARGEST >> 30,
            bytes.div_ceil(1 << 30)
        );
        return Err(Failure::new(Kind::Usage, message)
            .hint("-t vhdx holds larger ones; --image-size makes the disk smaller"));
    }
    Ok(())
}

/// What people should know of the outputs that they ask for, before they are made.
pub fn warnings(request: &Request) -> Vec<String> {
    let mut warnings = Vec::new();
    if request.types.contains(&ImageType::Aci) && request.aci_manifest.is_none() {
        let text = "ACI_MANIFEST names no file: the ACI has no manifest and does not run";
        warnings.push(text.to_owned());
    }
    for kind in request.types.iter().filter(|kind| kind.is_directory()) {
        if !request.checksums.is_empty() {
            let name = kind.name();
            warnings.push(format!(
                "{name} is a directory and gets no file of checksums: its index names digests"
            ));
        }
    }
    warnings
}

/// The manifest of an ACI, when one is wanted and named.
///
/// # Errors
///
/// When it cannot be read.
pub fn aci_manifest(request: &Request) -> Result<Option<Vec<u8>>> {
    let Some(path) =
        request.aci_manifest.as_ref().filter(|_| request.types.contains(&ImageType::Aci))
    else {
        return Ok(None);
    };
    let failed = |error: std::io::Error| {
        Failure::wrap(Kind::Configuration, "ACI_MANIFEST", &error)
            .hint("it is the path of a file that becomes the image's manifest")
    };
    fs_err::read(path).map(Some).map_err(failed)
}

/// The outputs, and the step's result, when nothing has to be written: a native verb leaves
/// files alone that are still the ones it wrote.
///
/// # Errors
///
/// When the store cannot be read.
pub fn up_to_date(
    session: &Session,
    request: &Request,
    recipe: &Recipe,
    before: &Done,
) -> Result<Option<(Done, Vec<Finished>)>> {
    if !request.native {
        return Ok(None);
    }
    let Some(done) = session.look_up(recipe, before)?.hit() else { return Ok(None) };
    let finished = serde_json::from_value::<Vec<Finished>>(done.data.clone()).unwrap_or_default();
    let there = !finished.is_empty() && finished.iter().all(Finished::is_there);
    Ok(there.then_some((done, finished)))
}

/// What goes into the outputs.
#[derive(Debug)]
pub struct Content {
    /// The image's layers, bottom first.
    pub layers: Vec<PathBuf>,
    /// Rules for the tree.
    pub rules: Normalise,
    /// The disk, when an output is one.
    pub layout: Option<DiskLayout>,
    /// Disks beside it, raw ones, and their files.
    pub others: Vec<(PathBuf, DiskLayout)>,
    /// GRUB for BIOS.
    pub bios: Option<(Vec<u8>, Vec<u8>)>,
    /// Layers of new files for the output directory.
    pub extra: Vec<PathBuf>,
    /// The tools container, bottom first.
    pub tools: Vec<PathBuf>,
    /// Where file systems of the disks stand in their configuration: file and line, by name.
    pub places: BTreeMap<String, String>,
}

/// Writes every output of the request aside, then names them.
///
/// # Errors
///
/// When one cannot be written; then none of them appears, and what was there stays.
pub fn write(session: &Session, request: &Request, content: Content) -> Result<Vec<Finished>> {
    let directory = beside::directory(request);
    write_all(session, request, content, &directory).map_err(|failure| {
        let cures = ["free space there, or name another place by -o"];
        failure.on_full_disk("the output", &directory, &cures)
    })
}

fn write_all(
    session: &Session,
    request: &Request,
    content: Content,
    directory: &Path,
) -> Result<Vec<Finished>> {
    let mut aside = Vec::new();
    for &kind in &request.types {
        let to = path(request, kind);
        let file = Aside::new(&to).map_err(io)?;
        aside.push((kind, to, file));
    }
    let made = parts::make(session, &content)?;
    let squash = aside.iter().find(|(kind, ..)| *kind == ImageType::Squashfs);
    let workshop = squash.map(|(_, _, to)| Ok((Workshop::open(session)?, to))).transpose()?;
    let outputs: Vec<_> = aside.iter().map(|(kind, ..)| Output::new(request, *kind)).collect();
    let scratch = match needs_scratch(&outputs) {
        true => Some(Aside::new(&directory.join("raw")).map_err(io)?),
        false => None,
    };
    let mut others = Vec::new();
    for (to, _) in &content.others {
        others.push((to.clone(), Aside::new(to).map_err(io)?));
    }
    let epoch = content.rules.epoch;
    let message = Write {
        layers: content.layers,
        rules: content.rules,
        layout: content.layout,
        others: content.others.into_iter().map(|(_, layout)| layout).collect(),
        made: made.iter().map(|part| part.which.clone()).collect(),
        bios: content.bios,
        aci_manifest: aci_manifest(request)?,
        label: Label::of(request)?,
        outputs,
        extra: content.extra,
        extra_to: Some(directory.to_path_buf()),
        extra_owner: beside::owner(session),
    };
    let mut files: Vec<_> = made.iter().map(parts::Part::image).collect();
    for (kind, _, file) in &aside {
        files.push(match &workshop {
            Some((workshop, _)) if *kind == ImageType::Squashfs => workshop.archive(),
            _ => file.file().as_fd(),
        });
    }
    files.extend(scratch.iter().map(|scratch| scratch.file().as_fd()));
    files.extend(others.iter().map(|(_, other)| other.file().as_fd()));
    let written = run_write(&session.identity, &message, &files).map_err(|failure| {
        if failure.message.contains(squashfs::ARCHIVE_NAME) {
            return failure.on_full_disk("the cache", session.store.root(), CACHE_FULL);
        }
        failure
    })?;
    written.check(|name| content.places.get(name).cloned())?;
    drop(scratch);
    made.into_iter().try_for_each(parts::Part::close)?;
    if let Some((workshop, to)) = workshop {
        workshop.pack(&content.tools, written.root, epoch, to.file())?;
    }
    aside.extend(others.into_iter().map(|(to, other)| (ImageType::Raw, to, other)));
    let mut finished = name_all(session, request, aside)?;
    finished.extend(beside::finished(session, request, &written.extra)?);
    Ok(finished)
}

fn io(error: std::io::Error) -> Failure {
    Failure::wrap(Kind::Host, "an output", &error)
}

/// Makes all outputs from the finished raw disk of `layout` in `file`, which lies aside, and
/// names them.
///
/// # Errors
///
/// As [`write`].
pub fn convert(
    session: &Session,
    request: &Request,
    layout: &DiskLayout,
    file: Aside,
) -> Result<Vec<Finished>> {
    let disk = fs_err::File::open(file.path()).map_err(io)?;
    let mut file = Some(file);
    let mut aside = Vec::new();
    let mut tee = Tee::default();
    for &kind in &request.types {
        let to = path(request, kind);
        let output = if kind == ImageType::Raw
            && let Some(file) = file.take()
        {
            file
        } else {
            let output = Aside::new(&to).map_err(io)?;
            let clone = output.file().try_clone().map_err(io)?;
            tee.push(disk_sink(&Output::new(request, kind), clone, layout).map_err(io)?);
            output
        };
        aside.push((kind, to, output));
    }
    if !tee.is_empty() {
        copy_raw(&disk, layout.size_bytes, &mut tee).map_err(io)?;
    }
    name_all(session, request, aside)
}

fn name_all(
    session: &Session,
    request: &Request,
    aside: Vec<(ImageType, PathBuf, Aside)>,
) -> Result<Vec<Finished>> {
    // Everything that can fail for want of space is done before the first name appears.
    let mut complete = Vec::new();
    for (kind, to, file) in aside {
        complete.push((Complete::new(request, kind, &to, file).map_err(io)?, kind, to));
    }
    let mut finished = Vec::new();
    for (output, kind, to) in complete {
        let done = output.name(request, kind, to).map_err(io)?;
        session.reporter.event(&Event::Output { path: done.path.clone(), bytes: done.bytes });
        finished.push(done);
    }
    Ok(finished)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn request(cwd: &Path) -> Request {
        let mut request =
            Request::new(std::collections::BTreeMap::new(), cwd.to_path_buf()).unwrap();
        request.set_output("image");
        request.types = vec![ImageType::Qcow2];
        request
    }

    #[test]
    fn odd_things_in_the_way_are_left_alone_r26() {
        let place = tempfile::tempdir().unwrap();
        let request = request(place.path());
        let output = path(&request, ImageType::Qcow2);
        assert!(check(&request).is_ok(), "nothing is there");
        fs_err::write(&output, "old").unwrap();
        assert!(check(&request).is_ok(), "an older image may be replaced");
        fs_err::remove_file(&output).unwrap();
        symlink(place.path().join("elsewhere"), &output).unwrap();
        assert_eq!(check(&request).unwrap_err().kind, Kind::Usage);
        fs_err::remove_file(&output).unwrap();
        fs_err::create_dir(&output).unwrap();
        assert_eq!(check(&request).unwrap_err().kind, Kind::Usage);
    }

    #[test]
    fn a_missing_directory_is_named() {
        let place = tempfile::tempdir().unwrap();
        let mut request = request(place.path());
        request.set_output("no/such/image");
        let failure = check(&request).unwrap_err();
        assert_eq!(failure.kind, Kind::Host);
        assert!(failure.message.contains("no/such"), "{failure}");
    }

    #[test]
    fn a_manifest_that_is_not_there_is_named() {
        let place = tempfile::tempdir().unwrap();
        let mut request = request(place.path());
        request.aci_manifest = Some(place.path().join("manifest.json"));
        assert!(check(&request).is_ok(), "no ACI is wanted");
        request.types.push(ImageType::Aci);
        assert!(check(&request).unwrap_err().message.contains("ACI_MANIFEST"));
        fs_err::write(place.path().join("manifest.json"), "{}").unwrap();
        assert_eq!(aci_manifest(&request).unwrap().as_deref(), Some(b"{}".as_slice()));
    }
}
