#!/bin/bash
# Packs the tree into one package, and makes empty ones by the names that elements want.
set -eu
set -o pipefail
work=$(mktemp -d)
rpms=$PWD/rpms
mkdir -p "$rpms"
spec=$work/all.spec
tree=$work/tree
mkdir "$tree"
# Everything but Debian's own database, and what nobody reads.
tar -C "$TARGET_ROOT" -cf - --exclude=./usr/share/doc --exclude=./usr/share/locale --exclude=./usr/share/man \
    --exclude=./var/lib/dpkg --exclude=./var/lib/apt --exclude=./var/lib/rpm --exclude=./var/cache --exclude=./etc/resolv.conf* \
    --exclude=./usr/lib/python3/dist-packages/apt* --exclude=./usr/lib/apt --exclude=./usr/bin/apt* --exclude=./usr/bin/dpkg* \
    ./etc ./usr ./var ./root | tar -C "$tree" -xf -

{
cat <<'SPEC'
%global __os_install_post %{nil}
%global debug_package %{nil}
%global _build_id_links none
%define _binary_payload w1.gzdio
Name: debian-in-rpm
Version: 1
Release: 1
Summary: fixture
License: fixture
AutoReqProv: no
Requires: filesystem
%description
fixture
%install
SPEC
echo "mv $tree/* %{buildroot}/"
cat <<'SPEC'
cd %{buildroot}
mkdir -p dev proc sys run tmp home boot etc/selinux
for name in bin sbin lib lib64; do ln -s usr/$name $name; done
# Debian's rpm has its database in the home of its user.
mkdir -p etc/rpm
echo '%%_dbpath /var/lib/rpm' > etc/rpm/macros.fixture
echo SELINUX=enforcing > etc/selinux/config
mkdir -p usr/lib64 etc/yum.repos.d etc/selinux/targeted/contexts/files etc/sysconfig usr/lib/modules/6.4-default
printf '[distribution]\nname=of the distribution\nbaseurl=https://example.invalid/\nenabled=0\n' > etc/yum.repos.d/distribution.repo
for name in epel elrepo; do
    printf '[%s]\nname=more\nbaseurl=https://example.invalid/pub/epel/9\nmetalink=https://example.invalid/m\nenabled=0\n' $name > etc/yum.repos.d/$name.repo
done
printf '/.* system_u:object_r:default_t:s0\n' > etc/selinux/targeted/contexts/files/file_contexts
echo kernel > boot/vmlinuz-5.14.0-2
echo kernel > boot/vmlinuz-6.4-default
printf '#!/bin/sh\nfor last; do :; done\necho "$*" > /boot/initrd-$last\n' > usr/bin/dracut
chmod 755 usr/bin/dracut
%files
/etc
%exclude /etc/yum.repos.d/*
%exclude /etc/selinux/config
%exclude /etc/selinux/targeted
/root
/usr
%exclude /usr/bin/dracut
%exclude /usr/lib/modules/6.4-default
/var
SPEC
package() {
    # $1 name, $2 further lines of the preamble, $3 files
    printf '%%package -n %s\nSummary: fixture\nAutoReqProv: no\n%s\n%%description -n %s\nfixture\n%%files -n %s\n%s\n' "$1" "$2" "$1" "$1" "$3"
}
package filesystem '' '%dir /usr
%dir /usr/bin
%dir /usr/sbin
%dir /usr/lib
%dir /usr/lib64
%dir /etc
%dir /var
/bin
/sbin
/lib
/lib64
/dev
%ghost /proc
%ghost /sys
/run
/tmp
/home
%dir /boot'
package dnf 'Requires: debian-in-rpm' ''
package zypper 'Requires: debian-in-rpm' ''
package grep 'Requires: debian-in-rpm' ''
package centos-stream-release 'Version: 9
Provides: system-release = 9, system-release(releasever) = 9' ''
package fedora-release-common 'Version: 36
Provides: system-release = 36, system-release(releasever) = 36' ''
package fedora-repos '' /etc/yum.repos.d/distribution.repo
package centos-stream-repos '' /etc/yum.repos.d/distribution.repo
package epel-release '' /etc/yum.repos.d/epel.repo
package elrepo-release '' /etc/yum.repos.d/elrepo.repo
package selinux-policy-targeted '' '/etc/selinux/config
/etc/selinux/targeted'
package kernel 'Version: 5.14.0
Release: 2
Provides: installonlypkg(kernel)' /boot/vmlinuz-5.14.0-2
package kernel-default '' '/boot/vmlinuz-6.4-default
/usr/lib/modules/6.4-default'
package dracut '' /usr/bin/dracut
for name in basesystem setup centos-gpg-keys dnf-plugins-core curl coreutils libcurl \
    glibc-minimal-langpack glibc-langpack-en systemd systemd-udev passwd findutils sudo util-linux \
    python3 python3-pyyaml ca-certificates gettext lsof policycoreutils-python-utils python3-libselinux \
    python3-policycoreutils rng-tools selinux-policy tcpdump traceroute which NetworkManager audit dhcp-client \
    dracut-config-generic grubby initscripts linux-firmware linux-firmware-whence ed hostname patch postfix tar time \
    man-pages redhat-rpm-config rsync gzip xz patterns-openSUSE-base ca-certificates-mozilla bash glibc-locale \
    lsb-release openssl sed fedora-gpg-keys fedora-release-cloud redhat-lsb-core; do
    package "$name" '' ''
done
} > "$spec"
cat > "$work/old.spec" <<'SPEC'
Name: kernel
Version: 5.14.0
Release: 1
Summary: fixture
License: fixture
AutoReqProv: no
Provides: installonlypkg(kernel)
%description
fixture
%install
mkdir -p %{buildroot}/boot
echo old > %{buildroot}/boot/vmlinuz-5.14.0-1
%files
/boot/vmlinuz-5.14.0-1
SPEC
for spec in "$spec" "$work/old.spec"; do
    rpmbuild -bb --quiet --define "_topdir $work/top" --define "_rpmdir $rpms" "$spec" 2> "$work/said" || { cat "$work/said"; exit 1; }
done
createrepo_c --quiet "$rpms"
# zypper takes no list of packages that nobody has signed.
export GNUPGHOME=$work/keys
mkdir -m 0700 "$GNUPGHOME"
gpg --batch --quiet --passphrase '' --quick-generate-key fixture rsa2048 sign never
gpg --batch --quiet --armor --detach-sign "$rpms/repodata/repomd.xml"
gpg --batch --quiet --armor --export > "$rpms/repodata/repomd.xml.key"
gpgconf --kill gpg-agent
rm -rf "$work"
