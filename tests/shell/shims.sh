#!/bin/bash
# sudo, mount, umount and mknod of the tools container, with stand-ins for the
# The stand-ins expand their variables themselves, and names have no blanks.
# shellcheck disable=SC2016,SC2086
# programs that need privileges.
# shellcheck source=tests/shell/lib.bash
source "$(dirname "$0")/lib.bash"
shims=$repository/builder/lib/shims
sudo=$shims/sudo

expect 'options' 0 'a b' "$sudo" -E -H -n -- echo a b
expect 'joined options' 0 a "$sudo" -nE echo a
expect 'user' 0 a "$sudo" -u root echo a
expect 'user joined' 0 a "$sudo" -uroot -g root echo a
expect 'variable' 0 'v w' "$sudo" X=v Y=w bash -c 'echo "$X $Y"'
expect 'environment stays' 0 kept env X=kept "$sudo" bash -c 'echo "$X"'
expect 'identity' 0 "$(id -u) $(id -g)" "$sudo" bash -c 'echo "$SUDO_UID $SUDO_GID"'
expect 'status' 37 '' "$sudo" bash -c 'exit 37'
expect 'word of the shell' 1 '' "$sudo" unset X
expect 'unknown option' 1 '' "$sudo" --what
expect 'nothing' 1 '' "$sudo"
expect 'validate' 0 '' "$sudo" -v
same 'standard input' 'piped' "$(echo piped | "$sudo" cat)"

export GOLDSMITH_RUN=$work/run
mkdir "$work/run" "$work/src" "$work/dst" "$work/other"
script "$work/real" <<'STUB'
#!/bin/bash
echo "$*" >> "$(dirname "$0")/calls"
case "$*" in
    *forbidden*|*-t\ proc*) echo 'permission denied' >&2; exit 32 ;;
    *nothing-there*) echo "umount: nothing-there: not mounted." >&2; exit 32 ;;
    *busy*) echo 'umount: busy: target is busy.' >&2; exit 32 ;;
esac
STUB
export GOLDSMITH_REAL_MOUNT=$work/real GOLDSMITH_REAL_UMOUNT=$work/real
mount=$shims/mount umount=$shims/umount
recorded() {
    cat "$work/run/mounts"
}
expect 'bind' 0 '' "$mount" --bind "$work/src" "$work/dst/../dst"
expect 'bind recorded' 0 "$work/src	$work/dst	bind" recorded
expect 'bind with option' 0 '' "$mount" -o bind,ro "$work/src" "$work/other"
expect 'again' 0 '' "$mount" --rbind "$work/other" "$work/dst"
expect 'replaced' 0 "$work/src	$work/other	bind,ro
$work/other	$work/dst	rbind" recorded
expect 'remount' 0 '' "$mount" -o remount,bind,ro "$work/dst"
expect 'remount recorded' 0 "$work/src	$work/other	bind,ro
$work/other	$work/dst	bind,ro" recorded
expect 'bind that fails' 32 '' "$mount" --bind "$work/forbidden" "$work/src"
expect 'tmpfs is not recorded' 0 '' "$mount" -t tmpfs none "$work/src"
same 'still two' 2 "$(recorded | wc -l)"
: > "$work/calls"
expect 'proc falls back' 0 '' "$mount" -t proc none "$work/src"
same 'proc by rbind' "--rbind /proc $work/src" "$(sed -n 2p "$work/calls")"
expect 'umount of such a proc' 0 '' "$umount" "$work/src"
same 'with all below' "--recursive -- $work/src" "$(tail -n 1 "$work/calls")"
expect 'umount' 0 '' "$umount" "$work/dst"
expect 'umount forgets' 0 "$work/src	$work/other	bind,ro" recorded
expect 'not mounted' 0 '' "$umount" -f "$work/nothing-there"
expect 'busy' 32 '' "$umount" "$work/busy"
expect 'lazy, below' 0 '' "$umount" -l "$work"
expect 'all forgotten' 0 '' recorded

export GOLDSMITH_REAL_CHROOT=$work/real
mkdir -p "$work/root/dev" "$work/bare"
: > "$work/calls"
expect 'chroot without /dev' 0 '' "$shims/chroot" --userspec 0:0 "$work/bare" ls -l
expect 'chroot with devices' 0 '' "$shims/chroot" / ls
same 'chroot as it is' "--userspec 0:0 $work/bare ls -l
/ ls" "$(cat "$work/calls")"
if unshare --user --map-root-user --mount true 2> /dev/null; then
    script "$work/real" <<'STUB'
#!/bin/bash
[ -c "$1/dev/null" ]
STUB
    expect 'chroot is lent /dev' 0 '' unshare --user --map-root-user --mount "$shims/chroot" "$work/root" ls
    same 'and gives it back' '' "$(ls "$work/root/dev")"
fi

export GOLDSMITH_REAL_MKNOD=/bin/false
mknod=$shims/mknod
expect 'standard node' 0 '' "$mknod" -m 666 "$work/dst/random" c 1 8
same 'node recorded' "$work/dst/random	c	1	8	666" "$(cat "$work/run/nodes")"
expect 'other node' 1 '' "$mknod" "$work/dst/sda" b 8 0
expect 'wrong number' 1 '' "$mknod" "$work/dst/null" c 1 8

for command in losetup kpartx dmsetup podman docker; do
    expect "$command" 1 '' "$shims/$command" -a
    same "$command says why" 1 "$(grep -c "ERROR: $command cannot run in this sandbox" "$work/stderr")"
done
