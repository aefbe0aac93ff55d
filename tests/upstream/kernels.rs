//! Kernels, their modules and ramdisks.

use anyhow::Result;
use goldsmith_tests::TestEnv;

use crate::image::{Mark, check, image};

pub(crate) fn kernels() -> Result<()> {
    const MARKS: &[Mark] = &[
        ("cleanup-kernel-initrd", "/boot/vmlinuz-1.2.3-4-old", "-"),
        ("cleanup-kernel-initrd", "/boot/initrd.img-1.2.3-4-old", "-"),
        ("dkms", "/usr/lib/modules/1.2.3-4-old/updates/dkms/tested.ko", ""),
        ("dracut-regenerate", "/etc/dracut.conf.d/90-small.conf", "no_kernel"),
        ("dracut-regenerate", "/srv/modules", "crypt"),
        ("dracut-regenerate", "/srv/modules", "lvm"),
        ("mellanox", "/etc/udev/rules.d/81-mellanox.rules", "modprobe mlx5_ib"),
        ("mellanox", "/etc/modules", "mlx4_en"),
        ("mellanox", "/usr/sbin/opensm", ""),
    ];
    let place = TestEnv::new()?;
    check(&image(&place, "tar", &["debian-minimal", "of-kernels"], MARKS, &[])?, MARKS)
}
