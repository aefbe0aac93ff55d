#!/bin/bash
# The programs of finalise.d that answer from the layout: names, df, what they refuse.
# shellcheck source=tests/shell/lib.bash
source "$(dirname "$0")/lib.bash"
shims=$repository/builder/shims
export GOLDSMITH_BOOT=$work/boot
mkdir "$GOLDSMITH_BOOT"
cat > "$GOLDSMITH_BOOT/facts" << 'FACTS'
disk=/dev/loop0
table=gpt
bios=partition
root_label=cloudimg-rootfs
fs.0.mount=/boot
fs.0.device=/dev/mapper/loop0p2
fs.0.type=ext4
fs.0.uuid=11111111-2222-3333-4444-555555555555
fs.0.label=boot
fs.0.partition=2
fs.1.mount=/
fs.1.device=/dev/mapper/loop0p3
fs.1.type=ext4
fs.1.uuid=66666666-2222-3333-4444-555555555555
fs.1.label=cloudimg-rootfs
fs.1.partition=3
FACTS

expect 'device of /' 0 /dev/mapper/loop0p3 "$shims/grub-probe" --target=device /
expect 'device of /boot' 0 /dev/mapper/loop0p2 "$shims/grub-probe" --target=device /boot/x
expect 'drive' 0 '(hd0,gpt2)' "$shims/grub-probe" -t drive /boot
expect 'the rpm name' 0 ext2 "$shims/rpm/grub2-probe" --target=fs /
expect 'no menu without GRUB' 127 '' "$shims/rpm/grub2-mkconfig" -o "$work/x"
expect 'label' 0 cloudimg-rootfs "$shims/blkid" -s LABEL -o value /dev/mapper/loop0p3
expect 'source' 0 /dev/mapper/loop0p2 "$shims/findmnt" -no SOURCE /boot
expect 'unknown device' 2 '' "$shims/blkid" /dev/sda1

# Sectors that no BIOS reads.
cp "$GOLDSMITH_BOOT/facts" "$work/facts"
sed -i 's/^bios=.*/bios=sectors/' "$GOLDSMITH_BOOT/facts"
expect 'nothing but BIOS to start it' 1 '' "$shims/grub-install" --target=i386-pc /dev/loop0
sed -i 's/^fs.0.type=.*/fs.0.type=vfat/' "$GOLDSMITH_BOOT/facts"
expect 'left to UEFI' 0 'Left out for i386-pc: a BIOS reads no sectors of this size.' \
    "$shims/grub-install" --target=i386-pc /dev/loop0
cp "$work/facts" "$GOLDSMITH_BOOT/facts"

# A volume of LVM, and a logical partition.
cat >> "$GOLDSMITH_BOOT/facts" << 'FACTS'
fs.2.mount=/srv
fs.2.device=/dev/mapper/vg-lv_srv
fs.2.type=ext4
fs.2.uuid=77777777-2222-3333-4444-555555555555
fs.2.label=srv
fs.2.partition=0
fs.2.lvm=lvmid/aaaaaa/bbbbbb
fs.3.mount=/var
fs.3.device=/dev/mapper/loop0p6
fs.3.type=ext4
fs.3.uuid=88888888-2222-3333-4444-555555555555
fs.3.label=var
fs.3.partition=6
FACTS
expect 'device of a volume' 0 /dev/mapper/vg-lv_srv "$shims/grub-probe" --target=device /srv
expect 'abstraction' 0 lvm "$shims/grub-probe" --device /dev/mapper/vg-lv_srv --target=abstraction
expect 'no abstraction' 0 '' "$shims/grub-probe" --target=abstraction /
expect 'drive of a volume' 0 '(lvmid/aaaaaa/bbbbbb)' "$shims/grub-probe" -t drive /srv
expect 'hints of a volume' 0 "--hint='lvmid/aaaaaa/bbbbbb'" "$shims/grub-probe" -t hints_string /srv
expect 'its table' 0 gpt "$shims/grub-probe" --target=partmap /srv
expect 'source of a volume' 0 '/dev/mapper/vg-lv_srv ext4' "$shims/findmnt" -no SOURCE,FSTYPE /srv
expect 'label of a volume' 0 srv "$shims/blkid" -s LABEL -o value /dev/mapper/vg-lv_srv
expect 'drive of a logical partition' 0 '(hd0,gpt6)' "$shims/grub-probe" -t drive /var

# Devices that are real: GRUB's own programs would ask device-mapper about volumes.
cp "$GOLDSMITH_BOOT/facts" "$work/facts"
echo backend=loop >> "$GOLDSMITH_BOOT/facts"
expect 'abstraction on a real device' 0 lvm \
    "$shims/grub-probe" --device /dev/mapper/vg-lv_srv --target=abstraction
expect 'device beside a volume' 0 /dev/mapper/loop0p3 "$shims/grub-probe" --target=device /
cp "$work/facts" "$GOLDSMITH_BOOT/facts"

# File systems that GRUB does not read, or not find; and what has no names.
cp "$GOLDSMITH_BOOT/facts" "$work/facts"
sed -i -e 's/^fs.2.type=.*/fs.2.type=squashfs/' -e '/^fs.2.lvm/d' -e 's/^fs.2.\(uuid\|label\)=.*/fs.2.\1=/' \
    -e 's/^fs.3.type=.*/fs.3.type=erofs/' "$GOLDSMITH_BOOT/facts"
expect 'squashfs as GRUB calls it' 0 squash4 "$shims/grub-probe" --target=fs /srv
expect 'no names' 0 '/dev/mapper/vg-lv_srv: TYPE="squashfs"' "$shims/blkid" /dev/mapper/vg-lv_srv
expect 'no erofs' 1 '' "$shims/grub-probe" --target=fs /var
same 'no erofs: why' 'grub-probe: GRUB does not read erofs, which /var lies on' "$(head -n 1 "$work/stderr")"
cp "$work/facts" "$GOLDSMITH_BOOT/facts"

# df itself says overlay in a sandbox; here a stub does.
script "$work/df" <<< 'echo overlay overlay 9 1 8 12% /'
export GOLDSMITH_DF=$work/df
expect 'df of a path' 0 '/dev/mapper/loop0p2 ext4 9 1 8 12% /boot' "$shims/df" -T /boot
expect 'df of all' 0 '/dev/mapper/loop0p3 ext4 9 1 8 12% /' "$shims/df" -T
