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

# df itself says overlay in a sandbox; here a stub does.
script "$work/df" <<< 'echo overlay overlay 9 1 8 12% /'
export GOLDSMITH_DF=$work/df
expect 'df of a path' 0 '/dev/mapper/loop0p2 ext4 9 1 8 12% /boot' "$shims/df" -T /boot
expect 'df of all' 0 '/dev/mapper/loop0p3 ext4 9 1 8 12% /' "$shims/df" -T
