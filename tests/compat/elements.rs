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

const BOOTSTRAP: &str = r#"#!/bin/bash
set -eu
set -o pipefail
sudo mmdebstrap --quiet --variant=apt bookworm "$TARGET_ROOT" "$DIB_DEBIAN_DISTRIBUTION_MIRROR"
"#;

/// One line a fact. Variables are printed one by one, for exported functions have newlines.
const PROBE: &str = r#"#!/bin/bash
set -eu
set -o pipefail
phase=$(basename "$(dirname "$0")")
case $phase in
    pre-install.d | install.d | post-install.d | finalise.d) into=/probe ;;
    *) into=$TMP_MOUNT_PATH/probe ;;
esac
mkdir -p "$into"
{
    echo "ids: $(id -u):$(id -g)"
    echo "umask: $(umask)"
    echo "arguments: $#"
    echo "standard input: $(readlink /proc/self/fd/0 | sed 's/:.*//')"
    echo "image is /: $([ "$into" = /probe ] && echo yes || echo no)"
    for directory in proc sys dev dev/pts tmp tmp/in_target.d; do
        path=${into%/probe}/$directory
        echo "$directory: $(mountpoint -q "$path" && echo mounted) $([ -w "$path" ] && echo writable)"
    done
    echo "resolv.conf: $(stat -c %F "${into%/probe}/etc/resolv.conf" 2> /dev/null || echo none)"
    echo "hooks: $(find "$TMP_HOOKS_PATH" -path '*.d/*' -type f ! -name 08-bootstrap -printf '%P %m\n' 2> /dev/null | sort | tr '\n' ';')"
    for name in $(compgen -e); do
        printf 'variable %s=%s\n' "$name" "$(printf %s "${!name}" | tr '\n' ' ')"
    done
    for name in $(declare -Fx | sed 's/^declare -fx //'); do
        echo "function $name"
    done
} > "$into/$phase"
"#;

/// Writes the elements `compat-os` and `probe`.
pub(crate) fn write(env: &TestEnv) -> Result<()> {
    env.element("compat-os/element-provides", "operating-system\n")?;
    env.element("compat-os/environment.d/10-name.bash", "export DISTRO_NAME=debian\n")?;
    env.element("compat-os/root.d/08-bootstrap", BOOTSTRAP)?;
    env.element(
        "compat-os/base.yaml",
        "debian:\n  suite: bookworm\n  variant: apt\n  replaces: [root.d/08-bootstrap]\n",
    )?;
    for phase in PHASES {
        env.element(&format!("probe/{phase}/50-probe"), PROBE)?;
    }
    Ok(())
}
