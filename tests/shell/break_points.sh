#!/bin/bash
# Break points of a host phase: which run, in what order, and whose status counts.
# shellcheck source=tests/shell/lib.bash
source "$(dirname "$0")/lib.bash"
driver=$repository/builder/lib/driver/host-phase

export TMP_MOUNT_PATH=$work/mnt TMP_HOOKS_PATH=$work/hooks
# Says that the hooks run, and fails with the status in HOOKS.
# shellcheck disable=SC2016  # the stand-in expands its variables itself
script "$TMP_HOOKS_PATH/dib-run-parts" <<'STUB'
#!/bin/bash
echo "hooks $(cat)"
exit "${HOOKS:-0}"
STUB
mkdir -p "$TMP_HOOKS_PATH"/{root,block-device}.d

# $1: the break points, $2: the phase; a shell that is started says what it reads.
phase() {
    echo 'echo shell' | break=$1 break_cmd='echo command' "$driver" "$2"
}
expect 'none' 0 'hooks ' phase '' root.d
expect 'before' 0 $'command\nhooks ' phase before-root root.d
expect 'after' 0 $'hooks \nshell' phase x,after-root,y root.d
expect 'both' 0 $'command\nhooks \nshell' phase before-root,after-root root.d
expect 'another phase' 0 'hooks ' phase before-roots,root,after-install root.d
expect 'no error, no stop' 0 'hooks ' phase after-error block-device.d
expect 'outside of a sandbox nothing is mounted' 1 '' phase '' post-root.d
export HOOKS=37
expect 'after an error' 37 $'hooks \ncommand' phase after-error block-device.d
expect 'a host phase that fails' 37 'hooks ' phase after-error,after-root root.d
unset HOOKS
failing() {
    break=before-root break_cmd='exit 3' "$driver" root.d < /dev/null
}
expect 'its status does not matter' 0 'hooks ' failing
