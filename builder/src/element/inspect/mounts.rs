//! What `mount` may do in a sandbox.

use super::Place;
use super::call::Call;

/// Types that a user namespace may mount, or that the shim replaces by a bind mount.
const ALLOWED: [&str; 9] =
    ["proc", "sysfs", "devpts", "tmpfs", "ramfs", "mqueue", "overlay", "none", "cgroup2"];

pub(super) fn check(call: &Call, place: Place) -> Option<(String, String)> {
    if call.program != "mount" {
        return None;
    }
    let (mut kind, mut options, mut operands) = (String::new(), String::new(), Vec::new());
    let mut bind = false;
    let mut words = call.arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-t" | "--types" => kind.clone_from(words.next()?),
            "-o" | "--options" => options = format!("{options},{}", words.next()?),
            "--bind" | "-B" | "--rbind" | "-R" | "--move" | "-M" => bind = true,
            _ if word.starts_with("--make-") => bind = true,
            _ if word.starts_with("-t") => word[2..].clone_into(&mut kind),
            _ if word.starts_with("-o") => options = format!("{options},{}", &word[2..]),
            _ if word.starts_with('-') => {}
            _ => operands.push(word.as_str()),
        }
    }
    let has = |wanted: &str| options.split(',').any(|option| option == wanted);
    bind |= has("bind") || has("rbind") || has("remount");
    let line = format!("mount {}", call.arguments.join(" "));
    let disk = "leave disks to block-device-*.yaml; unpack archives instead of mounting them";
    if options.split(',').any(|option| option == "loop" || option.starts_with("loop=")) {
        return Some((format!("{line}: a loop device needs a privileged host"), disk.to_owned()));
    }
    if operands.is_empty() {
        return None;
    }
    if place == Place::Target {
        let reason = format!("{line}: the sandbox of a target phase may not mount");
        let instead = "mount in root.d or extra-data.d, as bind mounts they last to post-root.d";
        return Some((reason, instead.to_owned()));
    }
    if bind || kind.split(',').any(|kind| ALLOWED.contains(&kind)) {
        return None;
    }
    if kind.starts_with('$') {
        return None;
    }
    let what = if kind.is_empty() { "a block device or image" } else { &kind };
    Some((format!("{line}: {what} cannot be mounted in a user namespace"), disk.to_owned()))
}
