//! An operating system whose root.d does what its base.yaml says, and hooks in every phase.

use anyhow::Result;
use goldsmith_tests::TestEnv;

pub(crate) const PHASES: [&str; 10] = [
    "root.d",
    "extra-data.d",
    "pre-install.d",
    "install.d",
    "post-install.d",
    "post-root.d",
    "block-device.d",
    "pre-finalise.d",
    "finalise.d",
    "cleanup.d",
];

/// Hooks of a phase beside the probe, in the order in which they run: by number, then by bytes.
/// Half of them are another element's. `root.d/08-bootstrap` runs between the third and the fourth.
pub(crate) const ORDER: [&str; 9] =
    ["A-first", "1-b", "002-a", "9-b", "010-c", "10-b", "50-probe", "50_Z", "100-a"];

/// Not run: a dot in the name, no right to be executed.
const IGNORED: [(&str, bool); 2] = [("60-ignored.sh", true), ("61-ignored", false)];

const BOOTSTRAP: &str = r#"#!/bin/bash
set -eu
set -o pipefail
sudo mmdebstrap --quiet --variant=apt bookworm "$TARGET_ROOT" "$DIB_DEBIAN_DISTRIBUTION_MIRROR"
"#;

/// Where a hook's report goes. What host phases say stays in the hooks tree until cleanup.d: at
/// first there is no image, and block-device.d finds none.
const HEAD: &str = r#"#!/bin/bash
set -eu
set -o pipefail
phase=$(basename "$(dirname "$0")")
case $phase in
    pre-install.d | install.d | post-install.d | finalise.d) image= into=/probe ;;
    *) image=$TMP_MOUNT_PATH into=$TMP_HOOKS_PATH/probe ;;
esac
mkdir -p "$into"
echo "$(basename "$0")" >> "$into/order-$phase"
"#;

/// One line a fact. Variables are printed one by one, for exported functions have newlines.
const PROBE: &str = r#"
{
    echo "ids: $(id -u):$(id -g) $(id -G)"
    echo "umask: $(umask)"
    echo "arguments: $#"
    echo "name: $0"
    echo "directory: $(pwd -P)"
    echo "limits: $(ulimit -c) $(ulimit -s)"
    echo "signals: $(sed -n 's/^Sig\(Blk\|Ign\):/\1/p' /proc/self/status | tr '\n\t' '; ')"
    echo "standard input: $(readlink /proc/self/fd/0 | sed 's/:.*//')"
    for directory in proc sys dev dev/pts tmp tmp/in_target.d; do
        echo "$directory: $([ -w "$image/$directory" ] && echo writable)"
    done
    while read -r _ _ _ _ point options rest; do
        case $point in
            "$image" | "$image"/*) ;;
            *) continue ;;
        esac
        kind=${rest#*- }
        point=${point#"$image"}
        echo "mount ${point:-/}: ${kind%% *} ${options%%,*}"
    done < /proc/self/mountinfo
    for name in null zero full random urandom tty console ptmx fd stdin stdout stderr; do
        echo "device $name: $(stat -c '%A %t:%T' "$image/dev/$name" 2> /dev/null)"
    done
    echo "resolv.conf: $(stat -c '%F %a' "$image/etc/resolv.conf" 2> /dev/null || echo none)"
    echo "top: $(ls -A "$image/" | tr '\n' ' ')"
    echo "in tmp: $(ls -A "$image/tmp" 2> /dev/null | tr '\n' ' ')"
    echo "hooks: $(find "$TMP_HOOKS_PATH" -path '*.d/*' -type f ! -name 08-bootstrap -printf '%P %m\n' 2> /dev/null | sort | tr '\n' ';')"
    for name in $(compgen -e); do
        printf 'variable %s=%s\n' "$name" "$(printf %s "${!name}" | tr '\n' ' ')"
    done
    for name in $(declare -Fx | sed 's/^declare -fx //'); do
        echo "function $name"
    done
} > "$into/$phase"
"#;

/// A directory of the cache that hooks of the image see until the disk is made.
const BIND: &str = r#"
mkdir -p "$DIB_IMAGE_CACHE/probe" "$TMP_MOUNT_PATH/mnt/cache"
echo cached > "$DIB_IMAGE_CACHE/probe/file"
sudo mount --bind "$DIB_IMAGE_CACHE/probe" "$TMP_MOUNT_PATH/mnt/cache"
"#;

/// Whatever a tree can hold. A name that begins with a dot directly below / is known to be lost.
const NODES: &str = r#"
grep -q cached /mnt/cache/file
mkdir /nodes
cd /nodes
echo text > file
chown 1234:4321 file
ln file hard
ln -s ../no/where dangling
ln -s /nodes/file absolute
mkfifo -m 0620 fifo
echo program > set-ids
chown 17:33 set-ids
chmod 6755 set-ids
mkdir -m 3770 directory
chown 65535:65534 directory
echo nested > directory/.hidden
: > empty
chmod 0000 empty
truncate -s 3M holes
echo end >> holes
touch "$(printf 'bytes \377')" "$(printf 'x%.0s' $(seq 255))"
echo said > /var/log/probe.log
echo said > /root/probe.log
echo left > /tmp/left
chown 1:2 /usr/local/share
chmod 2755 /opt
rm -r /usr/share/doc/mawk
mv /usr/share/common-licenses /usr/share/moved
"#;

/// Extended attributes, which an image of this size has no programs for.
const ATTRIBUTES: &str = r#"#!/usr/bin/env python3
import os
import struct

nodes = os.environ["TMP_MOUNT_PATH"] + "/nodes/"
os.setxattr(nodes + "file", "user.probe", b"a\0b")
os.setxattr(nodes + "directory", "user.probe", b"directory")
# cap_net_raw, effective and permitted.
os.setxattr(nodes + "holes", "security.capability", struct.pack("<5I", 0x2000001, 1 << 13, 0, 0, 0))
# user::rw- user:7:r-- group::r-- mask::r-- other::---
entries = [(1, 6, -1), (2, 4, 7), (4, 4, -1), (16, 4, -1), (32, 0, -1)]
acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
os.setxattr(nodes + "file", "system.posix_acl_access", acl)
"#;

/// Brings the reports of host phases into the image.
const COLLECT: &str = "\ncp \"$into\"/* \"$TMP_MOUNT_PATH/probe/\"\n";

/// Writes the elements `compat-os`, `probe` and `other`.
pub(crate) fn write(env: &TestEnv) -> Result<()> {
    env.element("compat-os/element-provides", "operating-system\n")?;
    env.element("compat-os/environment.d/10-name.bash", "export DISTRO_NAME=debian\n")?;
    env.element("compat-os/root.d/08-bootstrap", BOOTSTRAP)?;
    env.element(
        "compat-os/base.yaml",
        "debian:\n  suite: bookworm\n  variant: apt\n  replaces: [root.d/08-bootstrap]\n",
    )?;
    env.element("probe/element-deps", "other\n")?;
    for phase in PHASES {
        for (at, name) in ORDER.iter().enumerate() {
            let element = if at % 2 == 0 { "probe" } else { "other" };
            let body = match (phase, *name) {
                (_, "50-probe") => PROBE,
                ("extra-data.d", "10-b") => BIND,
                ("install.d", "10-b") => NODES,
                ("cleanup.d", "100-a") => COLLECT,
                _ => "",
            };
            env.element(&format!("{element}/{phase}/{name}"), &format!("{HEAD}{body}"))?;
        }
        for (name, executable) in IGNORED {
            let shebang = if executable { "#!" } else { "" };
            env.element(
                &format!("probe/{phase}/{name}"),
                &format!("{shebang}/bin/sh\necho {name} was run >&2\nexit 9\n"),
            )?;
        }
    }
    env.element("probe/post-root.d/60-attributes", ATTRIBUTES)?;
    for (element, name, word) in
        [("probe", "9-probe", "9"), ("other", "10-other.bash", "10"), ("probe", "50_probe.x", "x")]
    {
        env.element(
            &format!("{element}/environment.d/{name}"),
            &format!("export PROBE_WORDS=\"${{PROBE_WORDS:-}} {word}\"\n"),
        )?;
    }
    Ok(())
}
