# What elements of openSUSE export, over a Debian that has zypper.
export DISTRO_NAME=opensuse
export DIB_RELEASE=15.6
export DIB_INIT_SYSTEM=systemd
