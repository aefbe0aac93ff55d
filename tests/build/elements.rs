//! The shipped elements that need neither a kernel nor Python's packages, in one image: what
//! each has left there.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use goldsmith_tests::{TestEnv, shipped};

use crate::image::Image;

fn server() -> Result<Image> {
    let env = TestEnv::new()?;
    fs_err::create_dir_all(env.path(".ssh"))?;
    fs_err::write(env.path(".ssh/authorized_keys"), "ssh-ed25519 AAAA who@builds\n")?;
    fs_err::write(env.path(".ssh/id_ed25519.pub"), "ssh-ed25519 BBBB who@builds\n")?;
    fs_err::write(env.path("apt.conf"), "APT::Get::Show-Versions \"true\";\n")?;
    let pin = r#"{"packages": [{"package": "of-the-probe", "version": "1.2-3"}]}"#;
    fs_err::write(env.path("manifest.json"), pin)?;
    let file = |name: &str| env.path(name).display().to_string();
    Image::build_in(
        &env,
        "server",
        &shipped::SERVER,
        &[
            ("DIB_DEBIAN_KERNEL", "none"),
            ("DIB_APT_CONF", &file("apt.conf")),
            ("DIB_CLOUD_INIT_GROWPART_DEVICES", "[/]"),
            ("DIB_DEV_USER_PASSWORD", "sesame-4712"),
            ("DIB_DEV_USER_PWDLESS_SUDO", "yes"),
            ("DIB_DEV_USER_USERNAME", "tester"),
            ("DIB_DHCP_TIMEOUT", "17"),
            ("DIB_DPKG_MANIFEST", &file("manifest.json")),
            ("DIB_GROWVOLS_ARGS", "/var=80% /home=2GiB"),
            ("DIB_GROWVOLS_TRIGGER", "systemd"),
            ("DIB_MODPROBE_BLACKLIST", "pcspkr floppy"),
            ("https_proxy", "http://someone:sesame-4712@127.0.0.1:9"),
        ],
    )
}

#[test]
fn apt_conf_and_apt_preferences_bring_what_the_builder_names() -> Result<()> {
    let image = server()?;
    ensure!(image.text("/etc/apt/apt.conf")? == "APT::Get::Show-Versions \"true\";\n");
    let pin = image.text("/etc/apt/preferences")?;
    ensure!(
        pin.starts_with("Package: of-the-probe\nPin: version 1.2-3\nPin-Priority: 1001\n"),
        "{pin}"
    );
    Ok(())
}

#[test]
fn autoupdates_and_fail2ban_start_at_boot() -> Result<()> {
    let image = server()?;
    image.installed(&["unattended-upgrades", "fail2ban"])?;
    image.enabled("unattended-upgrades.service")?;
    image.enabled("fail2ban.service")
}

#[test]
fn base_has_a_second_compile_hit_the_cache_outside_of_the_image() -> Result<()> {
    let image = server()?;
    let first = image.text("/probe/ccache-first")?;
    let second = image.text("/probe/ccache-second")?;
    ensure!(first.contains("miss"), "first: {first}");
    ensure!(second.contains("direct_cache_hit"), "second: {second}");
    ensure!(image.text("/probe/ccache-outside")? == "yes\n");
    // What ccache itself says: `  Hits:    1 /   2 (50.00 %)`.
    let said = image.text("/probe/ccache-stats")?;
    let hits = said.lines().find_map(|line| line.trim().strip_prefix("Hits:"));
    let hits = hits.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    ensure!(hits.is_some_and(|hits| hits > 0), "{said}");
    image.lacks(&["/tmp/ccache"])
}

#[test]
fn cache_url_fetches_in_the_image_as_well() -> Result<()> {
    let image = server()?;
    ensure!(image.text("/probe/cached")? == image.text("/etc/debian_version")?);
    image.has(&["/usr/local/bin/cache-url"])
}

#[test]
fn cloud_init_growpart_and_cloud_init_disable_resizefs() -> Result<()> {
    let image = server()?;
    let growpart = image.text("/etc/cloud/cloud.cfg.d/55-growpart.cfg")?;
    ensure!(growpart.contains("devices: [/]"), "{growpart}");
    let config = image.text("/etc/cloud/cloud.cfg")?;
    ensure!(config.contains("cloud_init_modules:"), "{config}");
    ensure!(!config.contains("- resizefs") && !config.contains("- growpart"), "{config}");
    Ok(())
}

#[test]
fn debian_systemd_is_debian() -> Result<()> {
    let image = server()?;
    image.installed(&["systemd-sysv", "cloud-init"])?;
    let elements = image.text("/etc/dib-manifests/dib-element-manifest")?;
    for element in ["debian", "debian-minimal", "debian-systemd", "growvols"] {
        ensure!(elements.lines().any(|line| line == element), "no {element} in {elements}");
    }
    Ok(())
}

#[test]
fn devuser_may_log_in_and_become_root() -> Result<()> {
    let image = server()?;
    ensure!(image.text("/etc/passwd")?.contains("\ntester:x:1000:1000::/home/tester:/bin/bash\n"));
    let keys = "/home/tester/.ssh/authorized_keys";
    ensure!(image.text(keys)? == "ssh-ed25519 BBBB who@builds\n");
    let entry = image.entry(keys).context("no keys")?;
    ensure!(entry.starts_with("-rw------- 1000/1000"), "{entry}");
    ensure!(image.text("/etc/sudoers.d/tester")? == "tester ALL=(ALL) NOPASSWD:ALL\n");
    let shadow = image.text("/etc/shadow")?;
    ensure!(shadow.lines().any(|line| line.starts_with("tester:$")), "no password");
    Ok(())
}

#[test]
fn dhcp_all_interfaces_waits_for_cards() -> Result<()> {
    let image = server()?;
    image.has(&[
        "/etc/udev/rules.d/99-dhcp-all-interfaces.rules",
        "/usr/lib/systemd/system/dhcp-interface@.service",
    ])?;
    let timeout = image.text("/usr/lib/systemd/system/dhcp-interface@.service.d/timeout.conf")?;
    ensure!(timeout.contains("TimeoutStartSec=47"), "{timeout}");
    let script = image.entry("/usr/local/sbin/dhcp-all-interfaces.sh").context("no script")?;
    ensure!(script.starts_with("-rwxr-xr-x 0/0"), "{script}");
    image.lacks(&["/etc/network/interfaces.d/eth0"])?;
    image.installed(&["isc-dhcp-client", "ifupdown", "ndisc6"])
}

#[test]
fn disable_selinux_and_stable_interface_names_change_what_was_there() -> Result<()> {
    let image = server()?;
    let config = image.text("/etc/selinux/config")?;
    ensure!(config == "# of the probe\nSELINUX=disabled\nSELINUXTYPE=default\n", "{config}");
    image.has(&["/etc/systemd/network/10-probe.link"])?;
    image.lacks(&["/etc/systemd/network/99-default.link"])
}

#[test]
fn disable_nouveau_and_modprobe_blacklist() -> Result<()> {
    let image = server()?;
    let list = image.text("/etc/modprobe.d/blacklist.conf")?;
    ensure!(list == "blacklist pcspkr\nblacklist floppy\n", "{list}");
    let nouveau = image.text("/etc/modprobe.d/disable-nouveau.conf")?;
    ensure!(nouveau.contains("blacklist nouveau"), "{nouveau}");
    Ok(())
}

#[test]
fn dynamic_login_and_ibft_interfaces_have_their_services() -> Result<()> {
    let image = server()?;
    image.has(&["/usr/local/bin/dynamic-login", "/usr/local/sbin/init-ibft-interfaces.sh"])?;
    image.has(&["/etc/modules-load.d/ibft.conf"])?;
    image.enabled("dynamic-login.service")?;
    image.enabled("init-ibft-interfaces.service")
}

#[test]
fn dkms_grub2_mellanox_and_posix_have_their_packages() -> Result<()> {
    let image = server()?;
    image.installed(&["dkms", "gcc", "grub-pc-bin", "grub-efi-amd64-signed", "shim-signed"])?;
    image.installed(&["mstflint", "opensm", "rdma-core", "ibverbs-providers"])?;
    image.installed(&["bison", "universal-ctags", "pax", "uucp", "vim-tiny", "man-db"])?;
    let rules = image.text("/etc/udev/rules.d/81-mellanox.rules")?;
    ensure!(rules.contains("modprobe mlx5_ib"), "{rules}");
    ensure!(image.text("/etc/modules")?.contains("mlx4_en\n"));
    Ok(())
}

#[test]
fn epel_does_nothing_to_debian() -> Result<()> {
    let image = server()?;
    image.lacks(&["/etc/yum.repos.d", "/etc/yum.repos.d/epel.repo"])
}

#[test]
fn growvols_grows_at_boot() -> Result<()> {
    let image = server()?;
    image.installed(&["cloud-guest-utils", "fdisk", "lvm2", "xfsprogs"])?;
    image.enabled("growvols.service")?;
    let settings = image.text("/etc/default/growvols")?;
    ensure!(settings.starts_with("GROWVOLS_ARGS=\"/var=80% /home=2GiB\"\n"), "{settings}");
    let program = image.entry("/usr/local/sbin/growvols").context("no program")?;
    ensure!(program.starts_with("-rwxr-xr-x 0/0"), "{program}");
    Ok(())
}

#[test]
fn iscsi_boot_tells_the_initial_ram_disk() -> Result<()> {
    let image = server()?;
    ensure!(image.text("/etc/iscsi/iscsi.initramfs")? == "ISCSI_AUTO=true\n");
    image.installed(&["open-iscsi"])
}

#[test]
fn journal_to_console_and_nm_dhcp_ib_interfaces() -> Result<()> {
    let image = server()?;
    let journal = image.text("/etc/systemd/journald.conf.d/log-to-console.conf")?;
    ensure!(journal == "[Journal]\nForwardToConsole=yes\n", "{journal}");
    let profile = "/etc/NetworkManager/system-connections/infiniband.nmconnection";
    let entry = image.entry(profile).context("no profile")?;
    ensure!(entry.starts_with("-rw------- 0/0"), "{entry}");
    ensure!(image.text(profile)?.contains("type=infiniband"));
    Ok(())
}

#[test]
fn local_config_has_apt_use_the_proxy_and_leaves_none() -> Result<()> {
    let image = server()?;
    ensure!(image.text("/probe/proxy")? == "yes\n", "hooks do not see the proxy");
    let seen = image.text("/probe/apt-proxy")?;
    ensure!(seen == "60local-config-proxy\n", "{seen}");
    image.lacks(&["/etc/apt/apt.conf.d/60local-config-proxy"])?;
    let found = Command::new("grep").args(["-c", "sesame-4712"]).arg(&image.tar).output()?;
    ensure!(found.stdout == b"0\n", "the proxy's password is in the image");
    ensure!(image.text("/root/.ssh/authorized_keys")? == "ssh-ed25519 AAAA who@builds\n");
    Ok(())
}

#[test]
fn source_repositories_lay_a_repository_down() -> Result<()> {
    let image = server()?;
    ensure!(image.text("/opt/sources/hello")? == "from the repository\n");
    ensure!(image.text("/etc/dib-source-repositories")? == "/opt/sources\n");
    let manifest = image.text("/etc/dib-manifests/dib-manifest-git-server")?;
    ensure!(manifest.starts_with("probe git /opt/sources "), "{manifest}");
    Ok(())
}

#[test]
fn svc_map_knows_the_names_of_services() -> Result<()> {
    let image = server()?;
    ensure!(image.text("/probe/services")? == "of-debian\nof-all\nunheard-of\n");
    image.has(&["/usr/local/bin/svc-map"])
}

#[test]
fn sysctl_writes_what_the_next_boot_reads() -> Result<()> {
    let image = server()?;
    let known = image.text("/etc/sysctl.d/kernel.panic.conf")?;
    ensure!(known.ends_with("\nkernel.panic = 7\n"), "{known}");
    let unknown = image.text("/etc/sysctl.d/net.example.unknown.conf")?;
    ensure!(unknown == "# said so\nnet.example.unknown = 1\n", "{unknown}");
    image.has(&["/usr/local/bin/sysctl-set-value"])
}
