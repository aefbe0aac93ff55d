//! What is known before anything runs: elements, hooks, the disk; and the directories that
//! sandboxes see.

use std::path::{Path, PathBuf};

use goldsmith_images::store::SnapshotId;
use goldsmith_runtime::{FormatPlan, IdentityMode};

use super::cache::{Done, Recipe};
use super::key::KeyBuilder;
use super::run::give;
use super::sandbox::HostDirectories;
use super::session::Session;
use super::state::State;
use crate::block_device;
use crate::element::shipped::{self, Shipped};
use crate::element::{Element, ElementGraph, base_yaml, resolve, scan};
use crate::error::{Failure, Kind, Result};
use crate::hook::environment::Environment;
use crate::hook::{HookTree, collect};
use crate::machine::dpkg_name;
use crate::request::{Backend, Request};

/// What a build is made of before anything ran.
#[derive(Debug)]
pub struct Prepared {
    /// The elements.
    pub graph: ElementGraph,
    /// The hooks tree.
    pub hooks: HookTree,
    /// The partitions and file systems.
    pub disk: block_device::Plan,
    pub(super) shipped: Shipped,
    /// The directory of the element that asks for a base, and the base.
    pub(super) base: Option<(PathBuf, base_yaml::Base)>,
    /// Whether a container file makes the base: no element has one of its own.
    pub(super) containerfile: bool,
}

/// Resolves elements, hooks and the disk; touches nothing but the store's shipped elements.
///
/// # Errors
///
/// When an element or a configuration file is wrong.
pub fn prepare(session: &Session, request: &Request) -> Result<Prepared> {
    let shipped = shipped::unpack(&session.store.elements())?;
    let mut search_path = request.elements_path.clone();
    if !request.no_builtin_elements {
        search_path.push(shipped.elements.clone());
    }
    let catalogue = scan(&search_path)?;
    for (name, path) in &catalogue.overridden {
        session.reporter.info(format!("element {name} of {} is overridden", path.display()));
    }
    if let Some(ramdisk) = &request.ramdisk {
        catalogue.get(ramdisk).map_err(|failure| {
            failure.hint("it is to make the ramdisk: --ramdisk-element or RAMDISK_ELEMENT names it")
        })?;
    }
    let wanted = crate::compat::implicit_elements(request);
    let graph = resolve(&catalogue, &wanted)?;
    if let Some(lock) = &session.lock {
        lock.check(&graph, &session.reporter)?;
    }
    let base = find_base(&graph, request)?;
    let containerfile = match &base {
        Some(_) => None,
        None if request.tree.is_some() => None,
        None => crate::compat::containerfile_hook(&graph),
    };
    let mut left_out: Vec<String> = base
        .iter()
        .flat_map(|(path, base)| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            base.replaces().iter().map(move |hook| format!("{name}/{hook}"))
        })
        .collect();
    left_out.extend(containerfile.iter().cloned());
    let mut hooks = collect(&graph, &left_out)?;
    if let Some(names) = request.env.get("RUN_PARTS_REGEX").filter(|names| !names.is_empty()) {
        hooks = hooks.named_by(names)?;
    }
    if let Some(element) = hooks.element_of("first-boot.d") {
        session.reporter.warn(format!(
            "element {element} has first-boot.d, which is deprecated: use cloud-init or a systemd unit"
        ));
    }
    for (hook, element) in hooks.not_executable() {
        let hook = hook.display();
        session
            .reporter
            .info(format!("{hook} of element {element} is not executable: it does not run"));
    }
    let seed = block_device::seed(&request.arch, &graph.names());
    let elements: Vec<_> =
        graph.elements.iter().map(|e| (e.name.clone(), e.path.clone())).collect();
    let disk = block_device::Plan::load(&block_device::Inputs {
        config_override: request.env.get("DIB_BLOCK_DEVICE_CONFIG").map(String::as_str),
        block_size: request.env.get("DIB_BLOCK_SIZE").map(String::as_str),
        elements: &elements,
        arch: &request.arch,
        fs_type: &request.fs_type,
        root_label: request.root_label.as_deref(),
        journal_mib: request.journal_mib,
        mkfs_options: &request.mkfs_options,
        implied_mkfs_options: &block_device::implied_mkfs_options(&request.env),
        seed: &seed,
        epoch: 0,
    })?;
    let names = graph.elements.iter().map(|element| element.name.as_str());
    let size_kib = block_device::explicit_size_kib(request.image_size_kib, names);
    check_disk(session, &crate::compat::settled(request, &graph), (&graph, &disk), size_kib)?;
    let containerfile = containerfile.is_some();
    Ok(Prepared { graph, hooks, disk, shipped, base, containerfile })
}

/// Refuses a disk that cannot be written before anything runs, as far as its size is known.
fn check_disk(
    session: &Session,
    request: &Request,
    (graph, disk): (&ElementGraph, &block_device::Plan),
    size_kib: Option<u64>,
) -> Result<()> {
    for warning in disk.warnings() {
        session.reporter.warn(warning);
    }
    if !request.types.iter().any(|kind| kind.is_disk()) {
        return Ok(());
    }
    check_boot(session, request, (graph, disk))?;
    let by_loop = request.backend == Backend::Loop;
    let whole = |size| if by_loop { disk.need_whole_volumes(size) } else { Ok(()) };
    if by_loop {
        disk.need_loop()?;
        let stands_in =
            ["erofs", "squashfs", "ext3", "ext2"].into_iter().any(|kind| disk.has(kind));
        let mounted = |kind: &&str| disk.has(kind) || *kind == "ext4" && stands_in;
        let kinds: Vec<_> = ["ext4", "xfs", "btrfs"].into_iter().filter(mounted).collect();
        crate::materialise::loop_disk::host::check_kernel(&kinds)?;
    }
    for (name, directory) in disk.other_directories() {
        let place = request.cwd.join(directory);
        if let Err(error) = rustix::fs::access(&place, rustix::fs::Access::WRITE_OK) {
            let message = format!("disk {name}: {} cannot be written to", place.display());
            return Err(Failure::wrap(Kind::Host, message, &error)
                .hint("make the directory, or name another one in the layout"));
        }
    }
    match disk.own_size_kib().or(size_kib) {
        Some(size) => {
            let layout = disk.layout(size)?;
            disk.other_disks(size)?;
            whole(size)?;
            crate::materialise::outputs::check_size(request, layout.size_bytes)
        }
        None => disk.check_any_size(&whole),
    }
}

/// Refuses a disk without a place for the boot loader that its elements bring. Who gives a layout of
/// their own may bring a boot loader of their own, too: they are warned.
fn check_boot(
    session: &Session,
    request: &Request,
    (graph, disk): (&ElementGraph, &block_device::Plan),
) -> Result<()> {
    let names: Vec<_> = graph.elements.iter().map(|element| element.name.as_str()).collect();
    let Some(firmware) = crate::compat::firmware(&names, dpkg_name(&request.arch)) else {
        return Ok(());
    };
    let own = request.env.get("DIB_BLOCK_DEVICE_CONFIG").is_some_and(|text| !text.is_empty());
    match disk.check_boot(&firmware) {
        Err(failure) if own => {
            let hints = failure.hints.join("; ");
            session.reporter.warn(format!(
                "{}: the boot loader's hook will fail at the end, unless the image brings another ({hints})",
                failure.message
            ));
            Ok(())
        }
        checked => checked,
    }
}

fn find_base(
    graph: &ElementGraph,
    request: &Request,
) -> Result<Option<(PathBuf, base_yaml::Base)>> {
    let mut env = request.env.clone();
    let arch = dpkg_name(&request.arch);
    env.insert("ARCH".to_owned(), arch.to_owned());
    env.insert("MACHINE".to_owned(), machine(arch).to_owned());
    let mut found: Option<(&Element, base_yaml::Base)> = None;
    for element in &graph.elements {
        let path = element.path.join("base.yaml");
        if !path.exists() {
            continue;
        }
        let Some(base) = base_yaml::read(&path, &env)? else { continue };
        if let Some((other, _)) = &found {
            let message =
                format!("elements {} and {} both have a base.yaml", other.name, element.name);
            return Err(Failure::new(Kind::Configuration, message).hint("one image has one base"));
        }
        found = Some((element, base));
    }
    Ok(found.map(|(element, base)| (element.path.clone(), base)))
}

/// The kernel's name of an architecture, which rpm distributions use.
fn machine(arch: &str) -> &str {
    match arch {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        "armhf" => "armv7l",
        "i386" => "i686",
        "ppc64el" => "ppc64le",
        other => other,
    }
}

pub(super) fn host_directories(
    session: &Session,
    request: &Request,
    prepared: &Prepared,
    environment: &Environment,
    formats: Vec<FormatPlan>,
) -> Result<HostDirectories> {
    let io = |error: std::io::Error| Failure::wrap(Kind::Host, "the caches of hooks", &error);
    let image_cache = match &session.lock {
        Some(lock) => lock.image_cache(&session.store),
        None => {
            request.image_cache.clone().unwrap_or_else(|| session.store.root().join("image-create"))
        }
    };
    let lockfiles = session.store.root().join("lockfiles");
    for directory in [&image_cache, &lockfiles] {
        if !directory.exists() {
            fs_err::create_dir_all(directory).map_err(io)?;
            give(session, directory)?;
        } else if directory.starts_with(session.store.root()) {
            adopt(session, directory)?;
        }
    }
    let output = request.cwd.join(&request.output);
    let mut output = output.parent().map_or_else(|| PathBuf::from("/"), Path::to_path_buf);
    let mounts = fs_err::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    if let Some(below) = mounted_below(&mounts, &output) {
        session.reporter.warn(format!(
            "{below} is mounted below {}, which no overlay can lie on: hooks of host phases see an empty output directory; name another by -o if they read files there",
            output.display()
        ));
        output = session.store.empty();
    }
    let program = std::env::current_exe()
        .map_err(|error| Failure::wrap(Kind::Host, "this program's own file", &error))?;
    let resolv_conf = fs_err::read_to_string("/etc/resolv.conf")
        .ok()
        .filter(|text| text.contains("nameserver"))
        .unwrap_or_else(|| "nameserver 8.8.8.8\n".to_owned());
    Ok(HostDirectories {
        lib: prepared.shipped.lib.clone(),
        shims: prepared.shipped.shims.clone(),
        boot_shims: prepared.shipped.boot_shims.clone(),
        program,
        elements: prepared.graph.search_path.clone(),
        image_cache,
        lockfiles,
        output,
        files: environment.files.clone(),
        host_files: environment.host_files.clone(),
        formats,
        resolv_conf,
    })
}

/// Hands a directory of the cache over whose owners are those of an earlier id map: root's
/// range moves when somebody else is given the one that it had.
fn adopt(session: &Session, directory: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    let failed = |error: std::io::Error| Failure::wrap(Kind::Host, "the caches of hooks", &error);
    let top = fs_err::symlink_metadata(directory).map_err(failed)?;
    let (uid, gid) = session.identity.outside_root();
    if session.identity.mode != IdentityMode::Root || top.uid() == uid {
        return Ok(());
    }
    let moved = |id: u32, old: u32, new: u32| id.checked_sub(old).map_or(id, |inside| new + inside);
    for entry in walkdir::WalkDir::new(directory).contents_first(true) {
        let entry = entry.map_err(|error| failed(error.into()))?;
        let data = entry.metadata().map_err(|error| failed(error.into()))?;
        let owner = moved(data.uid(), top.uid(), uid);
        let group = moved(data.gid(), top.gid(), gid);
        std::os::unix::fs::lchown(entry.path(), Some(owner), Some(group)).map_err(failed)?;
    }
    Ok(())
}

/// The first mount point strictly below a directory. In a user namespace such mounts are
/// locked to the one they lie on, and overlay refuses that as a lower layer (EINVAL).
fn mounted_below(mountinfo: &str, directory: &Path) -> Option<String> {
    let directory = fs_err::canonicalize(directory).unwrap_or_else(|_| directory.to_path_buf());
    mountinfo.lines().filter_map(|line| line.split(' ').nth(4)).map(unescape).find(|target| {
        Path::new(target).strip_prefix(&directory).is_ok_and(|rest| rest != Path::new(""))
    })
}

/// Octal escapes of proc_pid_mountinfo(5): blank, tab, newline, backslash.
fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (escape, plain)| text.replace(escape, plain))
}

/// The generated hooks tree, kept as a snapshot by its digest.
pub(super) fn hooks_base(session: &Session, prepared: &Prepared) -> Result<PathBuf> {
    let digest = prepared.hooks.whole_digest()?;
    let key = KeyBuilder::new("hooks")
        .part("tree", digest)
        .part("shipped", &prepared.shipped.digest)
        .finish();
    let recipe = Recipe { name: "hooks".into(), key, networked: false };
    let nothing = Done::default();
    if let Some(done) = session.look_up(&recipe, &nothing)?.hit() {
        return first(session, &done.state.hooks);
    }
    let done = session.step(&recipe, &nothing, || {
        let pending = session.pending()?;
        let to = pending.upper();
        prepared.hooks.write(&to, &prepared.shipped.lib)?;
        for entry in walkdir::WalkDir::new(&to) {
            let entry =
                entry.map_err(|error| Failure::wrap(Kind::Host, "the hooks tree", &error))?;
            give(session, entry.path())?;
        }
        let id = session.commit(pending, "hooks", Vec::new(), true)?;
        Ok(Done { state: State { hooks: vec![id], ..State::default() }, ..Done::default() })
    })?;
    first(session, &done.state.hooks)
}

fn first(session: &Session, stack: &[SnapshotId]) -> Result<PathBuf> {
    let directories = session.directories(stack)?;
    directories.into_iter().next().ok_or_else(|| Failure::new(Kind::Internal, "an empty stack"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_below_the_output_directory_is_seen() {
        let info = "1 0 0:1 / /no/such rw - ext4 a rw\n2 1 0:2 / /no/such/a\\040disk rw - tmpfs t rw\n3 1 0:3 / /no/suchlike rw - tmpfs t rw\n";
        let below = |path: &str| mounted_below(info, Path::new(path));
        assert_eq!(below("/no/such").as_deref(), Some("/no/such/a disk"));
        assert_eq!(below("/no/such/a disk"), None);
        assert_eq!(below("/no/suchl"), None);
    }
}
