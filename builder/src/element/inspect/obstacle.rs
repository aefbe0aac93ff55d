//! Commands that a sandbox refuses.

use super::call::{Call, calls};
use super::{Place, kernel, mounts, refused};

/// A command that cannot work in its sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// Its line, from 1.
    pub line: usize,
    /// The command, and why it cannot work.
    pub reason: String,
    /// What to do instead.
    pub instead: String,
    /// The Debian package that has the command, when all it takes is that the tools container
    /// gets it.
    pub package: Option<&'static str>,
}

/// Finds what stands against running a shell script at `place`: one obstacle a line.
/// Commands whose failure the script expects are none.
pub fn obstacles(text: &str, place: Place) -> Vec<Obstacle> {
    let mut list: Vec<_> = calls(text)
        .iter()
        .filter(|call| !call.tolerated && !defined(text, &call.program))
        .filter_map(|call| check(call, place))
        .collect();
    list.sort_by_key(|obstacle| obstacle.line);
    list.dedup_by_key(|obstacle| obstacle.line);
    list
}

/// Whether the script has a function of that name.
fn defined(text: &str, name: &str) -> bool {
    text.lines().map(str::trim_start).any(|line| {
        let line = line.strip_prefix("function ").unwrap_or(line);
        line.strip_prefix(name).is_some_and(|rest| {
            let rest = rest.trim_start();
            rest.starts_with("()") || rest.starts_with('{')
        })
    })
}

fn check(call: &Call, place: Place) -> Option<Obstacle> {
    let line = call.line;
    let asks_only = |word: &String| matches!(word.as_str(), "--version" | "--help" | "-V");
    if !call.arguments.first().is_some_and(asks_only) {
        let refused = refused::by_shim(call)
            .or_else(|| mounts::check(call, place))
            .or_else(|| kernel::check(call, place));
        if let Some((reason, instead)) = refused {
            return Some(Obstacle { line, reason, instead, package: None });
        }
    }
    let package = refused::missing(call, place)?;
    let reason = format!("{}: the tools container does not have it", call.program);
    let instead = format!("build with --tools-package {package}, or do it inside the image");
    Some(Obstacle { line, reason, instead, package: Some(package) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, place: Place) -> Vec<usize> {
        obstacles(text, place).iter().map(|obstacle| obstacle.line).collect()
    }

    #[test]
    fn what_a_sandbox_refuses_is_found_by_its_line() {
        let both: &[usize] = &[1];
        let target: &[usize] = &[1];
        for (text, host, image) in [
            ("sudo losetup --show -f x", both, target),
            ("docker run a", both, target),
            ("mount -o loop a.iso b", both, target),
            ("sudo mount -t ext4 $DEVICE $TARGET_ROOT", both, target),
            ("mount /dev/sr0 /mnt", both, target),
            ("sudo mount --bind $CACHE $TARGET_ROOT/x", &[], target),
            ("sudo mount -t proc none $TARGET_ROOT/proc", &[], target),
            ("mount | grep x", &[], &[]),
            ("modprobe nbd", both, target),
            ("modprobe nbd || true", &[], &[]),
            ("vgchange -an vg", both, target),
            ("sysctl -w a=b", both, target),
            ("sysctl -a", &[], &[]),
            ("sgdisk -n 1 $X", both, &[]),
            ("rpm --root $X -i y", &[], &[]),
            ("chattr +i /etc/x", both, target),
            ("mknod -m 600 /dev/x c 10 200", &[], target),
            ("mknod /x p", &[], &[]),
            ("dd if=/dev/zero of=/dev/vda", both, target),
            ("dd if=/dev/zero of=$X/y", &[], &[]),
            ("guestfish -a x", both, &[]),
            ("sudo chroot $TARGET_ROOT guestfish", &[], &[]),
            ("dnf() { true; }\ndnf install x", &[], &[]),
            ("curl -s http://x | jq .", &[], &[]),
            ("echo losetup; # kpartx", &[], &[]),
        ] {
            assert_eq!(found(text, Place::Host), host, "host: {text}");
            assert_eq!(found(text, Place::Target), image, "image: {text}");
        }
    }

    #[test]
    fn what_a_shim_refuses_has_the_words_of_the_shim() {
        let list = obstacles("true\npodman build .", Place::Host);
        assert_eq!(list[0].line, 2);
        assert!(list[0].reason.starts_with("podman: "), "{list:?}");
        assert!(!list[0].instead.is_empty());
    }
}
