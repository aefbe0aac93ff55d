#!/bin/bash
# Tests of growvols: what it does to a disk, by stand-ins of the programs that it calls.
# shellcheck source=tests/shell/lib.bash
source "$(dirname "$0")/lib.bash"

growvols=$repository/elements/growvols/static/usr/local/sbin/growvols
bin=$work/bin
export RECORD=$work/record
# A disk of 11 GiB whose second partition ends at 1 GiB: 10 GiB less 2 MiB of room.
script "$bin/blockdev" <<'STUB'
#!/bin/bash
echo 11811160064
STUB
script "$bin/partx" <<'STUB'
#!/bin/bash
if [[ $1 == --raw ]]; then
    printf '1 2048 2048\n2 4096 2093056\n'
else
    echo "${0##*/} $*" >> "$RECORD"
fi
STUB
script "$bin/findmnt" <<'STUB'
#!/bin/bash
echo /dev/mapper/vg-root
STUB
script "$bin/lsblk" <<'STUB'
#!/bin/bash
case $* in
    *NAME,TYPE*) printf 'vg-root lvm\nvda2 part\nvda disk\n' ;;
    *LABEL*root) echo img-rootfs ;;
    *LABEL*) echo ;;
    *MOUNTPOINT*root) echo / ;;
    *MOUNTPOINT*home) echo /home ;;
    *MOUNTPOINT*) echo ;;
    *FSTYPE*root) echo ext4 ;;
    *FSTYPE*swap) echo swap ;;
    *FSTYPE*) echo xfs ;;
    *PTTYPE*) echo gpt ;;
esac
STUB
# Free extents: what the record of calls says, 2400 once it has a line.
script "$bin/vgs" <<'STUB'
#!/bin/bash
case $* in
    *vg_name*) printf '  %s\n' ${GROUPS_THERE:-vg} ;;
    *vg_extent_size*) echo '  4194304' ;;
    *vg_free_count*) if [[ -s $RECORD ]]; then echo '  2400'; else echo '  0'; fi ;;
esac
STUB
script "$bin/pvs" <<'STUB'
#!/bin/bash
echo "  ${PV:-/dev/vda2} vg"
STUB
script "$bin/lvs" <<'STUB'
#!/bin/bash
printf '  /dev/mapper/vg-%s lv_%s\n' root root home home swap swap
STUB
for name in growpart pvresize lvextend resize2fs xfs_growfs sfdisk pvcreate vgextend udevadm; do
    script "$bin/$name" <<'STUB'
#!/bin/bash
[[ ${0##*/} != sfdisk ]] || cat >> "$RECORD"
echo "${0##*/} $*" >> "$RECORD"
STUB
done

# Runs growvols; prints how it ended, what it said, and what was called.
grown() {
    local status=0
    : > "$RECORD"
    PATH=$bin:$PATH bash "$growvols" "$@" > "$work/said" 2>&1 || status=$?
    echo "$status"
    cat "$work/said"
    sed 's/^/> /' "$RECORD"
}

same 'all to /' '0
> growpart /dev/vda 2
> pvresize /dev/vda2
> lvextend --extents +2400 /dev/mapper/vg-root
> resize2fs /dev/mapper/vg-root' "$(grown --yes)"
same 'by mount point, label and name' '0
> growpart /dev/vda 2
> pvresize /dev/vda2
> lvextend --extents +255 /dev/mapper/vg-home
> xfs_growfs /home
> lvextend --extents +256 /dev/mapper/vg-root
> resize2fs /dev/mapper/vg-root
> lvextend --extents +512 /dev/mapper/vg-home
> xfs_growfs /home
> lvextend --extents +1377 /dev/mapper/vg-root
> resize2fs /dev/mapper/vg-root' "$(grown --yes /home=10% img-rootfs=1GiB lv_home=2GiB)"
same 'more than there is' '0
growvols: lv_root was to grow by 9216 MiB, but 5116 MiB are left
> growpart /dev/vda 2
> pvresize /dev/vda2
> lvextend --extents +1280 /dev/mapper/vg-home
> xfs_growfs /home
> lvextend --extents +1120 /dev/mapper/vg-root
> resize2fs /dev/mapper/vg-root' "$(grown --yes lv_home=5GiB /=9GiB)"
same 'a partition of another is the last one' '0
> type=E6D6D379-F507-44C2-A23C-238F2A3DF928
> sfdisk --append --no-reread --no-tell-kernel /dev/vda
> partx --add --nr 3 /dev/vda
> udevadm settle
> pvcreate /dev/vda3
> vgextend vg /dev/vda3
> lvextend --extents +2400 /dev/mapper/vg-root
> resize2fs /dev/mapper/vg-root' "$(PV=/dev/vda1 grown --yes)"
same 'nothing is done to look' '0
would run: env TMPDIR=/run growpart /dev/vda 2
would run: pvresize /dev/vda2
would run: lvextend --extents +2559 /dev/mapper/vg-root
would run: resize2fs /dev/mapper/vg-root' "$(grown --noop)"
same 'nobody answers' 1 "$(grown < /dev/null)"
for wrong in '/=5' '/=5TB' '=5%' '/=1.5GiB' '/'; do
    same "not an amount: $wrong" 1 "$(grown --yes "$wrong" | head -1)"
done
same 'an unknown volume' '1
growvols: the group vg has no volume /srv' "$(grown --yes /srv=5%)"
same 'a file system that does not grow' '1
growvols: lv_swap has a file system that cannot be grown here: swap' "$(grown --yes lv_swap=5%)"
same 'several groups' '1
growvols: there are 2 groups of volumes; name one with --group' "$(GROUPS_THERE='a b' grown --yes)"

# The last partition fills the disk.
script "$bin/partx" <<'STUB'
#!/bin/bash
echo '1 2048 23064576'
STUB
full='growvols: /dev/vda has no room behind its last partition'
same 'no room' "0
$full" "$(grown --yes)"
same 'no room, and that is an error' "2
$full" "$(grown --yes --exit-on-no-grow)"
